//! Jobs on this host: the cost of a stage, and of its log.
//!
//! | bench | against | goal |
//! |---|---|---|
//! | `local_stage`: schedule, spawn, log, status; 1 and 8 at once | tokio's `sh -c true` with its output | at most 1.8 |
//! | `local_stage` while this process holds 2 GiB | the same while it does not: nothing may fork | at most 1.1 |
//! | `logs_local`: a job that prints 1 GiB, split, timestamped, masked, stored, published | a bare loop: chunk, memchr, append to a file | 1 / 0.5 of its time without secrets, 1 / 0.3 with 20 |
//! | memory by which that makes this process grow while a reader stalls | - | at most 64 MiB |
//!
//! The stored log is counted after the clock has stopped.
//!
//! Measured on 2 cores that others used as well (load 1.3 to 2.2), median and spread: `local_stage` 1.65 [1.46..1.78] with
//! 1 and 1.52 [1.39..1.70] with 8 at once, that is 1.31 ms a stage against 0.80; 1.04 with 2 GiB held; `logs_local` at 1.05
//! and 0.70 of the bare loop, 9 MiB of memory. Before plain commands ran in the shell that records their exit code it was
//! 1.84 and 1.86; commands that may get at that shell still take a subshell, and 1.90 [1.86..2.07]: the fork is 0.17 ms.
//! On ext4 without a journal the figure depends on how many files were deleted there within the last minute (the bench
//! `cli` says why): 8 at once gave 1.43 to 2.06 within one hour, with two releases in turn that did not differ, and a
//! subshell 1.76 to 2.41; beside them on tmpfs 1.22 to 1.25 and 1.54, 1 at once 1.32 to 1.39.
//! What else a stage takes beyond `sh -c true`, by `perf` and `strace`: six inodes made and removed (two folders, two
//! outputs, script, claim); 26 `futex` calls. A third of all time of both sides is the dynamic linker's `cpuid`, which
//! traps in a virtual machine. No `fsync`, and no `fork` of the engine (`clone3` with `VFORK`).
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::cell::Cell;
use std::io::Write;
use std::num::NonZeroU32;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use buildit::engine::{Engine, StartOptions};
use buildit::event::RunStatus;
use buildit::memory::MemoryStore;
use buildit::pipeline::{PipelineBuilder, RunContext, StageBuilder};
use buildit::secret::MemorySecrets;
use buildit_benches::{Bench, Comparison, stage_log};
use futures_util::{StreamExt, stream};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::runtime::Runtime;

/// Two commands that do nothing: one of plain words, which the wrapper's own shell runs, and one that could change the
/// shell, which a subshell runs.
const PLAIN: &str = "true";
const NOT_PLAIN: &str = ": \"${UNSET:=}\"";

/// What a job prints, in each line.
const LINE: usize = 100;

fn main() -> ExitCode {
    let mut bench = Bench::default();
    let runtime = Runtime::new().expect("a runtime");
    // Enough stages that the run's own start and end do not show.
    let count = bench.choose(4, 64);
    for at_once in [1, 8] {
        let name = format!("local_stage: {count} stages, {at_once} at once");
        bench.compare(Comparison::new(name, 11, || runtime.block_on(stages(count, at_once, PLAIN))).against(
            "tokio sh -c true, output()",
            1.8,
            || runtime.block_on(bare(count, at_once)),
        ));
    }
    let name = format!("local_stage: {count} stages that need a subshell, 1 at once");
    bench.compare(
        Comparison::new(name, 11, || runtime.block_on(stages(count, 1, NOT_PLAIN)))
            .beside("tokio sh -c true, output()", || runtime.block_on(bare(count, 1))),
    );

    let ballast = bench.choose(64 << 20, 2 << 30);
    if available_memory() < 2 * ballast as u64 {
        bench.leave_out("local_stage while this process holds 2 GiB", "there is not twice that much free memory");
    } else {
        let name = format!("local_stage: {count} stages, this process holds {} MiB", ballast >> 20);
        let laden = || {
            // Written to, so that the pages are there.
            let ballast = vec![1_u8; ballast];
            let took = runtime.block_on(stages(count, 1, PLAIN));
            std::hint::black_box(&ballast);
            took
        };
        let unladen = || runtime.block_on(stages(count, 1, PLAIN));
        bench.compare(Comparison::new(name, 7, laden).against("the same, without", 1.1, unladen));
    }

    let bytes = bench.choose(10_000 * LINE, (1 << 30) / LINE * LINE);
    let most = Cell::new(0);
    for (secrets, goal) in [(0, 0.5), (20, 0.3)] {
        let name = format!("logs_local: {} MiB, {secrets} secrets", bytes >> 20);
        let logged = || {
            let (took, grown) = runtime.block_on(logs(bytes, secrets));
            most.set(most.get().max(grown));
            took
        };
        bench.compare(
            Comparison::new(name, 5, logged).against("bare loop", 1.0 / goal, || runtime.block_on(bare_log(bytes))),
        );
    }
    println!("\nlogs_local: memory with a stalled reader");
    bench.at_most("most that this process grew by", most.get() as f64 / f64::from(1 << 20), 64.0, "MiB");
    bench.end()
}

/// Time of a run of so many stages that do nothing, by this command.
async fn stages(count: usize, at_once: u32, command: &str) -> Duration {
    let state = tempfile::tempdir().expect("a temporary folder");
    let store = Arc::new(MemoryStore::new());
    let engine = Engine::builder()
        .executor(Arc::new(buildit_executors::local::executor(state.path())))
        .store(store)
        .build()
        .expect("the parts fit");
    let stages = (0..count).map(|stage| StageBuilder::run(format!("s{stage}"), command));
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

async fn bare(count: usize, at_once: u32) -> Duration {
    let started = Instant::now();
    stream::iter(0..count)
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
    format!("yes {} | head -c {bytes}", "x".repeat(LINE - 1))
}

/// Time of a run whose one job prints so many bytes, and by how much that made this process grow, with a subscriber
/// that reads once and then stalls.
async fn logs(bytes: usize, secrets: usize) -> (Duration, u64) {
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
    forget_peak_memory();
    let before = memory("VmRSS:");
    let started = Instant::now();
    let run = engine.start(&pipeline, StartOptions::new(RunContext::manual())).await.expect("the run starts");
    let mut stalled = run.logs("print");
    assert!(stalled.next().await.is_some(), "there is a first line");
    let report = run.wait().await.expect("the run ends");
    let took = started.elapsed();
    let grown = memory("VmHWM:").saturating_sub(before);
    assert_eq!(report.status, RunStatus::Succeeded);
    drop(stalled);
    let (mut lines, line) = (0, vec![b'x'; LINE - 1]);
    stage_log::each_line(&store, run.id(), "print", |stored| {
        assert!(stored == line, "line {lines} is another: {:?}", String::from_utf8_lossy(stored));
        lines += 1;
    })
    .await;
    assert_eq!(lines, bytes / LINE, "the log is not whole");
    engine.shutdown().await;
    (took, grown)
}

/// What the kernel says about this process's memory, in bytes: `VmRSS:` what it holds, `VmHWM:` the most it has held.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    kibibytes(&status, field).expect("the kernel counts memory")
}

fn forget_peak_memory() {
    std::fs::write("/proc/self/clear_refs", "5").expect("a process may reset its own peak");
}

fn available_memory() -> u64 {
    let all = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    kibibytes(&all, "MemAvailable:").unwrap_or_default()
}

fn kibibytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
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
    assert_eq!(lines, bytes / LINE);
    started.elapsed()
}
