//! What a hit brings, and when one is taken.

use super::*;
use crate::id::TenantId;

#[tokio::test(start_paused = true)]
async fn a_hit_brings_outputs_artifacts_and_the_log_and_makes_no_attempt() {
    let archive = Digest::of(b"bin");
    let made = Act::end(JobOutcome::succeeded().with_products(products(archive))).log("compiling").log("done");
    let world = World::new(Script::new().stage("build", [made]));
    world.store.put(blob_of("bin")).await.unwrap();
    let ship = StageBuilder::run("ship", "ship ${stages.build.outputs.version} ${stages.build.outputs.none:-x}");
    let pipeline = PipelineBuilder::new("shop").stage(cacheable("build", "make")).stage(ship.needs(["build"])).build();
    let (first, _) = world.run(&pipeline, options()).await;
    let (second, report) = world.run(&pipeline, options()).await;
    assert_eq!((world.executor.attempts("build"), world.executor.attempts("ship")), (1, 2));
    assert_eq!(report.stage("build"), Some(StageResult::taken()));
    assert_eq!(report.products("build"), Some(&products(archive)));
    let taken = events(&second).await.into_iter().find_map(|event| match event.body {
        EventBody::ResultTaken { result, .. } => Some(*result),
        _ => None,
    });
    let TakenResult { run, stage, attempt, .. } = taken.unwrap();
    assert_eq!((run, stage, attempt), (first.id(), "build".into(), 1));
    assert_eq!(log_of(&second, "build").await, [(0, "compiling".to_owned()), (0, "done".to_owned())]);
    assert_eq!(log_of(&first, "build").await, [(1, "compiling".to_owned()), (1, "done".to_owned())]);
    // One that takes from one that took.
    let (third, _) = world.run(&pipeline, options()).await;
    assert_eq!(log_of(&third, "build").await.len(), 2);
    assert_eq!(world.executor.attempts("build"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_log_lies_in_a_blob_and_comes_back_whole() {
    let lines: Vec<String> = (0..20_000).map(|number| format!("line {number} of a long log")).collect();
    let act = lines.iter().fold(Act::succeed(), |act, line| act.log(line.clone()));
    let world = World::new(Script::new().stage("build", [act]));
    world.run(&one(cacheable("build", "make")), options()).await;
    let (run, _) = world.run(&one(cacheable("build", "make")), options()).await;
    let log = log_of(&run, "build").await;
    assert!(log.into_iter().eq(lines.into_iter().map(|line| (0, line))));
    assert_eq!(world.executor.attempts("build"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_condition_and_an_approval_come_before_a_hit() {
    let world = World::new(Script::new());
    assert_eq!(world.runs(&one(cacheable("build", "make")), options()).await, 1);
    let (_, report) = world.run(&one(cacheable("build", "make").when("git.branch == 'main'")), options()).await;
    assert_eq!(report.stage("build").unwrap().status, Status::Skipped);
    let gated = one(cacheable("build", "make").approval(ApprovalSpec::default()));
    let engine = world.builder().build().unwrap();
    let run = engine.start(&gated, options()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    run.approve("build", Approval::yes("ann")).await.unwrap();
    assert_eq!(run.wait().await.unwrap().stage("build"), Some(StageResult::taken()));
    let refused = engine.start(&gated, options()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    refused.approve("build", Approval::no("ann")).await.unwrap();
    assert_eq!(refused.wait().await.unwrap().status, RunStatus::Failed);
    assert_eq!(world.executor.attempts("build"), 1);
}

#[tokio::test(start_paused = true)]
async fn every_stage_of_a_wide_pipeline_is_taken_whatever_the_limits() {
    let world = World { store: MemoryStore::new(), executor: scripted(Script::new()) };
    let other = ScriptedExecutor::new("other", Script::new());
    let stages = (0..600).map(|number| {
        let stage = cacheable(&format!("s{number}"), &format!("make {number}"));
        if number % 2 == 0 { stage } else { stage.executor("other") }
    });
    let plain = StageBuilder::run("plain", "true").executor("other");
    let pipeline = PipelineBuilder::new("wide").max_parallel(NonZeroU32::MIN).stages(stages).stage(plain).build();
    for started in [601, 602] {
        let engine = world.builder().executor(other.clone()).build().unwrap();
        let run = engine.start(&pipeline, options()).await.unwrap();
        let report = run.wait().await.unwrap();
        assert_eq!(report.status, RunStatus::Succeeded);
        replays(&run, &report).await;
        assert_eq!(world.executor.started().len() + other.started().len(), started);
    }
    assert_eq!(other.most_running(), 1);
}

/// G5: what one tenant has kept is nothing to another, nor to who has no tenant.
#[tokio::test(start_paused = true)]
async fn results_of_another_tenant_are_not_taken() {
    let world = World::new(Script::new());
    let pipeline = one(cacheable("build", "make"));
    let tenants = [TenantId::NONE, TenantId::new(), TenantId::new()];
    for runs in [1, 0] {
        for tenant in tenants {
            assert_eq!(world.runs(&pipeline, options().tenant(tenant)).await, runs, "{tenant}");
        }
    }
}

/// What an executor makes of what anybody may have written is nothing to others; what others have made is something to it.
#[tokio::test(start_paused = true)]
async fn a_fork_takes_results_and_leaves_none() {
    let world = World::new(Script::new());
    let pipeline = one(cacheable("build", "make"));
    let pull_request = Some(PullRequest { number: 7, fork: true, ..PullRequest::default() });
    let fork = StartOptions::new(RunContext { pull_request, ..RunContext::manual() });
    assert_eq!(world.runs(&pipeline, fork.clone()).await, 1);
    assert_eq!(world.runs(&pipeline, options()).await, 1, "what a fork has made is not taken");
    assert_eq!(world.runs(&pipeline, fork).await, 0);
}
