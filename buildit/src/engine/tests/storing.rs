//! What cannot be stored: it is told, waited for while that may help, and never recorded as if it were.

use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use tokio::time::Instant;

use super::failing::{FullStore, Outliving};
use super::*;
use crate::cancel::Stop;
use crate::testing::Recorder;

/// An engine may be stopped at once within this time: nobody waits in it.
const AT_ONCE: Duration = Duration::from_millis(10);

struct World {
    store: FullStore,
    executor: Outliving,
    clock: Arc<SimulatedClock>,
    faults: Arc<Recorder>,
}

impl World {
    /// One whose job lasts so long.
    fn new(lasts: Duration) -> Self {
        let executor = Outliving::new(lasts);
        Self { store: FullStore::default(), executor, clock: clock(), faults: Arc::default() }
    }

    /// An engine of the same worker, as each process is that opens a journal: it may take the run over at once.
    fn engine(&self) -> Engine {
        let builder = Engine::builder().executor(self.executor.clone()).clock(self.clock.clone()).worker("one");
        builder.store(Arc::new(self.store.clone())).faults(self.faults.clone()).build().unwrap()
    }

    async fn start(&self) -> RunHandle {
        self.engine().start(&one(), options()).await.unwrap()
    }

    fn logs_are_full(&self, full: bool) {
        self.store.full().of_logs.store(full, Ordering::Relaxed);
    }

    fn events_are_full(&self, full: bool) {
        self.store.full().of_events.store(full, Ordering::Relaxed);
    }

    /// The run that was left open goes on once there is room, and nothing was lost or doubled.
    async fn goes_on(&self, run: &RunHandle, status: RunStatus) {
        assert_eq!(self.store.open_runs().await.unwrap(), [run.id()]);
        assert_eq!(self.faults.count(CrashPoint::OutcomeAppended), 0, "no outcome stands for what was not stored");
        self.logs_are_full(false);
        self.events_are_full(false);
        let runs = self.engine().resume().await.unwrap();
        let report = runs[0].wait().await.unwrap();
        assert_eq!((report.id, report.status), (run.id(), status));
        assert_eq!(self.executor.job().starts, 1, "it started once (G1)");
        assert_eq!(log(&runs[0]).await, "one\ntwo\nthree\n", "its log is whole (G3)");
        assert!(self.store.open_runs().await.unwrap().is_empty());
        replays(&runs[0], &report).await;
    }
}

fn one() -> PipelineSpec {
    PipelineBuilder::new("shop").stage(StageBuilder::run("a", "true").timeout(Duration::from_secs(20))).build()
}

async fn log(run: &RunHandle) -> String {
    let log: Vec<_> = run.logs("a").try_collect().await.unwrap();
    log.iter().map(|log| str::from_utf8(&log.chunk.text).unwrap()).collect()
}

async fn notices(run: &RunHandle) -> Vec<String> {
    let mut notices = run.notices();
    let told = notices.by_ref().map(|notice| notice.to_string()).collect().await;
    assert_eq!(notices.next().await, None, "the stream may be asked again");
    told
}

