//! Jobs on this host: the cost of a stage, and of its log.
//!
//! Goals: a stage (schedule, spawn, log, status) at most 1.8 times tokio's `sh -c true` with its output, with 1 and
//! with 8 at once, and the same within 10 % when this process holds 2 GiB (so nothing forks). A job that prints 1 GiB
//! is split, timestamped, masked, stored and published at 0.3 of the speed of a bare loop (chunk, memchr, append to a
//! file) with 20 secrets to mask, 0.5 with none, within 64 MiB of memory while a reader stalls.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::io::Write;
use std::num::NonZeroU32;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use buildit::engine::{Engine, StartOptions};
use buildit::event::RunStatus;
use buildit::memory::MemoryStore;
use buildit::pipeline::{PipelineBuilder, RunContext, StageBuilder};
use buildit::secret::MemorySecrets;
use buildit_benches::{Comparison, is_test_run};
use futures_util::{StreamExt, stream};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::runtime::Runtime;

/// Stages of one run: enough that the run's own start and end do not show.
const STAGES: usize = 64;

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let repetitions = if is_test_run() { 1 } else { 11 };
    for at_once in [1, 8] {
        Comparison::new(format!("local_stage, {at_once} at once"), repetitions, || runtime.block_on(stages(at_once)))
            .against("tokio sh -c true, output()", 1.8, || runtime.block_on(bare(at_once)))
            .run();
    }
    if !is_test_run() {
        let before = runtime.block_on(stages(1));
        // Written to, so that the pages are there.
        let ballast = vec![1_u8; 2 << 30];
        Comparison::new("local_stage while this process holds 2 GiB", repetitions, || runtime.block_on(stages(1)))
            .against("tokio sh -c true, output()", 1.8, || runtime.block_on(bare(1)))
            .run();
        let after = runtime.block_on(stages(1));
        println!("  without 2 GiB {before:?}, with {after:?}, {} bytes held", std::hint::black_box(&ballast).len());
    }

    let (bytes, repetitions) = if is_test_run() { (1 << 20, 1) } else { (1 << 30, 3) };
    for (secrets, goal) in [(0, 0.5), (20, 0.3)] {
        let name = format!("logs_local: {} MiB, {secrets} secrets", bytes >> 20);
        Comparison::new(name, repetitions, || runtime.block_on(logs(bytes, secrets)))
            .against("bare loop", 1.0 / goal, || runtime.block_on(bare_log(bytes)))
            .run();
    }
}

/// Time of a run of `STAGES` stages that do nothing.
async fn stages(at_once: u32) -> Duration {
    let state = tempfile::tempdir().expect("a temporary folder");
    let store = Arc::new(MemoryStore::new());
    let engine = Engine::builder()
        .executor(Arc::new(buildit_executors::local::executor(state.path())))
        .store(store)
        .build()
        .expect("the parts fit");
    let stages = (0..STAGES).map(|stage| StageBuilder::run(format!("s{stage}"), "true"));
    let pipeline = stages.fold(PipelineBuilder::new("bench"), PipelineBuilder::stage).build();
    let options = StartOptions::new(RunContext::manual()).max_parallel(NonZeroU32::new(at_once).expect("not 0"));
    let started = Instant::now();
    let run = engine.start(&pipeline, options).await.expect("the run starts");
    let report = run.wait().await.expect("the run ends");
    let took = started.elapsed();
    assert_eq!(report.status, RunStatus::Succeeded);
    engine.shutdown().await;
    took
}

async fn bare(at_once: u32) -> Duration {
    let started = Instant::now();
    stream::iter(0..STAGES)
        .map(|_| async {
            let output = Command::new("/bin/sh").args(["-c", "true"]).stdin(Stdio::null()).output().await;
            assert!(output.expect("sh starts").status.success());
        })
        .buffer_unordered(at_once as usize)
        .collect::<Vec<()>>()
        .await;
    started.elapsed()
}

/// Lines of 100 bytes. `head` ends `yes` by closing its pipe.
fn printer(bytes: usize) -> String {
    format!("yes {} | head -c {bytes}", "x".repeat(99))
}

/// Time of a run whose one job prints so many bytes, with a subscriber that reads nothing.
async fn logs(bytes: usize, secrets: usize) -> Duration {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Arc::new(MemoryStore::journaled(folder.path().join("journal")).expect("the journal opens"));
    let names: Vec<String> = (0..secrets).map(|number| format!("SECRET_{number}")).collect();
    let values = names.iter().map(|name| (name.clone(), format!("correct-horse-battery-{name}")));
    let engine = Engine::builder()
        .executor(Arc::new(buildit_executors::local::executor(folder.path().join("state"))))
        .store(store.clone())
        .blobs(store.clone())
        .secrets(Arc::new(values.fold(MemorySecrets::new(), |all, (name, value)| all.with(name, value))))
        .build()
        .expect("the parts fit");
    let stage = StageBuilder::run("print", printer(bytes)).secrets(names);
    let pipeline = PipelineBuilder::new("bench").stage(stage).build();
    let memory = peak_memory();
    let started = Instant::now();
    let run = engine.start(&pipeline, StartOptions::new(RunContext::manual())).await.expect("the run starts");
    let stalled = run.logs("print");
    let report = run.wait().await.expect("the run ends");
    let took = started.elapsed();
    assert_eq!(report.status, RunStatus::Succeeded);
    println!("  peak memory grew by {} MiB with a stalled reader", (peak_memory().saturating_sub(memory)) >> 20);
    drop(stalled);
    engine.shutdown().await;
    took
}

/// The most memory that this process has held, in bytes, since the last call.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    drop(std::fs::write("/proc/self/clear_refs", "5"));
    peak.unwrap_or(0_u64) * 1024
}

/// The limit: the same bytes through a pipe, lines counted, appended to a file.
async fn bare_log(bytes: usize) -> Duration {
    let mut file = tempfile::tempfile().expect("a temporary file");
    let started = Instant::now();
    let mut child = Command::new("/bin/sh")
        .args(["-c", &printer(bytes)])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh starts");
    let mut output = child.stdout.take().expect("it is piped");
    let mut chunk = vec![0; 64 << 10];
    let mut lines = 0;
    loop {
        let read = output.read(&mut chunk).await.expect("the pipe is read");
        if read == 0 {
            break;
        }
        lines += memchr::memchr_iter(b'\n', &chunk[..read]).count();
        file.write_all(&chunk[..read]).expect("the file is written");
    }
    child.wait().await.expect("sh ends");
    assert_eq!(lines, bytes / 100);
    started.elapsed()
}
