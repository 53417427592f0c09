//! `SqliteStore`, and a bare read of its file.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use buildit::id::RunId;
use buildit::store::Store;
use buildit_storage::sqlite::SqliteStore;
use rusqlite::{Connection, params};
use tokio::runtime::Runtime;

use crate::Database;
use crate::copies::{self, EVENTS};

pub(crate) struct Sqlite {
    store: Arc<SqliteStore>,
    outside: Connection,
    /// The run that the others are copies of.
    first: String,
    runs: usize,
}

impl Sqlite {
    pub(crate) fn new(runtime: &Runtime, folder: &Path) -> Self {
        let file = folder.join("runs.db");
        let store = Arc::new(runtime.block_on(SqliteStore::open(&file)).expect("a store"));
        let first: RunId = runtime.block_on(copies::keep(&*store));
        let outside = Connection::open(&file).expect("a database");
        Self { store, outside, first: first.to_string(), runs: 1 }
    }
}

const COPY: &str = "WITH RECURSIVE n (n) AS (SELECT ?2 + 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?3)
     INSERT INTO pipeline_runs (id, pipeline, number, status, created_at, started_at, definition, progress, last_seq)
     SELECT printf('00000000-0000-7000-8000-%012d', n), pipeline, n, status, created_at, started_at,
         replace(definition, ?1, printf('00000000-0000-7000-8000-%012d', n)), progress, last_seq
     FROM pipeline_runs, n WHERE id = ?1 ORDER BY n";

const COPY_EVENTS: &str = "INSERT INTO run_events (pipeline_run_id, seq, time, body)
     SELECT r.id, e.seq, e.time, e.body FROM pipeline_runs r, run_events e
     WHERE r.number > ?2 AND e.pipeline_run_id = ?1 ORDER BY r.place, e.seq";

impl Database for Sqlite {
    const NAME: &'static str = "SQLite";

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn grow(&mut self, runs: usize) {
        self.reset();
        let copied = self.outside.execute(COPY, params![self.first, self.runs as i64, runs as i64]);
        copied.expect("the runs");
        let copied = self.outside.execute(COPY_EVENTS, params![self.first, self.runs as i64]);
        copied.expect("the events");
        self.runs = runs;
    }

    fn reset(&mut self) {
        let back = "UPDATE pipeline_runs SET last_seq = ?, status = 'running', locked_by = NULL, locked_until = NULL,
             locked_session = NULL";
        self.outside.execute(back, [EVENTS]).expect("the runs");
        self.outside.execute("DELETE FROM run_events WHERE seq > ?", [EVENTS]).expect("the events");
        self.outside.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("a checkpoint");
    }

    fn copy_out(&mut self) -> Duration {
        self.reset();
        let start = Instant::now();
        let runs = "SELECT id, number, status, last_seq, definition FROM pipeline_runs WHERE closed = 0 ORDER BY place";
        let mut runs = self.outside.prepare_cached(runs).expect("a statement");
        let runs = runs.query_map([], |row| {
            let run: (String, i64, String, i64, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
            Ok(run)
        });
        let runs: Vec<_> = runs.expect("the runs").map(|run| run.expect("a run")).collect();
        let events = "SELECT e.pipeline_run_id, e.seq, e.body FROM pipeline_runs r
             JOIN run_events e ON e.pipeline_run_id = r.id WHERE r.closed = 0 ORDER BY r.place, e.seq";
        let mut events = self.outside.prepare_cached(events).expect("a statement");
        let events = events.query_map([], |row| {
            let event: (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(event)
        });
        let events: Vec<_> = events.expect("the events").map(|event| event.expect("an event")).collect();
        let took = start.elapsed();
        assert_eq!((runs.len(), events.len()), (self.runs, self.runs * EVENTS as usize), "what was read");
        took
    }
}
