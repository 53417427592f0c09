//! `logs`: what a job prints goes in, and comes out again.
//!
//! | bench | goal | what it does |
//! |---|---|---|
//! | `log_append` | at least 200 MiB a second | lines of a build through `LogWriter` into `SqliteStore`, compressed, each append on the disk before the next |
//! | `log_read` | at least 400 MiB a second | the same lines by pages of 1 MiB, out of the database and out of the blob store |
//! | first window | 10 M lines at most 1.2 times 1 k lines, p95 20 ms | the first 64 KiB of a finished log, out of the blob store |
//! | search | p95 is told | ten texts over and over: in few lines, in many, in none; all lines of the 10 M are in the index |
//!
//! Measured on 2 cores that others kept busy (load 5 to 6): 169 to 283 MiB a second in; 483 out of the database and 684
//! out of the blob store; the first window 0.78 to 1.08 times; search p95 321 ms at 594 MiB. At most 256 blocks (16 MiB)
//! are looked through for a page, whatever the size of the store; what grows with it is the look into the index.

use std::num::NonZeroU64;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use buildit::engine::SystemClock;
use buildit::event::{Event, EventBody, RunStatus};
use buildit::executor::{LogCursor, LogWrite, Physical};
use buildit::id::{FencingToken, JobId};
use buildit::job::Stream;
use buildit::log::{LogOptions, LogWriter};
use buildit::pipeline::{PipelineBuilder, RunContext, StageBuilder};
use buildit::secret::Masker;
use buildit::store::{LogQuery, LogSearch, LogStore, LogUpkeep, NewRun, RunStore};
use buildit_benches::{Bench, median, subject};
use buildit_storage::ObjectBlobs;
use buildit_storage::sqlite::SqliteStore;
use bytes::Bytes;
use jiff::Timestamp;

const MIB: f64 = 1024.0 * 1024.0;

/// How much an executor passes on at once.
const PIECE: usize = 256 * 1024;

/// What a page shows first.
const WINDOW: usize = 64 * 1024;

const TOKEN: FencingToken = FencingToken(1);

fn main() -> ExitCode {
    let mut bench = Bench::default();
    let runtime = subject::runtime();
    let folder = tempfile::tempdir().expect("a folder");
    runtime.block_on(async {
        let blobs = Arc::new(ObjectBlobs::open(&folder.path().join("blobs")).expect("a folder"));
        let file = folder.path().join("logs.db");
        let store = SqliteStore::open(&file).await.expect("a store").with_blobs(blobs);
        let small = print(&store, 1000).await.0;
        let count = bench.choose(20_000, 10_000_000);
        let (large, bytes, took) = print(&store, count).await;
        tell(&mut bench, &format!("log_append: {count} lines"), bytes, took, 200.0);
        let took = read(&store, &large).await;
        tell(&mut bench, "log_read: out of the database", bytes, took, 400.0);
        let start = Instant::now();
        store.archive_logs().await.expect("archived");
        tell(&mut bench, "archived", bytes, start.elapsed(), 0.0);
        let took = read(&store, &large).await;
        tell(&mut bench, "log_read: out of the blob store", bytes, took, 400.0);
        sizes(&bench, &file, bytes);
        first_window(&mut bench, &store, &small, &large).await;
        search(&mut bench, &store, &file, bytes).await;
    });
    bench.end()
}

/// A line as compilers, tests and package managers print them, most of them unlike any other.
fn line(number: u64, to: &mut Vec<u8>) {
    use std::io::Write;
    let hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let (short, long) = (hash >> 44, hash >> 16);
    let written = match hash % 5 {
        0 => {
            writeln!(to, "   Compiling crate-{short:05x} v0.{}.{} (/work/src/crate-{short:05x})", hash % 37, hash % 11)
        }
        1 => writeln!(to, "test module_{}::tests::case_{short} ... ok", hash % 211),
        2 => writeln!(
            to,
            "2026-01-01T00:{:02}:{:02}.{:06}Z INFO request id={long:012x} took {}ms",
            hash % 60,
            hash % 59,
            short,
            hash % 997
        ),
        3 => writeln!(
            to,
            "warning: unused variable: `value_{}` --> src/lib_{}/mod.rs:{short}:9",
            hash % 1009,
            hash % 307
        ),
        _ => writeln!(to, "Downloading https://registry.example/packages/pkg-{}/{long:012x}.tar.gz", hash % 5003),
    };
    written.expect("memory");
}

/// A closed run whose job has printed so many lines; their bytes, and how long it took to store them.
async fn print(store: &SqliteStore, lines: u64) -> (JobId, u64, Duration) {
    let run = NewRun::new(
        PipelineBuilder::new("sample").stage(StageBuilder::run("build", "make")).build(),
        RunContext::manual(),
        Timestamp::UNIX_EPOCH,
    );
    store.create_run(run.clone()).await.expect("a run");
    let job = JobId { run: run.id, stage: "build".into(), attempt: 1 };
    let mut pieces = Vec::new();
    let mut piece = Vec::with_capacity(PIECE + 256);
    for number in 0..lines {
        line(number, &mut piece);
        if piece.len() >= PIECE || number + 1 == lines {
            pieces.push(Bytes::from(std::mem::replace(&mut piece, Vec::with_capacity(PIECE + 256))));
        }
    }
    let masker = Arc::new(Masker::new(std::iter::empty()).expect("no secrets"));
    let options = LogOptions { observer: None, limit: NonZeroU64::new(u64::MAX) };
    let (cursor, clock) = (LogCursor::default(), Arc::new(SystemClock));
    let start = Instant::now();
    let writer = LogWriter::with(Arc::new(store.clone()), job.clone(), TOKEN, cursor, masker, clock, options);
    let mut end = 0;
    for bytes in pieces {
        end += bytes.len() as u64;
        let write = LogWrite { stream: Stream::Stdout, bytes, position: Some((Physical::Stdout, end)) };
        writer.write(write).await.expect("written");
    }
    writer.close().await.expect("stored");
    let took = start.elapsed();
    let bodies = [EventBody::RunStarted, EventBody::RunFinished { status: RunStatus::Succeeded }];
    let event = |(body, seq)| Event { seq, time: Timestamp::UNIX_EPOCH, body };
    let events: Vec<Event> = bodies.into_iter().zip(1..).map(event).collect();
    store.append(run.id, 0, TOKEN, events.into()).await.expect("events");
    store.close_run(run.id, TOKEN).await.expect("closed");
    (job, end, took)
}

