//! Which results are kept, and how long.

use super::*;

#[tokio::test(start_paused = true)]
async fn only_a_success_is_kept() {
    let script = Script::new().stage("build", [Act::fail(1), Act::fail(1), Act::succeed().log("fine")]);
    let world = World::new(script);
    let pipeline = one(cacheable("build", "make").allow_failure());
    assert_eq!(world.runs(&pipeline, options()).await, 1);
    let again = one(cacheable("build", "make").retry(1, Duration::from_secs(1)));
    let (_, report) = world.run(&again, options()).await;
    assert_eq!(report.stage("build").unwrap().status, Status::Failed);
    // The script begins anew with each run; the retry of this one succeeds.
    let retried = one(cacheable("build", "make").retry(2, Duration::from_secs(1)));
    assert_eq!(world.runs(&retried, options()).await, 3);
    let (run, _) = world.run(&pipeline, options()).await;
    assert_eq!(log_of(&run, "build").await, [(0, "fine".to_owned())]);
    assert_eq!(world.executor.attempts("build"), 6);
}

#[tokio::test(start_paused = true)]
async fn a_result_is_true_though_its_engine_died_before_it_was_recorded() {
    let world = World::new(Script::new());
    let pipeline = one(cacheable("build", "make"));
    let faults = Arc::new(KillAt::new(CrashPoint::BeforeOutcomeAppended, 1).with_death(Death::Panic));
    let engine = world.builder().worker("one").faults(faults).build().unwrap();
    let run = engine.start(&pipeline, options()).await.unwrap();
    assert!(matches!(run.wait().await, Err(RunError::Broken)));
    let next = world.builder().worker("one").build().unwrap();
    let report = next.resume().await.unwrap()[0].wait().await.unwrap();
    assert_eq!(report.stage("build").unwrap().status, Status::Lost);
    assert_eq!(world.runs(&pipeline, options()).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_an_engine_began_to_restore_is_restored_once() {
    let world = World::new(Script::new().stage("build", [Act::succeed().log("a").log("b").log("c")]));
    let pipeline = one(cacheable("build", "make"));
    world.run(&pipeline, options()).await;
    // The run waits for its approval, and another engine had stored some of the log.
    let gated = one(cacheable("build", "make").approval(ApprovalSpec::default()));
    let engine = world.builder().worker("one").build().unwrap();
    let run = engine.start(&gated, options()).await.unwrap();
    let job = JobId { run: run.id(), stage: "build".into(), attempt: 0 };
    let text = bytes::Bytes::from_static(b"a\nb\n");
    let chunk = LogChunk { first_line: 1, lines: 2, time: Timestamp::UNIX_EPOCH, stream: Stream::Stdout, text };
    let cursor = LogCursor { line: 2, ..LogCursor::default() };
    let token = crate::id::FencingToken(1);
    let append = LogAppend { job: &job, token, expected_line: 0, chunks: &[chunk], cursor };
    world.store.append_log(append).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    run.approve("build", Approval::yes("ann")).await.unwrap();
    run.wait().await.unwrap();
    assert_eq!(log_of(&run, "build").await, ["a", "b", "c"].map(|line| (0, line.to_owned())));
}

#[tokio::test(start_paused = true)]
async fn two_runs_that_make_the_same_at_once_keep_one_result() {
    let world = World::new(Script::new().stage("build", [Act::succeed().after(Duration::from_secs(5))]));
    let pipeline = one(cacheable("build", "make"));
    let engine = world.builder().build().unwrap();
    let (one, two) = tokio::join!(engine.start(&pipeline, options()), engine.start(&pipeline, options()));
    let (one, two) = (one.unwrap(), two.unwrap());
    let (first, second) = tokio::join!(one.wait(), two.wait());
    assert_eq!((first.unwrap().status, second.unwrap().status), (RunStatus::Succeeded, RunStatus::Succeeded));
    assert_eq!(world.executor.attempts("build"), 2);
    assert_eq!(world.runs(&pipeline, options()).await, 0);
}

#[tokio::test(start_paused = true)]
async fn results_that_were_not_used_make_room() {
    let world = World::new(Script::new());
    let engine = world.builder().max_results(2).build().unwrap();
    for command in ["a", "b", "a", "c", "a", "b"] {
        engine.start(&one(cacheable("build", command)), options()).await.unwrap().wait().await.unwrap();
    }
    // `a` is taken twice; `b` had to go for `c`.
    assert_eq!(world.executor.attempts("build"), 4);
}
