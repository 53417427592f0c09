//! Several engines on one database: concurrency groups, and the shares of tenants.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use buildit::engine::{Asked, Engine, QueueOptions, StartOptions, WorkOptions};
use buildit::event::{Approval, EventBody, RunStatus};
use buildit::id::{RunId, TenantId};
use buildit::pipeline::{ApprovalSpec, PipelineBuilder, PipelineSpec, RunContext, StageBuilder};
use buildit::store::{Claim, Enqueue, Share, Store};
use buildit::testing::{Act, Script, ScriptedExecutor};

/// How long a test may take.
const LONGEST: Duration = Duration::from_secs(120);

fn engine(store: &Arc<dyn Store>, executor: &ScriptedExecutor) -> Engine {
    Engine::builder().store(Arc::clone(store)).executor(executor.clone()).build().unwrap()
}

fn options() -> StartOptions {
    StartOptions::new(RunContext::manual())
}

/// Every run takes a moment.
fn brief() -> ScriptedExecutor {
    ScriptedExecutor::new("local", Script::new().stage("ship", [Act::succeed().after(Duration::from_millis(100))]))
}

fn grouped() -> PipelineSpec {
    PipelineBuilder::new("shop").concurrency("ship").stage(StageBuilder::run("ship", "true")).build()
}

async fn ended(store: &Arc<dyn Store>, runs: &[RunId]) -> Vec<RunStatus> {
    let begun = Instant::now();
    let mut statuses = Vec::new();
    for run in runs {
        loop {
            let status = store.run(*run).await.unwrap().status;
            if status.is_final() {
                statuses.push(status);
                break;
            }
            assert!(begun.elapsed() < LONGEST, "run {run} goes on and on");
            tokio::task::yield_now().await;
        }
    }
    statuses
}

/// Runs of one group, half of them queued, on engines of which each has its own way to the database.
pub(crate) async fn groups_hold(stores: &[Arc<dyn Store>]) {
    let executor = brief();
    let engines: Vec<Engine> = stores.iter().map(|store| engine(store, &executor)).collect();
    let mut runs = Vec::new();
    for turn in 0..10 {
        let engine = &engines[turn % engines.len()];
        runs.push(match turn % 4 {
            0 => engine.start(&grouped(), options()).await.unwrap().id(),
            _ => engine.enqueue(&grouped(), options(), QueueOptions::default()).await.unwrap().run.id,
        });
    }
    let work: Vec<_> = (engines.iter().cloned())
        .map(|engine| tokio::spawn(async move { engine.work(WorkOptions { runs: 4, ..WorkOptions::default() }).await }))
        .collect();
    assert_eq!(ended(&stores[0], &runs).await, [RunStatus::Succeeded; 10]);
    assert_eq!(executor.most_running(), 1);
    assert_eq!(executor.started().iter().map(|job| job.run).collect::<Vec<_>>(), runs);

    let hanging = ScriptedExecutor::new("local", Script::new().stage("ship", [Act::hang(), Act::succeed()]));
    let first = engine(&stores[0], &hanging);
    let newest =
        PipelineBuilder::new("web").concurrency_newest("ship").stage(StageBuilder::run("ship", "true")).build();
    let old = first.start(&newest, options()).await.unwrap();
    let begun = Instant::now();
    while hanging.started().is_empty() {
        assert!(begun.elapsed() < LONGEST, "it does not start");
        tokio::task::yield_now().await;
    }
    let last = stores.last().unwrap();
    let new = engines.last().unwrap().start(&newest, options()).await.unwrap();
    assert_eq!(ended(last, &[old.id(), new.id()]).await, [RunStatus::Cancelled, RunStatus::Succeeded]);
    for engine in &engines {
        engine.shutdown().await;
    }
    for work in work {
        work.await.unwrap();
    }
}

