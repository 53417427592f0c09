//! Two engines on one store, each stopped (SIGSTOP) for longer than its lease again and again, at random, and woken up
//! after the other has taken its runs over: no attempt starts twice (guarantees G1, G11). What counts is what the jobs
//! have noted on the disk, not what the engines say.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use buildit::config;
use buildit::engine::{Engine, QueueOptions, StartOptions, WorkOptions};
use buildit::id::RunId;
use buildit::pipeline::RunContext;
use buildit::store::Store;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::check;
use super::child::{self, CASE, Case};
use super::matrix::Target;
use super::pipelines::{self, Sample};
use super::stores::{self, Keep, Kept};

/// How long the leases of the rivals hold.
const LEASE: Duration = Duration::from_secs(1);

/// How many runs they share.
const RUNS: usize = 24;

/// How long all of it may take.
const LONGEST: Duration = Duration::from_secs(240);

/// Seeds the pauses.
const SEED: &str = "BUILDIT_SEED";

/// What one of the rivals does: it works until it is killed.
pub(crate) async fn work(case: &Case) -> ! {
    let Kept { store, blobs, caches } = stores::open(case.keep, &case.folder).await;
    let executor = super::executors::local(&child::state(&case.folder));
    let engine = Engine::builder().executor(executor).store(store).blobs(blobs).caches(caches).lease(LEASE);
    let engine = engine.build().expect("the engine's parts fit");
    engine.work(WorkOptions { runs: 2, look: Duration::from_millis(50) }).await;
    unreachable!("nobody shuts it down")
}

/// Lets two of them share some runs, and counts.
pub(crate) fn run(keep: Keep) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_101_u64);
    println!("rivals on {keep:?}: {SEED}={seed}");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (store, runs) = runtime.block_on(queue(keep, folder.path()));
    let mut rivals = [Rival::start(keep, folder.path()), Rival::start(keep, folder.path())];
    let begun = Instant::now();
    let mut dice = Dice(seed);
    let mut pauses = 0;
    while !runtime.block_on(store.open_runs()).expect("open runs are listed").is_empty() {
        assert!(begun.elapsed() < LONGEST, "the runs do not end");
        let paused = &mut rivals[dice.below(2)];
        paused.signal(Signal::SIGSTOP);
        std::thread::sleep(LEASE + Duration::from_millis(dice.below(1500) as u64));
        paused.signal(Signal::SIGCONT);
        std::thread::sleep(Duration::from_millis(dice.below(300) as u64));
        pauses += 1;
    }
    drop(rivals);
    assert!(pauses >= 5, "the runs ended before it was tried");
    println!("rivals on {keep:?}: {RUNS} runs, {pauses} pauses, {:?}", begun.elapsed());
    for (at, (run, sample)) in runs.iter().enumerate() {
        let what = format!("run {at} ({})", sample.name);
        check::effects(&effects(folder.path(), at), sample, &what);
        runtime.block_on(check::run(&*store, *run, sample, &what));
    }
    runtime.block_on(async move { drop(store) });
    stores::remove(keep, folder.path());
}

fn effects(folder: &Path, run: usize) -> std::path::PathBuf {
    folder.join(format!("noted-{run}"))
}

/// Puts the runs into the queue, each with a file of its own for what its jobs note.
async fn queue(keep: Keep, folder: &Path) -> (Arc<dyn Store>, Vec<(RunId, Sample)>) {
    let Kept { store, blobs, caches } = stores::open(keep, folder).await;
    let executor = super::executors::local(&child::state(folder));
    let engine = Engine::builder().executor(executor).store(store.clone()).blobs(blobs).caches(caches);
    let engine = engine.build().expect("the engine's parts fit");
    let mut runs = Vec::new();
    for (at, name) in ["linear", "diamond", "matrix-with-retries", "failure"].iter().cycle().take(RUNS).enumerate() {
        let sample = pipelines::named(name);
        // Long enough to be caught in the middle.
        let text = sample.kdl(Target::Local).replace("i=1;", "sleep 0.4; i=1;");
        let pipeline = config::parse("sample.kdl", &text, &config::Options::default()).expect("the sample is valid");
        let mut context = RunContext::manual();
        context.env.insert("EFFECTS".into(), effects(folder, at).to_string_lossy().into_owned());
        let queue = QueueOptions { max_attempts: 1000, ..QueueOptions::default() };
        let record = engine.enqueue(&pipeline, StartOptions::new(context), queue).await.expect("the run is queued");
        runs.push((record.run.id, sample));
    }
    (store, runs)
}

/// An engine's process, which is killed in the end.
pub(crate) struct Rival(Child);

impl Rival {
    pub(crate) fn start(keep: Keep, folder: &Path) -> Self {
        let case = Case {
            folder: folder.to_owned(),
            target: Target::Local,
            keep,
            sample: String::new(),
            harm: None,
            is_rival: true,
        };
        let child = Command::new(std::env::current_exe().expect("this test's own path"))
            .args(["engine_process", "--exact", "--nocapture", "--test-threads=1", "--quiet"])
            .env(CASE, serde_json::to_string(&case).expect("a case is plain data"))
            .stdout(Stdio::null())
            .spawn();
        Self(child.expect("this test can be started again"))
    }

    fn signal(&mut self, signal: Signal) {
        assert!(self.0.try_wait().expect("it is our child").is_none(), "a rival has ended by itself");
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).expect("it is our child");
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % limit
    }
}
