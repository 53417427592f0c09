//! `PostgresStore`, and a `COPY` of its tables.

use std::sync::Arc;
use std::time::{Duration, Instant};

use buildit::store::Store;
use buildit_storage::postgres::PostgresStore;
use futures_util::TryStreamExt;
use sqlx::PgPool;
use sqlx::postgres::PgPoolCopyExt;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::Database;
use crate::copies::{self, EVENTS};
use crate::scratch::Scratch;

pub(crate) struct Postgres<'a> {
    runtime: &'a Runtime,
    store: Arc<PostgresStore>,
    outside: PgPool,
    /// The run that the others are copies of.
    first: Uuid,
    runs: usize,
    scratch: Option<Scratch>,
}

impl<'a> Postgres<'a> {
    pub(crate) fn new(runtime: &'a Runtime, server: &str) -> Self {
        runtime.block_on(async {
            let scratch = Scratch::new(server).await;
            let store = Arc::new(PostgresStore::connect(scratch.url()).await.expect("a store"));
            let first = copies::keep(&*store).await.as_uuid();
            let outside = PgPool::connect(scratch.url()).await.expect("a database");
            Self { runtime, store, outside, first, runs: 1, scratch: Some(scratch) }
        })
    }
}

impl Drop for Postgres<'_> {
    fn drop(&mut self) {
        if let Some(scratch) = self.scratch.take() {
            self.runtime.block_on(scratch.drop());
        }
    }
}

const COPY: &str = "INSERT INTO pipeline_runs
         (id, pipeline, number, status, created_at, started_at, definition, progress, last_seq)
     SELECT c.id, pipeline, n, status, created_at, started_at, replace(definition, $1::text, c.id::text), progress,
         last_seq
     FROM pipeline_runs r, generate_series($2::bigint + 1, $3::bigint) n,
         LATERAL (SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid AS id) c
     WHERE r.id = $1 ORDER BY n";

const COPY_EVENTS: &str = "INSERT INTO run_events (pipeline_run_id, seq, time, body)
     SELECT r.id, e.seq, e.time, e.body FROM pipeline_runs r, run_events e
     WHERE r.number > $2 AND e.pipeline_run_id = $1 ORDER BY r.place, e.seq";

const RESET: [&str; 3] = [
    "UPDATE pipeline_runs SET last_seq = $1, status = 'running', locked_by = NULL, locked_until = NULL
     WHERE last_seq <> $1 OR locked_until IS NOT NULL",
    "DELETE FROM run_events WHERE seq > $1",
    "DELETE FROM stage_results WHERE status = 'running' AND $1 > 0",
];

impl Database for Postgres<'_> {
    const NAME: &'static str = "PostgreSQL";

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn grow(&mut self, runs: usize) {
        self.reset();
        self.runtime.block_on(async {
            let copy = sqlx::query(COPY).bind(self.first).bind(self.runs as i64).bind(runs as i64);
            copy.execute(&self.outside).await.expect("the runs");
            let copy = sqlx::query(COPY_EVENTS).bind(self.first).bind(self.runs as i64);
            copy.execute(&self.outside).await.expect("the events");
        });
        self.runs = runs;
    }

    fn reset(&mut self) {
        self.runtime.block_on(async {
            for reset in RESET {
                sqlx::query(reset).bind(EVENTS).execute(&self.outside).await.expect("the state before");
            }
            for vacuum in ["VACUUM ANALYZE pipeline_runs", "VACUUM ANALYZE run_events"] {
                sqlx::query(vacuum).execute(&self.outside).await.expect("a vacuum");
            }
        });
    }

    fn copy_out(&mut self) -> Duration {
        self.reset();
        self.runtime.block_on(async {
            let start = Instant::now();
            let runs = "COPY (SELECT id, number, status, last_seq, definition FROM pipeline_runs WHERE NOT closed
                 ORDER BY place) TO STDOUT (FORMAT binary)";
            let events = "COPY (SELECT e.pipeline_run_id, e.seq, e.body FROM pipeline_runs r
                 JOIN run_events e ON e.pipeline_run_id = r.id WHERE NOT r.closed) TO STDOUT (FORMAT binary)";
            for copy in [runs, events] {
                let parts = self.outside.copy_out_raw(copy).await.expect("a copy");
                let parts: Vec<_> = parts.try_collect().await.expect("the rows");
                assert!(parts.len() > self.runs, "what was read");
            }
            start.elapsed()
        })
    }
}