/// What is asked through one engine of runs that another one drives, or none.
pub(crate) async fn asks_are_heeded(stores: &[Arc<dyn Store>]) {
    let hanging = ScriptedExecutor::new("local", Script::new().stage("ship", [Act::hang(), Act::succeed()]));
    let engines: Vec<Engine> = stores.iter().map(|store| engine(store, &hanging)).collect();
    let [one, other] = &engines[..] else { panic!("two engines ask and drive") };
    let gated = PipelineBuilder::new("gated")
        .stage(StageBuilder::run("gate", "true").approval(ApprovalSpec::default()))
        .stage(StageBuilder::run("ship", "true").needs(["gate"]))
        .build();
    let store = &stores[1];
    let until = async |run, wanted: RunStatus| {
        let begun = Instant::now();
        while store.run(run).await.unwrap().status != wanted {
            assert!(begun.elapsed() < LONGEST, "run {run} is never {}", wanted.as_str());
            tokio::task::yield_now().await;
        }
    };
    let run = one.start(&gated, options()).await.unwrap().id();
    until(run, RunStatus::Waiting).await;
    assert_eq!(other.answer(run, "gate", Approval::yes("ann")).await.unwrap(), Asked::Heeded);
    let events = store.events(run, 0, 1000).await.unwrap().events;
    assert!(
        events
            .iter()
            .any(|event| matches!(&event.body, EventBody::ApprovalGiven { approval, .. } if approval.by == "ann"))
    );
    assert_eq!(other.cancel(run, "late").await.unwrap(), Asked::Kept);
    assert_eq!(ended(&stores[1], &[run]).await, [RunStatus::Cancelled]);

    // Asked while nobody drives it, and heeded by who comes.
    let run = one.start(&gated, options()).await.unwrap().id();
    until(run, RunStatus::Waiting).await;
    one.shutdown().await;
    assert_eq!(other.cancel(run, "late").await.unwrap(), Asked::Kept);
    other.resume_run(run).await.unwrap();
    assert_eq!(ended(&stores[0], &[run]).await, [RunStatus::Cancelled]);

    // In the queue: at once, and by nobody.
    let run = other.enqueue(&gated, options(), QueueOptions::default()).await.unwrap().run.id;
    assert_eq!(other.cancel(run, "not needed").await.unwrap(), Asked::Heeded);
    assert_eq!(store.run(run).await.unwrap().status, RunStatus::Cancelled);
    let claim = Claim { worker: "last".into(), limit: 9, lease: Duration::from_secs(1) };
    assert_eq!(store.claim(claim, jiff::Timestamp::now()).await.unwrap(), []);
    assert_eq!(store.open_runs().await.unwrap(), []);
    other.shutdown().await;
}

/// Claimers that take and complete runs of three tenants at once: limits hold, nothing is taken twice, all of it is
/// taken, and the turns are shared.
pub(crate) async fn shares_hold(
    stores: &[Arc<dyn Store>],
    claimers: usize,
    new_run: fn(&str) -> buildit::store::NewRun,
) {
    const EACH: usize = 300;
    let (limited, light, heavy) = (TenantId::new(), TenantId::new(), TenantId::new());
    let store = &stores[0];
    let share = |weight, most| Share { weight: NonZeroU32::new(weight).unwrap(), max_running: NonZeroU32::new(most) };
    store.set_share(limited, share(9, 3)).await.unwrap();
    store.set_share(heavy, share(2, 0)).await.unwrap();
    for tenant in [limited, light, heavy] {
        let mut jobs = Vec::new();
        for _ in 0..EACH {
            let run = new_run("sample");
            let scheduled_for = run.created_at;
            jobs.push(Enqueue { run: run.id, tenant, priority: 0, scheduled_for, max_attempts: 3 });
            store.create_run(run).await.unwrap();
        }
        store.enqueue_all(jobs).await.unwrap();
    }
    let now = new_run("sample").created_at;
    /// What is known outside of the store: how many are surely under way of the limited tenant, and the order of taking.
    #[derive(Default)]
    struct Seen {
        limited: usize,
        order: Vec<(RunId, TenantId)>,
    }
    let seen = Arc::new(std::sync::Mutex::new(Seen::default()));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..claimers)
        .map(|claimer| {
            let (store, seen) = (Arc::clone(&stores[claimer % stores.len()]), Arc::clone(&seen));
            tokio::spawn(async move {
                while seen.lock().unwrap().order.len() < 3 * EACH {
                    assert!(begun.elapsed() < LONGEST, "{} of the runs were taken", seen.lock().unwrap().order.len());
                    let worker = format!("claimer {claimer}").as_str().into();
                    let claim = Claim { worker, limit: 1 + claimer % 5, lease: Duration::from_secs(60) };
                    let jobs = store.claim(claim, now).await.unwrap();
                    {
                        let mut seen = seen.lock().unwrap();
                        seen.order.extend(jobs.iter().map(|job| (job.run, job.tenant)));
                        seen.limited += jobs.iter().filter(|job| job.tenant == limited).count();
                        assert!(seen.limited <= 3, "{} of a limit of 3 are under way", seen.limited);
                    }
                    tokio::task::yield_now().await;
                    for job in jobs {
                        // Before the store knows it: nobody can take another one until then.
                        if job.tenant == limited {
                            seen.lock().unwrap().limited -= 1;
                        }
                        store.complete(job.run, job.token).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let seen = seen.lock().unwrap();
    let different: std::collections::HashSet<RunId> = seen.order.iter().map(|(run, _)| *run).collect();
    assert_eq!((seen.order.len(), different.len()), (3 * EACH, 3 * EACH), "each is taken once");
    // While all three wait, the heavy one has about twice as many turns as the light one.
    let early = &seen.order[..EACH / 2];
    let of = |tenant| early.iter().filter(|(_, taken)| *taken == tenant).count() as f64;
    let ratio = of(heavy) / of(light);
    assert!((1.6..2.5).contains(&ratio), "the turns of the tenants of weights 2 and 1 are as {ratio}");
}
