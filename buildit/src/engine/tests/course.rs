//! The course of a run: order, retries, timeouts, approvals.

use super::*;

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
