//! `append_pg`: what it costs to keep the events of a run on PostgreSQL.
//!
//! | bench | goal | what it does |
//! |---|---|---|
//! | `append` | at most 1.3 times a raw batched insert | the events of a run of 10,000 stages, a thousand at a time; the peer inserts the same rows into the same tables, out of arrays, in as many transactions |
//!
//! Measured beside other builds, before runs had tenants: 1.03 (0.36 to 1.36), 1.05 (0.26 to 2.65), and once, when it was
//! busiest, 1.81 (1.51 to 2.39).
//!
//! Needs a server: the URL for an administrator in `BUILDIT_TEST_POSTGRES`. A database of its own is made there and
//! dropped.

#[path = "queue_pg/scratch.rs"]
mod scratch;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use buildit::event::{Event, EventBody};
use buildit::id::FencingToken;
use buildit::store::RunStore;
use buildit_benches::{Bench, Comparison, records, subject};
use buildit_storage::postgres::PostgresStore;
use jiff_sqlx::ToSqlx;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

/// How many events an append has.
const BATCH: usize = 1000;

/// Names the server.
const SERVER: &str = "BUILDIT_TEST_POSTGRES";

fn main() -> ExitCode {
    let mut bench = Bench::default();
    let Ok(server) = std::env::var(SERVER) else {
        bench.leave_out("append_pg", &format!("there is no server in {SERVER}"));
        return bench.end();
    };
    let runtime = subject::runtime();
    let scratch = runtime.block_on(scratch::Scratch::new(&server));
    let stages = bench.choose(100, 10_000);
    let events = records::ended(stages, "nothing");
    let batches: Vec<Arc<[Event]>> = events.chunks(BATCH).map(Into::into).collect();
    let store = runtime.block_on(PostgresStore::connect(scratch.url())).expect("a store");
    let mut raw = runtime.block_on(PgConnection::connect(scratch.url())).expect("a database");
    bench.compare(
        Comparison::new(format!("append_pg: the {} events of {stages} stages", events.len()), 7, || {
            runtime.block_on(ours(&store, &batches))
        })
        .against("the same rows out of arrays", 1.3, || runtime.block_on(inserted(&mut raw, &batches))),
    );
    runtime.block_on(async {
        store.close().await;
        raw.close().await.expect("a connection");
        scratch.drop().await;
    });
    bench.end()
}

async fn ours(store: &PostgresStore, batches: &[Arc<[Event]>]) -> Duration {
    let run = records::small_run();
    store.create_run(run.clone()).await.expect("a run");
    let start = Instant::now();
    let mut seq = 0;
    for batch in batches {
        store.append(run.id, seq, FencingToken(1), Arc::clone(batch)).await.expect("an append");
        seq += batch.len() as u64;
    }
    start.elapsed()
}

async fn inserted(to: &mut PgConnection, batches: &[Arc<[Event]>]) -> Duration {
    let run = Uuid::now_v7();
    let pipeline = "INSERT INTO pipelines (name, created_at) VALUES ('raw', now()) ON CONFLICT DO NOTHING";
    sqlx::query(pipeline).execute(&mut *to).await.expect("a pipeline");
    let create = "INSERT INTO pipeline_runs (id, pipeline, number, status, created_at, definition, progress)
         SELECT $1, p.place, 1 + (SELECT count(*) FROM pipeline_runs r WHERE r.pipeline = p.place), 'queued', now(), '', ''
         FROM pipelines p WHERE p.name = 'raw'";
    sqlx::query(create).bind(run).execute(&mut *to).await.expect("a run");
    let start = Instant::now();
    for batch in batches {
        insert(to, run, batch).await.expect("an insert");
    }
    start.elapsed()
}

const EVENTS: &str = "INSERT INTO run_events (pipeline_run_id, seq, time, body)
     SELECT $1, * FROM unnest($2::bigint[], $3::timestamptz[], $4::text[])";

const STAGES: &str = "INSERT INTO stage_results (pipeline_run_id, stage_name, status, attempt, executor, exit_code,
         started_at, finished_at)
     SELECT $1, stage, status, 1, 'nothing', 0, time, time
     FROM unnest($2::text[], $3::text[], $4::timestamptz[]) AS s (stage, status, time)
     ON CONFLICT (pipeline_run_id, stage_name) DO UPDATE SET status = excluded.status";

/// The rows that these events are, in one transaction.
async fn insert(to: &mut PgConnection, run: Uuid, events: &[Event]) -> Result<(), sqlx::Error> {
    let mut transaction = to.begin().await?;
    let insert = sqlx::query(EVENTS).bind(run);
    let insert = insert.bind(events.iter().map(|event| event.seq as i64).collect::<Vec<_>>());
    let insert = insert.bind(events.iter().map(|event| event.time.to_sqlx()).collect::<Vec<_>>());
    let bodies = events.iter().map(|event| serde_json::to_string(event).expect("JSON")).collect::<Vec<_>>();
    insert.bind(bodies).execute(&mut *transaction).await?;
    let ended: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::StageFinished { stage, result } => Some((stage.as_str(), result.status.as_str(), event.time)),
            _ => None,
        })
        .collect();
    let insert = sqlx::query(STAGES).bind(run);
    let insert = insert.bind(ended.iter().map(|(stage, ..)| *stage).collect::<Vec<_>>());
    let insert = insert.bind(ended.iter().map(|(_, status, _)| *status).collect::<Vec<_>>());
    let insert = insert.bind(ended.iter().map(|(.., time)| time.to_sqlx()).collect::<Vec<_>>());
    insert.execute(&mut *transaction).await?;
    transaction.commit().await
}