#[tokio::test(start_paused = true)]
async fn room_that_comes_back_is_waited_for_and_told_once() {
    let world = World::new(Duration::from_secs(3600));
    world.logs_are_full(true);
    let run = world.start().await;
    let told = tokio::spawn({
        let run = run.clone();
        async move { notices(&run).await }
    });
    // Longer than the stage's timeout: that a job is stopped is no reason to lose what it said.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.store.full().refused.load(Ordering::Relaxed) > 3);
    world.logs_are_full(false);
    assert_eq!(run.wait().await.unwrap().stage("a").unwrap().status, Status::TimedOut);
    assert_eq!(log(&run).await, "one\ntwo\nthree\n");
    assert_eq!(world.executor.job().starts, 1);
    assert_eq!(told.await.unwrap(), ["a: cannot store the log: store `full` failed: no space left; trying again"]);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_stored_leaves_its_run_open() {
    let world = World::new(Duration::from_secs(3600));
    world.logs_are_full(true);
    let begun = Instant::now();
    let run = world.start().await;
    let error = run.wait().await.unwrap_err();
    assert!(matches!(&error, RunError::Log { stage, .. } if *stage == "a"), "{error:?}");
    assert!(begun.elapsed() > Duration::from_secs(60), "it is not given up soon");
    assert!(begun.elapsed() < Duration::from_secs(200), "and not waited for without an end");
    world.goes_on(&run, RunStatus::Failed).await;
}

#[tokio::test(start_paused = true)]
async fn a_kill_ends_the_wait_for_a_log_at_once() {
    let world = World::new(Duration::from_secs(3600));
    world.logs_are_full(true);
    let run = world.start().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let asked = Instant::now();
    run.kill("now");
    assert!(matches!(run.wait().await, Err(RunError::Log { .. })));
    assert!(asked.elapsed() < AT_ONCE);
    assert_eq!(world.executor.job().stopped, Some((asked, Stop::Now)), "the job was killed first");
    world.goes_on(&run, RunStatus::Cancelled).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_the_wait_for_a_log_within_the_grace_period() {
    let world = World::new(Duration::from_secs(3600));
    world.logs_are_full(true);
    let run = world.start().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let asked = Instant::now();
    run.cancel("enough");
    assert!(matches!(run.wait().await, Err(RunError::Log { .. })));
    assert!(asked.elapsed() <= Duration::from_secs(10) + AT_ONCE, "{:?}", asked.elapsed());
    assert_eq!(world.executor.job().stopped, Some((asked, Stop::Gracefully)), "the job was asked to end at once");
    world.goes_on(&run, RunStatus::Cancelled).await;
}

#[tokio::test(start_paused = true)]
async fn room_that_comes_within_the_grace_period_is_enough() {
    let world = World::new(Duration::from_secs(3600));
    world.logs_are_full(true);
    let run = world.start().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    run.cancel("enough");
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.logs_are_full(false);
    assert_eq!(run.wait().await.unwrap().status, RunStatus::Cancelled);
    assert_eq!(log(&run).await, "one\ntwo\nthree\n");
}

/// How a run is asked to end whose events cannot be stored.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Nothing,
    Cancel,
    Kill,
    CancelThenKill,
    Shutdown,
}

#[rstest::rstest]
#[case(Ask::Nothing, Duration::from_secs(90))]
#[case(Ask::Cancel, Duration::from_secs(10))]
#[case(Ask::Kill, Duration::ZERO)]
#[case(Ask::CancelThenKill, Duration::from_secs(2))]
#[case(Ask::Shutdown, Duration::ZERO)]
#[tokio::test(start_paused = true)]
async fn events_that_cannot_be_stored_are_told_and_given_up_when_asked(#[case] ask: Ask, #[case] within: Duration) {
    let world = World::new(Duration::from_secs(1));
    let engine = world.engine();
    let run = engine.start(&one(), options()).await.unwrap();
    let told = tokio::spawn({
        let run = run.clone();
        async move { notices(&run).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.events_are_full(true);
    // The job has ended by itself since, and its end waits to be stored.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = Instant::now();
    match ask {
        Ask::Nothing => {}
        Ask::Cancel => run.cancel("enough"),
        Ask::Kill => run.kill("now"),
        Ask::CancelThenKill => {
            run.cancel("enough");
            tokio::time::sleep(Duration::from_secs(2)).await;
            run.kill("now");
        }
        Ask::Shutdown => engine.shutdown().await,
    }
    assert!(matches!(run.wait().await, Err(RunError::Store(_))));
    assert!(asked.elapsed() <= within + AT_ONCE, "{:?}", asked.elapsed());
    let expected = "events cannot be stored: store `full` failed: no space left; trying again";
    assert_eq!(told.await.unwrap(), [expected]);
    world.goes_on(&run, RunStatus::Succeeded).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_trouble_is_told_again() {
    let world = World::new(Duration::from_secs(3600));
    let pipeline = PipelineBuilder::new("shop").stages(["a", "b"].map(|name| StageBuilder::run(name, "true"))).build();
    let script = ["a", "b"].iter().zip([1, 10]).fold(Script::new(), |script, (name, after)| {
        script.stage(*name, [Act::succeed().after(Duration::from_secs(after))])
    });
    let engine = Engine::builder().executor(scripted(script)).clock(world.clock.clone());
    let engine = engine.store(Arc::new(world.store.clone())).build().unwrap();
    let run = engine.start(&pipeline, options()).await.unwrap();
    let told = tokio::spawn({
        let run = run.clone();
        async move { notices(&run).await }
    });
    for wait in [500, 1000, 8000, 1500] {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let full = !world.store.full().of_events.load(Ordering::Relaxed);
        world.events_are_full(full);
    }
    assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
    assert_eq!(told.await.unwrap().len(), 2);
}
