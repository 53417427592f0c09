//! A reader that follows a log while the engine that stores it is killed again and again sees each line once and in
//! order (guarantee G3), and while it reads what is stored already.

use std::time::{Duration, Instant};

use buildit::config;
use buildit::engine::{Engine, QueueOptions, StartOptions};
use buildit::event::RunStatus;
use buildit::id::JobId;
use buildit::pipeline::RunContext;

use super::child;
use super::rivals::Rival;
use super::stores::{self, Keep, Kept};

/// How many lines the job prints, over some seconds.
const LINES: u64 = 600;

/// After how many more lines the engine is killed again.
const KILL_AFTER: u64 = 60;

/// How long all of it may take.
const LONGEST: Duration = Duration::from_secs(120);

const PIPELINE: &str = r##"pipeline "chatty"
stage "a" {
    run #"i=1; while [ $i -le 600 ]; do echo "out $i"; sleep 0.01; i=$((i+1)); done"#
}"##;

/// Follows the log of a job through many lives of its engine.
pub(crate) fn run(keep: Keep) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (store, run) = runtime.block_on(async {
        let Kept { store, blobs, caches } = stores::open(keep, folder.path()).await;
        let executor = super::executors::local(&child::state(folder.path()));
        let engine = Engine::builder().executor(executor).store(store.clone()).blobs(blobs).caches(caches);
        let engine = engine.build().expect("the engine's parts fit");
        let pipeline = config::parse("sample.kdl", PIPELINE, &config::Options::default()).expect("it is valid");
        let queue = QueueOptions { max_attempts: 1000, ..QueueOptions::default() };
        let options = StartOptions::new(RunContext::manual());
        let record = engine.enqueue(&pipeline, options, queue).await.expect("the run is queued");
        (store, record.run.id)
    });
    let job = JobId { run, stage: "a".into(), attempt: 1 };
    let begun = Instant::now();
    let mut engine = Rival::start(keep, folder.path());
    let (mut after, mut kills) = (0, 0);
    let mut printed = Vec::new();
    loop {
        assert!(begun.elapsed() < LONGEST, "the run does not end");
        // Asked first: what is stored before the run has ended is read after this.
        let status = runtime.block_on(store.run(run)).expect("the run is read").status;
        // Small pages, so that it is read in many places.
        let page = runtime.block_on(store.read_log(&job, after, 100)).expect("the log is read");
        for line in page.chunks.iter().flat_map(buildit::store::LogChunk::iter) {
            assert_eq!(line.line, after + 1, "no gap and no double after {kills} kills");
            after = line.line;
            printed.push(line.text);
        }
        if page.chunks.is_empty() {
            if status.is_final() {
                assert_eq!(status, RunStatus::Succeeded);
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if after >= (kills + 1) * KILL_AFTER && after < LINES {
            engine = {
                drop(engine);
                Rival::start(keep, folder.path())
            };
            kills += 1;
        }
    }
    drop(engine);
    println!("followed on {keep:?} through {kills} kills of the engine, {:?}", begun.elapsed());
    assert!(kills >= 3, "the run ended before it was tried");
    printed.retain(|line| line.starts_with("out "));
    let whole: Vec<String> = (1..=LINES).map(|number| format!("out {number}")).collect();
    assert_eq!(printed, whole);
    runtime.block_on(async move { drop(store) });
    stores::remove(keep, folder.path());
}
