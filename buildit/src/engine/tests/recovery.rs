//! A run goes from one engine to the next.

use super::*;

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
