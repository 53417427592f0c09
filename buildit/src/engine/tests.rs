//! Runs under an engine, with executors that run nothing.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use jiff::Timestamp;

use super::*;
use crate::event::{Approval, Event, EventBody, RunStatus};
use crate::fault::CrashPoint;
use crate::job::{Cause, JobOutcome, Status};
use crate::memory::MemoryStore;
use crate::pipeline::{ApprovalSpec, GitContext, PipelineBuilder, PipelineSpec, RunContext, StageBuilder};
use crate::run::Run;
use crate::secret::MemorySecrets;
use crate::store::RunStore;
use crate::testing::{Act, Death, KillAt, Script, ScriptedExecutor, SimulatedClock};

mod failing;
mod storing;
mod turns;

fn clock() -> Arc<SimulatedClock> {
    Arc::new(SimulatedClock::new("2026-01-01T00:00:00Z".parse().unwrap()))
}

fn scripted(script: Script) -> ScriptedExecutor {
    ScriptedExecutor::new("local", script)
}

fn options() -> StartOptions {
    StartOptions::new(RunContext::manual())
}

fn chain() -> PipelineSpec {
    PipelineBuilder::new("shop")
        .stage(StageBuilder::run("fmt", "true"))
        .stage(StageBuilder::run("test", "true").needs(["fmt"]))
        .stage(StageBuilder::run("ship", "true").needs(["test"]))
        .build()
}

async fn events(run: &RunHandle) -> Vec<Event> {
    run.events().try_collect().await.unwrap()
}

/// What is stored gives the state that the run ended in.
async fn replays(run: &RunHandle, report: &RunReport) {
    let events = events(run).await;
    assert!(events.iter().zip(1..).all(|(event, seq)| event.seq == seq));
    let live = report.run();
    let again = Run::replay(live.spec().clone(), live.graph().clone(), live.context().clone(), live.info(), &events);
    assert!(again.unwrap() == *live);
}