/// Reads the whole log.
async fn read(store: &SqliteStore, job: &JobId) -> Duration {
    let start = Instant::now();
    let mut after = 0;
    loop {
        let page = store.read_log(job, after, 1024 * 1024).await.expect("a page");
        match page.chunks.last() {
            Some(last) => after = last.last_line(),
            None => return start.elapsed(),
        }
    }
}

/// Prints how long it took, and judges it by the rate that is asked for, if one is.
fn tell(bench: &mut Bench, what: &str, bytes: u64, took: Duration, least: f64) {
    let mib = bytes as f64 / MIB;
    let what = format!("{what}, {mib:.0} MiB at {:.0} MiB a second", mib / took.as_secs_f64());
    let goal = if least > 0.0 { mib / least } else { f64::INFINITY };
    bench.at_most(&what, took.as_secs_f64(), goal, "s");
}

#[expect(clippy::print_stdout, reason = "a bench prints what it measured")]
fn sizes(bench: &Bench, file: &Path, bytes: u64) {
    if !bench.is_test() {
        let blobs = size_of(&file.with_file_name("blobs"));
        println!("  the blob store has {:.3} of the bytes", blobs as f64 / bytes as f64);
    }
}

/// The bytes of the pages of a database that are in use.
fn used(file: &Path) -> u64 {
    let database = rusqlite::Connection::open(file).expect("the database");
    let pragma = |name| database.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).expect("a number");
    u64::try_from((pragma("page_count") - pragma("freelist_count")) * pragma("page_size")).expect("a size")
}

fn size_of(path: &Path) -> u64 {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| size_of(&entry.path())).sum(),
        Err(_) => std::fs::metadata(path).map_or(0, |file| file.len()),
    }
}

async fn first_window(bench: &mut Bench, store: &SqliteStore, small: &JobId, large: &JobId) {
    let mut samples = [Vec::new(), Vec::new()];
    for _ in 0..bench.choose(2, 400) {
        for (job, samples) in [small, large].into_iter().zip(&mut samples) {
            let start = Instant::now();
            let page = store.read_log(job, 0, WINDOW).await.expect("a page");
            samples.push(start.elapsed());
            assert!(page.chunks.iter().map(|chunk| chunk.text.len()).sum::<usize>() > WINDOW * 3 / 4);
        }
    }
    let ratio = median(&samples[1]).as_secs_f64() / median(&samples[0]).as_secs_f64();
    bench.at_most("first window: the long log to the short one", ratio, 1.2, "times");
    bench.at_most("first window: p95 of the long log", millis(percentile(&mut samples[1], 95)), 20.0, "ms");
    let mut anywhere = Vec::new();
    let last = store.log_cursor(large).await.expect("a cursor").line;
    for turn in 0..bench.choose(2, 400) {
        let after = (turn * 7919 * 104_729) % last;
        let start = Instant::now();
        store.read_log(large, after, WINDOW).await.expect("a page");
        anywhere.push(start.elapsed());
    }
    bench.at_most("a window anywhere: p95", millis(percentile(&mut anywhere, 95)), 20.0, "ms");
}

#[expect(clippy::print_stdout, reason = "a bench prints what it measured")]
async fn search(bench: &mut Bench, store: &SqliteStore, file: &Path, bytes: u64) {
    let before = used(file);
    let start = Instant::now();
    store.index_logs().await.expect("indexed");
    tell(bench, "indexed", bytes, start.elapsed(), 0.0);
    let index = used(file).saturating_sub(before);
    println!("  the index has {:.3} of the bytes", index as f64 / bytes as f64);
    let mut all = Vec::new();
    let texts = [
        "case_777777 ...",
        "pkg-4242/",
        "value_1001` --> src/lib_12/",
        "error[E0277]",
        "certainly not there",
        "unused variable",
        "Compiling crate-0abcd",
        "id=00c0ffee",
        "took 996ms",
        "module_210::tests::case_99999 ",
    ];
    for text in texts {
        let query = LogQuery::new(text).expect("a query");
        let mut samples = Vec::new();
        let mut found = 0;
        for _ in 0..bench.choose(1, 20) {
            let start = Instant::now();
            let page = store.search_logs(&query, None, 50).await.expect("a page");
            samples.push(start.elapsed());
            found = page.hits.len();
        }
        println!("  search for {text:?}: {found} lines, median {:.1} ms", millis(median(&samples)));
        all.extend(samples);
    }
    println!(
        "  search, a page of 50 lines: p50 {:.1} ms, p95 {:.1} ms",
        millis(percentile(&mut all, 50)),
        millis(percentile(&mut all, 95))
    );
}

fn percentile(samples: &mut [Duration], percent: usize) -> Duration {
    samples.sort();
    samples[(samples.len() * percent / 100).min(samples.len() - 1)]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
