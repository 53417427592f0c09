//! `sqlite`: what it costs that every transition is on the disk before it is told.
//!
//! | bench | goal | what it does |
//! |---|---|---|
//! | `stage_durable` | at most 0.35 ms a stage | 1,000 layered no-op stages through `Engine::start`, on `SqliteStore` |
//! | `append` | at most 1.3 times a raw batched insert | the events of a run of 10,000 stages, a thousand at a time; the peer inserts the same rows into the same tables through rusqlite, with prepared statements, in as many transactions |
//! | `group commit` | at most 1 / 0.4 times rusqlite | 1,000 runs append an event each at once; the peer inserts 1,000 rows in one transaction |
//!
//! `synchronous=FULL` everywhere.
//!
//! Measured on 2 quiet cores: 0.05 ms a stage; `append` 1.55 (1.31 to 1.73), missed: the driver
//! hands each statement to a thread and copies what is bound; `group commit` 7.2 (3.7 to 9.0), missed: each run's
//! head is written beside its event, which the peer does without, and a first commit goes out before the rest has come.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use buildit::event::{Event, EventBody};
use buildit::id::{FencingToken, RunId};
use buildit::store::RunStore;
use buildit_benches::shapes::Shape;
use buildit_benches::subject::{self, Subject};
use buildit_benches::{Bench, Comparison, median, records};
use buildit_storage::sqlite::SqliteStore;
use jiff::Timestamp;
use rusqlite::{Connection, params};
use tokio::runtime::Runtime;

/// How many events an append has.
const BATCH: usize = 1000;

fn main() -> ExitCode {
    let mut bench = Bench::default();
    let runtime = subject::runtime();
    let folder = tempfile::tempdir().expect("a folder");
    stage_durable(&mut bench, &runtime, folder.path());
    append(&mut bench, &runtime, folder.path());
    group_commit(&mut bench, &runtime, folder.path());
    bench.end()
}

fn open(runtime: &Runtime, file: &Path) -> SqliteStore {
    runtime.block_on(SqliteStore::open(file)).expect("a store")
}

fn stage_durable(bench: &mut Bench, runtime: &Runtime, folder: &Path) {
    let size = bench.choose(50, 1000);
    let store = open(runtime, &folder.join("stages.db"));
    let subject = Subject::on(&Shape::Layered.pipeline(size), Arc::new(store));
    subject.verify(runtime);
    let samples: Vec<Duration> = (0..bench.choose(1, 9)).map(|_| subject.schedule(runtime)).collect();
    let each = median(&samples).as_secs_f64() * 1000.0 / size as f64;
    bench.at_most(&format!("stage_durable: {size} layered"), each, 0.35, "ms a stage");
}

fn append(bench: &mut Bench, runtime: &Runtime, folder: &Path) {
    let stages = bench.choose(100, 10_000);
    let events = records::ended(stages, "nothing");
    let batches: Vec<Arc<[Event]>> = events.chunks(BATCH).map(Into::into).collect();
    let store = open(runtime, &folder.join("append.db"));
    let raw_file = folder.join("raw.db");
    // With the same tables.
    drop(open(runtime, &raw_file));
    let mut raw = connect(&raw_file);
    bench.compare(
        Comparison::new(format!("append: the {} events of {stages} stages", events.len()), 7, || {
            runtime.block_on(async {
                let run = records::small_run();
                store.create_run(run.clone()).await.expect("a run");
                let start = Instant::now();
                let mut seq = 0;
                for batch in &batches {
                    store.append(run.id, seq, FencingToken(1), Arc::clone(batch)).await.expect("an append");
                    seq += batch.len() as u64;
                }
                start.elapsed()
            })
        })
        .against("rusqlite, the same rows", 1.3, || {
            let run = RunId::new().to_string();
            create(&raw, &run);
            let start = Instant::now();
            batches.iter().for_each(|batch| insert(&mut raw, &run, batch));
            start.elapsed()
        }),
    );
}

fn connect(file: &Path) -> Connection {
    let connection = Connection::open(file).expect("a database");
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON").expect("pragmas");
    connection.set_prepared_statement_cache_capacity(64);
    connection
}