#[tokio::test(start_paused = true)]
async fn a_chain_runs_in_order_and_its_record_gives_its_state() {
    let executor = scripted(Script::new().stage("test", [Act::succeed().after(Duration::from_secs(5))]));
    let engine = Engine::builder().executor(executor.clone()).clock(clock()).build().unwrap();
    let run = engine.start(&chain(), options()).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!((report.status, report.number), (RunStatus::Succeeded, 1));
    let order: Vec<_> = executor.started().iter().map(|job| job.stage.to_string()).collect();
    assert_eq!(order, ["fmt", "test", "ship"]);
    replays(&run, &report).await;
    assert!(engine.store().open_runs().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn failures_skip_what_follows_and_retries_wait() {
    let script = Script::new().stage("fmt", [Act::fail(1), Act::succeed()]).stage("test", [Act::fail(2)]);
    let executor = scripted(script);
    let engine = Engine::builder().executor(executor.clone()).clock(clock()).build().unwrap();
    let pipeline = PipelineBuilder::new("shop")
        .stage(StageBuilder::run("fmt", "true").retry(1, Duration::from_secs(3600)))
        .stage(StageBuilder::run("test", "true").needs(["fmt"]))
        .stage(StageBuilder::run("ship", "true").needs(["test"]))
        .build();
    let run = engine.start(&pipeline, options()).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!(report.status, RunStatus::Failed);
    assert_eq!(executor.attempts("fmt"), 2);
    assert_eq!(report.stage("test").unwrap().exit_code, Some(2));
    assert_eq!(report.stage("ship").unwrap().status, Status::Skipped);
    replays(&run, &report).await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_and_a_cancellation_stop_what_runs() {
    let script = || Script::new().stage("fmt", [Act::hang()]);
    let pipeline =
        PipelineBuilder::new("shop").stage(StageBuilder::run("fmt", "true").timeout(Duration::from_secs(60))).build();
    let engine = Engine::builder().executor(scripted(script())).clock(clock()).build().unwrap();
    let report = engine.start(&pipeline, options()).await.unwrap().wait().await.unwrap();
    assert_eq!(report.stage("fmt").unwrap().status, Status::TimedOut);
    let run = engine.start(&chain(), options()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    run.cancel("enough");
    let report = run.wait().await.unwrap();
    assert_eq!(report.status, RunStatus::Cancelled);
    assert_eq!(report.stage("fmt").unwrap().status, Status::Cancelled);
    replays(&run, &report).await;
}

#[tokio::test(start_paused = true)]
async fn an_approval_opens_its_stage_and_a_bad_one_does_not() {
    let engine = Engine::builder().executor(scripted(Script::new())).clock(clock()).build().unwrap();
    let pipeline =
        PipelineBuilder::new("shop").stage(StageBuilder::run("ship", "true").approval(ApprovalSpec::default())).build();
    let run = engine.start(&pipeline, options()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert!(matches!(run.approve("shop", Approval::yes("ann")).await, Err(ApproveError::NoStage(_))));
    let unknown = Approval::yes("ann").with_field("x", "y");
    assert!(matches!(run.approve("ship", unknown).await, Err(ApproveError::Refused(_))));
    run.approve("ship", Approval::yes("ann")).await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
    assert!(matches!(run.approve("ship", Approval::yes("ann")).await, Err(ApproveError::NotDriven)));
}

#[tokio::test(start_paused = true)]
async fn limits_of_engine_executor_and_run_hold() {
    let wide = || {
        let stages = (0..20).map(|index| StageBuilder::run(format!("s{index}"), "true"));
        PipelineBuilder::new("wide").stages(stages).build()
    };
    let slow = || {
        (0..20).fold(Script::new(), |script, index| {
            script.stage(format!("s{index}"), [Act::succeed().after(Duration::from_secs(1))])
        })
    };
    for (engine_limit, executor_limit, run_limit, most) in [(3, 9, 9, 3), (9, 4, 9, 4), (9, 9, 2, 2), (64, 64, 64, 20)]
    {
        let executor = scripted(slow());
        let engine = Engine::builder()
            .executor(executor.clone())
            .clock(clock())
            .max_jobs(engine_limit)
            .executor_limit("local", executor_limit)
            .build()
            .unwrap();
        let run_limit = NonZeroU32::new(run_limit).unwrap();
        let run = engine.start(&wide(), options().max_parallel(run_limit)).await.unwrap();
        assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
        assert_eq!((executor.most_running(), executor.started().len()), (most, 20));
    }
}

#[tokio::test(start_paused = true)]
async fn many_runs_share_an_engine_and_each_gets_its_turn() {
    let wide = |name: &str| {
        let stages = (0..50).map(|index| StageBuilder::run(format!("s{index}"), "true"));
        PipelineBuilder::new(name).stages(stages).build()
    };
    let script = (0..50).fold(Script::new(), |script, index| {
        script.stage(format!("s{index}"), [Act::succeed().after(Duration::from_secs(1))])
    });
    let executor = scripted(script);
    let engine = Engine::builder().executor(executor.clone()).clock(clock()).max_jobs(2).build().unwrap();
    let long = engine.start(&wide("long"), options()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let short = PipelineBuilder::new("late").stage(StageBuilder::run("s0", "true")).build();
    let late = engine.start(&short, options()).await.unwrap();
    late.wait().await.unwrap();
    let before = executor.started().iter().filter(|job| job.run == long.id()).count();
    assert!(before < 12, "the late run waited for {before} jobs of the long one");
    long.wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn runs_of_a_group_go_one_after_another_and_the_newest_cancels() {
    let script = || Script::new().stage("ship", [Act::succeed().after(Duration::from_secs(10))]);
    let executor = scripted(script());
    let engine = Engine::builder().executor(executor.clone()).clock(clock()).build().unwrap();
    let one = PipelineBuilder::new("shop").concurrency("ship").stage(StageBuilder::run("ship", "true")).build();
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(engine.start(&one, options()).await.unwrap());
    }
    for run in &runs {
        assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
    }
    assert_eq!(executor.most_running(), 1);
    let order: Vec<_> = executor.started().iter().map(|job| job.run).collect();
    assert_eq!(order, runs.iter().map(RunHandle::id).collect::<Vec<_>>());

    let newest =
        PipelineBuilder::new("web").concurrency_newest("ship").stage(StageBuilder::run("ship", "true")).build();
    let mut ends = Vec::new();
    for _ in 0..3 {
        ends.push(engine.start(&newest, options()).await.unwrap());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut statuses = Vec::new();
    for run in &ends {
        statuses.push(run.wait().await.unwrap().status);
    }
    assert_eq!(statuses, [RunStatus::Cancelled, RunStatus::Cancelled, RunStatus::Succeeded]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_run_is_refused_with_all_reasons_before_anything_starts() {
    let engine = Engine::builder().executor(scripted(Script::new())).clock(clock()).build().unwrap();
    let pipeline = PipelineBuilder::new("shop")
        .required_param("region")
        .stage(StageBuilder::run("a", "true").executor("moon"))
        .stage(StageBuilder::run("b", "true").secrets(["TOKEN"]))
        .stage(StageBuilder::run("c", "true").environment("production").runs_on(["gpu"]))
        .build();
    let error = engine.start(&pipeline, options()).await.unwrap_err();
    let StartError::Diagnostics(findings) = error else { panic!("{error}") };
    let codes: Vec<_> = findings.0.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["missing-param", "unknown-executor", "unsupported", "unsupported", "missing-secret"]);
    assert!(engine.store().open_runs().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_what_can_run_must_be_able_to() {
    let engine = Engine::builder().executor(scripted(Script::new())).clock(clock()).build().unwrap();
    let pipeline = PipelineBuilder::new("shop")
        .stage(StageBuilder::run("a", "true").executor("moon"))
        .stage(StageBuilder::run("b", "true").secrets(["TOKEN"]).runs_on(["gpu"]))
        .stage(StageBuilder::run("c", "true"))
        .stage(StageBuilder::run("d", "true").needs(["c"]))
        .build();
    let only = |stage: &str| {
        let context = RunContext { only: vec![stage.into()], ..RunContext::manual() };
        engine.start(&pipeline, StartOptions::new(context))
    };
    let run = only("d").await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
    let StartError::Diagnostics(findings) = only("b").await.unwrap_err() else { panic!("another error") };
    let codes: Vec<_> = findings.0.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["unsupported", "missing-secret"]);
    let place = findings.0[1].part.as_ref().unwrap();
    assert_eq!((place.stage.as_deref(), &*place.path), (Some("b"), "secrets[0]"));
}

#[tokio::test(start_paused = true)]
async fn g4_a_context_that_holds_a_secret_is_refused_before_it_is_kept() {
    let secrets = MemorySecrets::new().with("TOKEN", "hunter22");
    let engine = Engine::builder().executor(scripted(Script::new())).clock(clock()).secrets(secrets).build().unwrap();
    let pipeline = PipelineBuilder::new("shop")
        .param("word", "x")
        .stage(StageBuilder::run("a", "true").secrets(["TOKEN"]))
        .build();
    let text = |text: &str| indexmap::IndexMap::from([("word".to_owned(), text.to_owned())]);
    let clear = "see hunter22";
    // In another of its forms: base64.
    let coded = "aHVudGVyMjI=";
    let cases = [
        (RunContext { params: text(clear), ..RunContext::manual() }, "the parameter `word` holds a secret"),
        (RunContext { env: text(coded), ..RunContext::manual() }, "the environment variable `word` holds a secret"),
        (RunContext { custom: text(clear), ..RunContext::manual() }, "the custom value `word` holds a secret"),
        (
            RunContext { git: GitContext { message: clear.into(), ..GitContext::default() }, ..RunContext::manual() },
            "the commit message holds a secret",
        ),
    ];
    for (context, message) in cases {
        let error = engine.start(&pipeline, StartOptions::new(context)).await.unwrap_err();
        let StartError::Diagnostics(findings) = error else { panic!("{error}") };
        assert_eq!(findings.0.iter().map(|finding| &*finding.message).collect::<Vec<_>>(), [message]);
        assert_eq!(findings.0[0].code, "secret-in-clear");
    }
    assert!(engine.store().open_runs().await.unwrap().is_empty());
    let context = RunContext { params: text("else"), ..RunContext::manual() };
    let run = engine.start(&pipeline, StartOptions::new(context)).await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn g4_a_secret_in_an_output_is_refused_and_masked_in_the_log() {
    let script = Script::new().stage("a", [Act::succeed().output("x", "hunter22").log("it is hunter22")]);
    let secrets = MemorySecrets::new().with("TOKEN", "hunter22");
    let engine = Engine::builder().executor(scripted(script)).clock(clock()).secrets(secrets).build().unwrap();
    let pipeline = PipelineBuilder::new("shop").stage(StageBuilder::run("a", "true").secrets(["TOKEN"])).build();
    let run = engine.start(&pipeline, options()).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!(report.stage("a").unwrap().status, Status::Failed);
    assert!(report.products("a").is_none_or(|products| products.outputs.is_empty()));
    let log: Vec<_> = run.logs("a").try_collect().await.unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(&log[0].chunk.text[..], b"it is ***\n");
    let stored = serde_json::to_string(&events(&run).await).unwrap();
    assert!(!stored.contains("hunter22") && stored.contains("holds a secret"), "{stored}");
}

#[tokio::test(start_paused = true)]
async fn an_output_that_is_not_there_fails_its_reader_without_a_job() {
    let executor = scripted(Script::new());
    let engine = Engine::builder().executor(executor.clone()).clock(clock()).build().unwrap();
    let pipeline = PipelineBuilder::new("shop")
        .stage(StageBuilder::run("a", "true"))
        .stage(StageBuilder::run("b", "true").needs(["a"]).env("X", "${stages.a.outputs.version}"))
        .build();
    let run = engine.start(&pipeline, options()).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!(executor.attempts("b"), 0);
    let reason = report.stage("b").unwrap().reason.unwrap().to_string();
    assert_eq!(reason, "start: stage `a` did not set the output `version`");
}

#[tokio::test(start_paused = true)]
async fn g2_a_run_goes_on_after_a_shutdown_and_lost_jobs_are_lost() {
    let (store, clock) = (MemoryStore::new(), clock());
    let engine = |script| {
        let executor = scripted(script);
        let shared = Arc::new(store.clone());
        let engine = Engine::builder().executor(executor.clone()).clock(clock.clone()).store(shared).build().unwrap();
        (engine, executor)
    };
    let (first, _) = engine(Script::new().stage("test", [Act::hang()]));
    let run = first.start(&chain(), options()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    first.shutdown().await;
    assert!(matches!(run.wait().await, Err(RunError::HandedOver)));
    assert!(matches!(first.start(&chain(), options()).await, Err(StartError::ShuttingDown)));

    let (second, executor) = engine(Script::new());
    let runs = second.resume().await.unwrap();
    let report = runs[0].wait().await.unwrap();
    assert_eq!((runs.len(), report.id), (1, run.id()));
    assert_eq!(report.stage("test").unwrap().status, Status::Lost);
    assert_eq!(report.status, RunStatus::Failed);
    assert!(executor.started().is_empty());
    replays(&runs[0], &report).await;
}

#[tokio::test(start_paused = true)]
async fn g11_an_engine_that_lost_its_lease_writes_nothing_more() {
    let store = MemoryStore::new();
    let executor = scripted(Script::new().stage("fmt", [Act::succeed().after(Duration::from_secs(5))]));
    let shared = Arc::new(store.clone());
    let engine = Engine::builder().executor(executor).clock(clock()).store(shared).build().unwrap();
    let run = engine.start(&chain(), options()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let later: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
    let lease = crate::store::Lease { worker: "other".into(), until: later };
    store.lease_run(run.id(), lease, later).await.unwrap();
    let before = store.events(run.id(), 0, 100).await.unwrap().last_seq;
    assert!(matches!(run.wait().await, Err(RunError::LeaseLost)));
    assert_eq!(store.events(run.id(), 0, 100).await.unwrap().last_seq, before);
}

#[tokio::test(start_paused = true)]
async fn g2_a_run_that_ended_and_was_not_cleaned_is_closed_by_the_next_engine() {
    let store = MemoryStore::new();
    let faults = Arc::new(KillAt::new(CrashPoint::RunFinished, 1).with_death(Death::Panic));
    let shared = Arc::new(store.clone());
    let builder = Engine::builder().executor(scripted(Script::new())).clock(clock()).worker("one");
    let engine = builder.store(shared.clone()).faults(faults).build().unwrap();
    let run = engine.start(&chain(), options()).await.unwrap();
    assert!(matches!(run.wait().await, Err(RunError::Broken)));
    assert_eq!(store.open_runs().await.unwrap(), [run.id()]);
    let builder = Engine::builder().executor(scripted(Script::new())).clock(clock()).worker("one");
    let engine = builder.store(shared).build().unwrap();
    assert!(engine.resume().await.unwrap().is_empty());
    assert!(store.open_runs().await.unwrap().is_empty());
}

#[derive(Debug)]
struct Panics;

#[async_trait::async_trait]
impl crate::executor::Executor for Panics {
    fn name(&self) -> &str {
        "panics"
    }

    fn supports(&self, _: &crate::job::JobSpec) -> Result<(), crate::executor::Unsupported> {
        Ok(())
    }

    async fn run(
        &self,
        _: &crate::job::JobSpec,
        _: crate::executor::JobContext,
    ) -> Result<JobOutcome, crate::executor::ExecutorError> {
        panic!("as a careless executor does")
    }
}

#[tokio::test(start_paused = true)]
async fn g7_an_executor_that_panics_fails_its_job_and_nothing_else() {
    let engine = Engine::builder().executor(Panics).clock(clock()).build().unwrap();
    let run = engine.start(&chain(), options()).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!(report.status, RunStatus::Failed);
    let finished = events(&run).await.into_iter().find_map(|event| match event.body {
        EventBody::AttemptFinished { outcome, .. } => outcome.cause,
        _ => None,
    });
    assert_eq!(finished, Some(Cause::Infrastructure));
}

/// Secrets that are a while away.
#[derive(Debug)]
struct FarSecrets;

#[async_trait::async_trait]
impl crate::secret::SecretSource for FarSecrets {
    async fn secret(&self, _: &str) -> Result<Option<secrecy::SecretString>, crate::secret::SecretError> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Some("a long secret".to_owned().into()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_taken_up_twice_at_once_is_driven_once() {
    let store = Arc::new(MemoryStore::new());
    let ship = StageBuilder::run("ship", "true").secrets(["TOKEN"]).retry(1, Duration::ZERO);
    let pipeline = PipelineBuilder::new("shop").stage(ship).build();
    let clock = clock();
    let engine = |executor: &ScriptedExecutor, worker: &str| {
        let builder = Engine::builder().executor(executor.clone()).store(store.clone()).clock(clock.clone());
        builder.secrets(FarSecrets).worker(worker).build().unwrap()
    };
    let first = engine(&scripted(Script::new().stage("ship", [Act::hang()])), "first");
    let run = first.start(&pipeline, options()).await.unwrap().id();
    tokio::time::sleep(Duration::from_secs(1)).await;
    first.shutdown().await;
    // The attempt ended with its engine; another one follows, and hangs.
    let executor = scripted(Script::new().stage("ship", [Act::hang()]));
    let second = engine(&executor, "second");
    let (one, other) = tokio::join!(second.resume_run(run), second.resume_run(run));
    let (one, other) = (one.unwrap().unwrap(), other.unwrap().unwrap());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(executor.started().len(), 1);
    one.cancel("enough");
    let (one, other) = tokio::join!(one.wait(), other.wait());
    assert_eq!((one.unwrap().status, other.unwrap().status), (RunStatus::Cancelled, RunStatus::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn a_full_executor_holds_nobody_up_however_many_wait_for_it() {
    let slow = ScriptedExecutor::new("slow", Script::new().stage("slow-0", [Act::hang()]));
    let quick = ScriptedExecutor::new("quick", Script::new());
    let builder = Engine::builder().executor(slow).executor_limit("slow", 1).executor(quick.clone());
    let engine = builder.clock(clock()).build().unwrap();
    let many = (0..10_000).map(|at| StageBuilder::run(format!("slow-{at}"), "true").executor("slow"));
    let last = StageBuilder::run("quick", "true").executor("quick");
    let pipeline = many.chain([last]).fold(PipelineBuilder::new("shop"), PipelineBuilder::stage).build();
    let run = engine.start(&pipeline, options()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(quick.attempts("quick"), 1);
    run.cancel("enough");
    replays(&run, &run.wait().await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn a_group_that_depends_on_the_number_of_its_run_is_refused() {
    let engine = Engine::builder().executor(scripted(Script::new())).clock(clock()).build().unwrap();
    let direct = PipelineBuilder::new("shop").concurrency("deploy-${run.number}");
    let through_env = PipelineBuilder::new("shop").env("N", "${run.number}").concurrency("deploy-${env.N}");
    for pipeline in [direct, through_env] {
        let pipeline = pipeline.stage(StageBuilder::run("ship", "true")).build();
        let refused = engine.start(&pipeline, options()).await.unwrap_err();
        assert!(format!("{refused}").contains("before it has its number"), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_not_stopped_in_the_place_of_the_one_before_it() {
    // The first ends by itself at the very moment of its deadline.
    let script = [Act::fail(1).after(Duration::from_secs(1)), Act::succeed().after(Duration::from_millis(500))];
    let executor = scripted(Script::new().stage("a", script));
    let engine = Engine::builder().executor(executor.clone()).clock(clock()).build().unwrap();
    let stage = StageBuilder::run("a", "true").timeout(Duration::from_secs(1)).retry(1, Duration::ZERO);
    let run = engine.start(&PipelineBuilder::new("shop").stage(stage).build(), options()).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!((report.status, executor.attempts("a")), (RunStatus::Succeeded, 2));
    replays(&run, &report).await;
}

/// An executor that gives each of its remains away once, and takes a while to remove it.
#[derive(Debug, Default)]
struct Littering {
    left: std::sync::Mutex<Vec<crate::id::JobId>>,
    removed: std::sync::Mutex<Vec<crate::id::JobId>>,
}

#[async_trait::async_trait]
impl crate::executor::Executor for Littering {
    fn name(&self) -> &str {
        "littering"
    }

    fn supports(&self, _: &crate::job::JobSpec) -> Result<(), crate::executor::Unsupported> {
        Ok(())
    }

    async fn run(
        &self,
        job: &crate::job::JobSpec,
        ctx: crate::executor::JobContext,
    ) -> Result<JobOutcome, crate::executor::ExecutorError> {
        self.left.lock().unwrap().push(job.id.clone());
        ctx.log_line(&job.id, crate::job::Stream::Stdout, "a line").await?;
        let bytes = "and half of one".into();
        ctx.log(&job.id, crate::executor::LogWrite { stream: crate::job::Stream::Stdout, bytes, position: None })
            .await?;
        assert!(&*job.id.stage != "panics", "as it was asked to");
        Ok(JobOutcome::succeeded())
    }

    async fn release(&self, job: &crate::id::JobId) -> Result<(), crate::executor::ExecutorError> {
        let found = self.left.lock().unwrap().iter().position(|left| left == job);
        if let Some(at) = found {
            self.left.lock().unwrap().swap_remove(at);
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.removed.lock().unwrap().push(job.clone());
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn g8_what_is_removed_is_removed_once_and_to_the_end() {
    let executor = Arc::new(Littering::default());
    let engine = Engine::builder().executor(Arc::clone(&executor)).clock(clock()).build().unwrap();
    engine.start(&chain(), options()).await.unwrap().wait().await.unwrap();
    assert_eq!(executor.removed.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn g3_the_log_of_a_job_whose_executor_panics_is_whole() {
    let engine = Engine::builder().executor(Littering::default()).clock(clock()).build().unwrap();
    let pipeline = PipelineBuilder::new("shop").stage(StageBuilder::run("panics", "true")).build();
    let run = engine.start(&pipeline, options()).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!(report.stage("panics").unwrap().status, Status::Failed);
    let log: Vec<_> = run.logs("panics").try_collect().await.unwrap();
    let text: Vec<u8> = log.iter().flat_map(|log| log.chunk.text.to_vec()).collect();
    assert_eq!(String::from_utf8(text).unwrap().lines().collect::<Vec<_>>(), ["a line", "and half of one"]);
}

#[tokio::test(start_paused = true)]
async fn stages_of_many_executors_get_their_turn_whatever_the_limits() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for round in 0..60 {
        let stages = 5 + draw(60);
        let mut builder = Engine::builder().clock(clock());
        for executor in 0..3 {
            let script = (0..stages).fold(Script::new(), |script, stage| {
                let acts = [0; 3].map(|_| {
                    let act = if draw(4) == 0 { Act::fail(1) } else { Act::succeed() };
                    if draw(2) == 0 { act } else { act.after(Duration::from_millis(draw(3) * 500)) }
                });
                script.stage(format!("s{stage}"), acts)
            });
            builder = builder.executor(ScriptedExecutor::new(format!("e{executor}"), script));
            if draw(2) == 0 {
                builder = builder.executor_limit(format!("e{executor}"), 1 + draw(3) as usize);
            }
        }
        if draw(2) == 0 {
            builder = builder.max_jobs(1 + draw(4) as usize);
        }
        let engine = builder.build().unwrap();
        let mut runs = Vec::new();
        for _ in 0..3 {
            let mut pipeline = PipelineBuilder::new("p");
            if draw(2) == 0 {
                pipeline = pipeline.max_parallel(NonZeroU32::new(1 + draw(4) as u32).unwrap());
            }
            for at in 0..stages {
                let stage = StageBuilder::run(format!("s{at}"), "true").executor(format!("e{}", draw(3)));
                let mut stage = stage.allow_failure();
                if at > 0 && draw(2) == 0 {
                    stage = stage.needs([format!("s{}", draw(at))]);
                }
                if draw(2) == 0 {
                    stage = stage.retry(1 + draw(2) as u32, Duration::from_millis(draw(3) * 250));
                }
                pipeline = pipeline.stage(stage);
            }
            let mut options = options();
            if draw(2) == 0 {
                options.max_parallel = NonZeroU32::new(1 + draw(3) as u32);
            }
            runs.push(engine.start(&pipeline.build(), options).await.unwrap());
        }
        for run in &runs {
            let report = tokio::time::timeout(Duration::from_secs(100_000), run.wait()).await;
            let report = report.unwrap_or_else(|_| panic!("a run of round {round} hangs")).unwrap();
            assert_eq!(report.status, RunStatus::Succeeded);
            replays(run, &report).await;
        }
    }
}
