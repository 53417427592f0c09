//! What is asked of runs that another engine drives, or none.

use super::*;
use crate::store::{Ask, AskStore, QueueStore};

fn engine(store: &MemoryStore, clock: &Arc<SimulatedClock>, executor: &ScriptedExecutor) -> Engine {
    let builder = Engine::builder().store(Arc::new(store.clone())).clock(clock.clone());
    builder.executor(executor.clone()).build().unwrap()
}

fn gated() -> PipelineSpec {
    PipelineBuilder::new("shop").stage(StageBuilder::run("ship", "true").approval(ApprovalSpec::default())).build()
}

async fn until_waiting(store: &MemoryStore, run: RunId) {
    while store.run(run).await.unwrap().status != RunStatus::Waiting {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn answers(store: &MemoryStore, run: RunId) -> usize {
    let events = store.events(run, 0, 1000).await.unwrap().events;
    events.iter().filter(|event| matches!(event.body, EventBody::ApprovalGiven { .. })).count()
}

/// Nothing is asked of the run any more.
async fn settled(store: &MemoryStore, run: RunId) {
    while !store.asks(&[run], 9).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn another_engine_answers_and_cancels() {
    let (store, clock) = (MemoryStore::new(), clock());
    let executor = scripted(Script::new().stage("fmt", [Act::hang()]));
    let (one, other) = (engine(&store, &clock, &executor), engine(&store, &clock, &executor));

    let run = one.start(&gated(), options()).await.unwrap();
    until_waiting(&store, run.id()).await;
    let unknown = other.answer(run.id(), "shop", Approval::yes("ann")).await;
    assert!(matches!(unknown, Err(AskError::Refused(ApproveError::NoStage(_)))), "{unknown:?}");
    let bad = other.answer(run.id(), "ship", Approval::yes("ann").with_field("x", "y")).await;
    assert!(matches!(bad, Err(AskError::Refused(ApproveError::Refused(_)))), "{bad:?}");
    assert_eq!(other.answer(run.id(), "ship", Approval::yes("ann")).await.unwrap(), Asked::Heeded);
    assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
    assert!(matches!(other.answer(run.id(), "ship", Approval::yes("eve")).await, Err(AskError::Ended)));

    let run = one.start(&chain(), options()).await.unwrap();
    while executor.started().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(other.cancel(run.id(), "it is late").await.unwrap(), Asked::Kept);
    assert!(other.cancel(run.id(), "again").await.is_ok());
    let report = run.wait().await.unwrap();
    assert_eq!(report.status, RunStatus::Cancelled);
    assert_eq!(report.run().cancel_reason(), Some("it is late"));
    assert!(matches!(other.cancel(run.id(), "again").await, Err(AskError::Ended)));
}

#[tokio::test(start_paused = true)]
async fn a_run_in_the_queue_is_cancelled_at_once_and_taken_up_by_nobody() {
    let (store, clock) = (MemoryStore::new(), clock());
    let executor = scripted(Script::new());
    let queueing = engine(&store, &clock, &executor);
    let grouped = PipelineBuilder::new("shop").concurrency("ship").stage(StageBuilder::run("ship", "true")).build();
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(queueing.enqueue(&grouped, options(), QueueOptions::default()).await.unwrap().run.id);
    }
    // One that has no executor at all.
    let other = Engine::builder().store(Arc::new(store.clone())).clock(clock.clone()).build().unwrap();
    for run in &runs[..2] {
        assert_eq!(other.cancel(*run, "not needed").await.unwrap(), Asked::Heeded);
        assert_eq!(store.run(*run).await.unwrap().status, RunStatus::Cancelled);
        assert!(matches!(other.cancel(*run, "again").await, Err(AskError::Ended)));
    }
    assert_eq!(store.open_runs().await.unwrap(), runs[2..]);
    let claim = crate::store::Claim { worker: "last".into(), limit: 9, lease: Duration::from_secs(1) };
    let left = store.claim(claim, "2100-01-01T00:00:00Z".parse().unwrap()).await.unwrap();
    assert_eq!(left.iter().map(|job| job.run).collect::<Vec<_>>(), runs[2..]);
    assert!(executor.started().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_of_an_engine_that_died_is_heeded_by_the_next_one() {
    let (store, clock) = (MemoryStore::new(), clock());
    let executor = scripted(Script::new());
    let one = engine(&store, &clock, &executor);
    let run = one.start(&gated(), options()).await.unwrap().id();
    until_waiting(&store, run).await;
    one.shutdown().await;

    let other = engine(&store, &clock, &executor);
    assert_eq!(other.answer(run, "ship", Approval::yes("ann")).await.unwrap(), Asked::Kept);
    let late = other.answer(run, "ship", Approval::yes("eve")).await;
    assert!(matches!(late, Err(AskError::Answered(_))), "{late:?}");
    let next = engine(&store, &clock, &executor);
    let handle = next.resume_run(run).await.unwrap().unwrap();
    let report = handle.wait().await.unwrap();
    assert_eq!(report.status, RunStatus::Succeeded);
    assert_eq!(answers(&store, run).await, 1);
    settled(&store, run).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_heeded_before_an_engine_died_is_not_heeded_again() {
    let (store, clock) = (MemoryStore::new(), clock());
    let executor = scripted(Script::new().stage("ship", [Act::hang(), Act::succeed()]));
    let one = engine(&store, &clock, &executor);
    let run = one.start(&gated(), options()).await.unwrap();
    until_waiting(&store, run.id()).await;
    run.approve("ship", Approval::yes("ann")).await.unwrap();
    one.shutdown().await;
    // As if it had died between the event and the word that the ask is settled.
    store.ask(run.id(), Ask::Answer { stage: "ship".into(), approval: Approval::yes("ann") }).await.unwrap();

    let next = engine(&store, &clock, &executor);
    next.resume_run(run.id()).await.unwrap().unwrap();
    settled(&store, run.id()).await;
    assert_eq!(answers(&store, run.id()).await, 1);
    next.shutdown().await;
}