fn create(to: &Connection, run: &str) {
    let statements = "INSERT OR IGNORE INTO pipelines (name, created_at) VALUES ('sample', '')";
    to.execute(statements, []).expect("a pipeline");
    let insert = "INSERT INTO pipeline_runs (id, pipeline, number, status, created_at, definition, progress)
         SELECT ?, (SELECT place FROM pipelines WHERE name = 'sample'), count(*) + 1, 'queued', '', '', '' FROM pipeline_runs";
    to.execute(insert, [run]).expect("a run");
}

/// The rows that these events are, in one transaction.
fn insert(to: &mut Connection, run: &str, events: &[Event]) {
    let transaction = to.transaction().expect("a transaction");
    {
        let insert = "INSERT INTO run_events (pipeline_run_id, seq, time, body) VALUES (?, ?, ?, ?)";
        let mut insert = transaction.prepare_cached(insert).expect("a statement");
        for event in events {
            let body = serde_json::to_string(event).expect("JSON");
            insert.execute(params![run, event.seq as i64, format!("{:.9}", event.time), body]).expect("an event");
        }
        let upsert = "INSERT INTO stage_results (pipeline_run_id, stage_name, status, attempt, executor, exit_code,
                 started_at, finished_at) VALUES (?, ?, ?, 1, 'nothing', 0, ?4, ?4)
             ON CONFLICT (pipeline_run_id, stage_name) DO UPDATE SET status = excluded.status";
        let mut upsert = transaction.prepare_cached(upsert).expect("a statement");
        for event in events {
            if let EventBody::StageFinished { stage, result } = &event.body {
                let time = format!("{:.9}", event.time);
                upsert.execute(params![run, stage.as_str(), result.status.as_str(), time]).expect("a stage");
            }
        }
    }
    transaction.commit().expect("a commit");
}

fn group_commit(bench: &mut Bench, runtime: &Runtime, folder: &Path) {
    let count = bench.choose(10, 1000);
    let store = open(runtime, &folder.join("group.db"));
    let raw_file = folder.join("group-raw.db");
    drop(open(runtime, &raw_file));
    let mut raw = connect(&raw_file);
    let runs: Vec<RunId> = (0..count)
        .map(|_| {
            let run = records::small_run();
            runtime.block_on(store.create_run(run.clone())).expect("a run");
            create(&raw, &run.id.to_string());
            run.id
        })
        .collect();
    let cancel =
        |seq| Event { seq, time: Timestamp::UNIX_EPOCH, body: EventBody::CancelRequested { reason: "x".into() } };
    let (mut seq, mut raw_seq) = (0, 0);
    bench.compare(
        Comparison::new(format!("group commit: {count} runs append an event each"), 9, || {
            let event = cancel(seq + 1);
            let took = runtime.block_on(async {
                let appends: Vec<_> =
                    runs.iter().map(|&run| (store.clone(), run, Arc::from([event.clone()]))).collect();
                let start = Instant::now();
                let appends: Vec<_> = appends
                    .into_iter()
                    .map(|(store, run, events)| {
                        tokio::spawn(async move { store.append(run, seq, FencingToken(1), events).await })
                    })
                    .collect();
                for append in appends {
                    append.await.expect("a task").expect("an append");
                }
                start.elapsed()
            });
            seq += 1;
            took
        })
        .against("rusqlite, one transaction", 2.5, || {
            raw_seq += 1;
            let event = cancel(raw_seq);
            let body = serde_json::to_string(&event).expect("JSON");
            let rows: Vec<String> = runs.iter().map(ToString::to_string).collect();
            let start = Instant::now();
            let transaction = raw.transaction().expect("a transaction");
            {
                let insert = "INSERT INTO run_events (pipeline_run_id, seq, time, body) VALUES (?, ?, '', ?)";
                let mut insert = transaction.prepare_cached(insert).expect("a statement");
                for run in &rows {
                    insert.execute(params![run, raw_seq as i64, body]).expect("an event");
                }
            }
            transaction.commit().expect("a commit");
            start.elapsed()
        }),
    );
}
