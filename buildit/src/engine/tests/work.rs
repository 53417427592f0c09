//! Engines that work on one queue.

use super::*;
use crate::clock::Clock;
use crate::id::RunId;
use crate::store::{Claim, QueueStore, RunFilter};

/// An engine with this store, by this name.
fn engine(store: &Arc<MemoryStore>, clock: &Arc<SimulatedClock>, name: &str, executor: &ScriptedExecutor) -> Engine {
    let builder = Engine::builder().store(store.clone()).clock(clock.clone()).worker(name.to_owned());
    builder.executor(executor.clone()).build().unwrap()
}

fn at_work(engine: &Engine, runs: usize) -> tokio::task::JoinHandle<()> {
    let engine = engine.clone();
    tokio::spawn(async move { engine.work(WorkOptions { runs, ..WorkOptions::default() }).await })
}

async fn queued(engine: &Engine) -> RunId {
    engine.enqueue(&chain(), options(), QueueOptions::default()).await.unwrap().run.id
}

/// Waits until the run has ended and the queue knows it.
async fn completed(store: &MemoryStore, run: RunId) -> RunStatus {
    let begun = tokio::time::Instant::now();
    loop {
        let record = store.run(run).await.unwrap();
        if record.status.is_final() && !store.open_runs().await.unwrap().contains(&run) {
            return record.status;
        }
        assert!(begun.elapsed() < Duration::from_secs(86_400), "the run goes on and on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What can still be taken, by somebody who waits for the end of all leases.
async fn takes(store: &MemoryStore) -> Vec<RunId> {
    let claim = Claim { worker: "last".into(), limit: 10, lease: Duration::from_secs(1) };
    store.claim(claim, "2100-01-01T00:00:00Z".parse().unwrap()).await.unwrap().iter().map(|job| job.run).collect()
}

/// How often each attempt of the run was started.
async fn starts(store: &MemoryStore, run: RunId) -> Vec<String> {
    let events = store.events(run, 0, 1000).await.unwrap().events;
    let started = events.into_iter().filter_map(|event| match event.body {
        EventBody::AttemptStarted { stage, attempt, .. } => Some(format!("{stage}#{attempt}")),
        _ => None,
    });
    started.collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_is_driven_and_leaves_the_queue() {
    let (store, clock) = (Arc::new(MemoryStore::new()), clock());
    let engine = engine(&store, &clock, "one", &scripted(Script::new()));
    let first = queued(&engine).await;
    let work = at_work(&engine, 4);
    let second = queued(&engine).await;
    for run in [first, second] {
        assert_eq!(completed(&store, run).await, RunStatus::Succeeded);
        assert_eq!(starts(&store, run).await, ["fmt#1", "test#1", "ship#1"]);
    }
    engine.shutdown().await;
    work.await.unwrap();
    assert_eq!(takes(&store).await, []);
    assert_eq!(store.dead_letters().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_run_is_told_when_it_is_taken_up() {
    let (store, clock) = (Arc::new(MemoryStore::new()), clock());
    let slow = Script::new().stage("fmt", [Act::succeed().after(Duration::from_secs(3600))]);
    let engine = engine(&store, &clock, "one", &scripted(slow));
    let run = queued(&engine).await;
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { engine.taken_up(run).await.id() }
    });
    assert!(engine.run(run).is_none() && !waiting.is_finished(), "it waits in the queue");
    let work = at_work(&engine, 4);
    assert_eq!(waiting.await.unwrap(), run);
    assert_eq!(engine.taken_up(run).await.id(), run, "at once, now that it is driven");
    engine.shutdown().await;
    work.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_more_runs_are_taken_than_are_to_be_driven() {
    let (store, clock) = (Arc::new(MemoryStore::new()), clock());
    let slow = Script::new().stage("fmt", [Act::succeed().after(Duration::from_secs(3600))]);
    let engine = engine(&store, &clock, "one", &scripted(slow));
    for _ in 0..3 {
        queued(&engine).await;
    }
    let _work = at_work(&engine, 2);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let running = store
        .runs(&RunFilter::default(), 10)
        .await
        .unwrap()
        .iter()
        .filter(|run| run.status == RunStatus::Running)
        .count();
    assert_eq!(running, 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_an_engine_that_stops_goes_on_at_the_next_one_at_once() {
    let (store, clock) = (Arc::new(MemoryStore::new()), clock());
    let executor = scripted(Script::new());
    let asked = StageBuilder::run("ship", "true").approval(ApprovalSpec::default()).needs(["fmt"]);
    let pipeline = PipelineBuilder::new("shop").stage(StageBuilder::run("fmt", "true")).stage(asked).build();
    let first = engine(&store, &clock, "first", &executor);
    let run = first.enqueue(&pipeline, options(), QueueOptions::default()).await.unwrap().run.id;
    // More often than a run may be given back before it is a dead letter.
    for turn in 0..7 {
        let stopped = engine(&store, &clock, &format!("stopped {turn}"), &executor);
        let work = at_work(&stopped, 4);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(stopped.run(run).is_some(), "it is not driven in turn {turn}");
        stopped.shutdown().await;
        work.await.unwrap();
    }
    let last = engine(&store, &clock, "last", &executor);
    let _work = at_work(&last, 4);
    tokio::time::sleep(Duration::from_secs(2)).await;
    last.run(run).unwrap().approve("ship", Approval::yes("ada")).await.unwrap();
    assert_eq!(completed(&store, run).await, RunStatus::Succeeded);
    assert_eq!(starts(&store, run).await, ["fmt#1", "ship#1"]);
    assert_eq!(store.dead_letters().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_an_engine_that_is_gone_is_taken_when_its_lease_ends() {
    let (store, clock) = (Arc::new(MemoryStore::new()), clock());
    let engine = engine(&store, &clock, "living", &scripted(Script::new()));
    let run = queued(&engine).await;
    let claim = Claim { worker: "gone".into(), limit: 1, lease: Duration::from_secs(30) };
    assert_eq!(store.claim(claim, clock.now()).await.unwrap().len(), 1);
    let _work = at_work(&engine, 4);
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert!(store.run(run).await.unwrap().last_seq == 0, "it was taken from one who holds it");
    assert_eq!(completed(&store, run).await, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_no_engine_can_drive_is_a_dead_letter_after_a_while() {
    let (store, clock) = (Arc::new(MemoryStore::new()), clock());
    let slow = Script::new().stage("fmt", [Act::succeed().after(Duration::from_secs(3600))]);
    let able = engine(&store, &clock, "able", &scripted(slow));
    let run = queued(&able).await;
    able.resume_run(run).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    able.shutdown().await;
    let other = Engine::builder().store(store.clone()).clock(clock.clone()).worker("other");
    let other = other.executor(ScriptedExecutor::new("elsewhere", Script::new())).build().unwrap();
    let _work = at_work(&other, 4);
    for second in 0.. {
        assert!(second < 600, "it is tried for ever");
        tokio::time::sleep(Duration::from_secs(1)).await;
        if store.dead_letters().await.unwrap() == [run] {
            break;
        }
    }
    assert_eq!(store.run(run).await.unwrap().status, RunStatus::Running);
}
