//! G7: what a job prints is bounded on disk while an engine lives, and nothing of it is lost.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use buildit::durable::Durable;
use buildit::executor::Executor;
use buildit::job::{JobOutcome, JobSpec, Stream};
use buildit::log::MAX_LINE;
use buildit::pipeline::{Action, Command, RunAction, StageSpec};
use buildit::testing::TestHost;
use buildit_executors::local::LocalBackend;

use crate::host::{Host, job};
use crate::{World, processes_of};

const MIB: u64 = 1024 * 1024;

fn stdout_of(world: &World, job: &JobSpec) -> PathBuf {
    world.state.path().join("jobs").join(job.id.backend_name()).join("stdout")
}

/// Waits until something holds; it always comes to it.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_mebibytes_arrive_whole_and_the_spool_stays_small() {
    let mut world = World::new();
    world.host = Arc::new(Host { count_only: true, ..Host::default() });
    let line = "x".repeat(99);
    let job = job(&[&format!("yes {line} | head -c 104857600; :")]);
    assert_eq!(world.run(&job).await, JobOutcome::succeeded());
    let kept = world.host.kept.lock().unwrap().bytes;
    let echo = job.stage.run().unwrap().commands[0].source.len() as u64 + 1;
    assert_eq!(kept, 104_857_600 + echo);
    world.leaves_nothing(&job).await;
}

#[tokio::test]
async fn a_job_that_writes_faster_than_it_is_read_waits() {
    let mut world = World::new();
    let state = world.state.path().to_owned();
    world.executor = Durable::new(LocalBackend::new(state).with_spool_limit(MIB));
    world.host = Arc::new(Host { count_only: true, ..Host::default() });
    let job = job(&["yes | head -c 33554432"]);
    assert_eq!(world.run(&job).await, JobOutcome::succeeded());
    assert_eq!(world.host.kept.lock().unwrap().bytes, 33_554_432 + 23);
    world.leaves_nothing(&job).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_log_stops_the_job_and_a_log_that_goes_on_lets_it_go_on() {
    let mut world = World::new();
    let state = world.state.path().to_owned();
    world.executor = Durable::new(LocalBackend::new(state).with_spool_limit(4 * MIB));
    world.host = Arc::new(Host { count_only: true, ..Host::default() });
    let job = job(&["yes | head -c 1073741824"]);
    let gate = world.host.gate.write().await;
    let (outcome, ()) = tokio::join!(world.run(&job), async {
        let name = job.id.backend_name();
        let stdout = stdout_of(&world, &job);
        until("all of the job is stopped", || {
            let processes = processes_of(&name);
            !processes.is_empty() && processes.iter().all(|process| process.contains(") T "))
        })
        .await;
        // What it wrote until it was stopped: far from all, whatever the machine's load.
        let written = std::fs::metadata(&stdout).unwrap().len();
        assert!(written > 4 * MIB && written < 512 * MIB, "{written}");
        drop(gate);
    });
    assert_eq!(outcome, JobOutcome::succeeded());
    let echo = job.stage.run().unwrap().commands[0].source.len() as u64 + 1;
    assert_eq!(world.host.kept.lock().unwrap().bytes, 1024 * MIB + echo);
    world.leaves_nothing(&job).await;
}

/// A mark that the job itself prints must not make the reader wait for the other output while the job is stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_forges_a_mark_is_not_stopped_for_ever() {
    let mut world = World::new();
    let state = world.state.path().to_owned();
    world.executor = Durable::new(LocalBackend::new(state).with_spool_limit(MIB));
    world.host = Arc::new(Host { count_only: true, ..Host::default() });
    // The job's own mark stands in the file that it finds by its environment.
    let forge = "mark=$(head -n 1 \"${BUILDIT_OUTPUT%output}stdout\"); printf '%s\\n' \"${mark%0}9\" >&2; yes | head -c 33554432 >&2";
    let job = job(&[forge]);
    assert_eq!(world.run(&job).await, JobOutcome::succeeded());
    assert!(world.host.kept.lock().unwrap().bytes >= 32 * MIB);
    world.leaves_nothing(&job).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_never_ends_is_stored_in_parts_and_leaves_the_spool() {
    const SIZE: u64 = 96 * MIB;
    let mut world = World::new();
    let host = TestHost::new().await.unwrap();
    let run = RunAction {
        commands: vec![Command::new(format!("mkfifo go; head -c {SIZE} /dev/zero | tr '\\0' x; read line <go"))],
        ..RunAction::default()
    };
    let job = host.job(StageSpec::new("stage", Action::Run(run)));
    let stdout = stdout_of(&world, &job);
    {
        let ctx = host.context(&job.id).await.unwrap().build();
        tokio::select! {
            outcome = world.executor.run(&job, ctx) => unreachable!("it ended: {outcome:?}"),
            () = async {
                // With the echo that is all but the last part, which waits for its end.
                host.logged(&job.id, SIZE / MAX_LINE as u64).await.unwrap();
                until("the spool shrinks", || std::fs::metadata(&stdout).unwrap().blocks() * 512 < 24 * MIB).await;
            } => {}
        }
    }
    // The next engine goes on within the line, at what the first one has not stored.
    world.executor = Durable::new(LocalBackend::new(world.state.path()));
    let fifo = world.executor.backend().workspace(&job.id).join("go");
    let told = tokio::task::spawn_blocking(move || std::fs::write(fifo, "\n").unwrap());
    let ctx = host.context(&job.id).await.unwrap().build();
    assert_eq!(world.executor.run(&job, ctx).await.unwrap(), JobOutcome::succeeded());
    told.await.unwrap();
    let log = host.log_of(&job.id).await.unwrap();
    let parts: Vec<_> = log.iter().filter(|line| line.stream == Stream::Stdout).map(|line| &line.text).collect();
    assert!(parts.iter().all(|part| part.len() <= MAX_LINE && part.bytes().all(|byte| byte == b'x')));
    assert_eq!(parts.iter().map(|part| part.len() as u64).sum::<u64>(), SIZE);
    world.leaves_nothing(&job).await;
}
