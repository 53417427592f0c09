//! A transaction of the writer: what many small appends write goes into few statements.
//!
//! Appends only *say* their rows. These are written together when something else wants the connection, or at the end;
//! in between, and from one transaction to the next, the heads of the runs at work are known without asking for them.
//! A head is forgotten when another process has written since.

use std::collections::{HashMap, HashSet};

use buildit::id::{FencingToken, RunId};
use buildit::store::{RunProgress, StoreError};
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::batch::Batch;
use super::bulk::Bulk;
use super::error::failed;
use super::group::free_next;
use crate::records::Query;
use crate::sql::{ProductRow, StageRow, count, from_json, is_larger, millis, number, to_json, to_text};

/// How many heads are kept; with more, all are forgotten between two transactions.
const KEPT: usize = 4096;

/// How many notes are handed over at once: each number of them is another text to prepare.
const NOTES: usize = 16;

/// What the writer knows of the runs at work.
#[derive(Debug, Default)]
pub(super) struct Heads {
    by_run: HashMap<RunId, Head>,
    /// What the database said of writes by others when these were read.
    version: i64,
}

impl Heads {
    pub(super) fn clear(&mut self) {
        self.by_run.clear();
    }
}

/// Where a run is.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) progress: RunProgress,
    pub(super) last_seq: u64,
    /// The largest token that was seen.
    pub(super) token: FencingToken,
}

/// An event as a row.
#[derive(Clone, Debug)]
pub(super) struct EventRow {
    pub(super) seq: u64,
    pub(super) time: String,
    pub(super) body: String,
}

/// What an append adds beside its events.
#[derive(Clone, Debug, Default)]
pub(super) struct Derived {
    pub(super) stages: Vec<StageRow>,
    pub(super) products: Vec<ProductRow>,
}

/// The transaction.
#[derive(Debug)]
pub(super) struct Transaction<'a> {
    connection: &'a mut SqliteConnection,
    heads: &'a mut Heads,
    /// The runs whose heads are to be written.
    changed: HashSet<RunId>,
    events: Vec<(String, EventRow)>,
    stages: Vec<(String, StageRow)>,
    products: Vec<(String, ProductRow)>,
    /// Statements for the end, whose answers nobody asks for.
    notes: Vec<Query>,
}

const EVENTS: Bulk =
    Bulk { head: "INSERT INTO run_events (pipeline_run_id, seq, time, body) VALUES", columns: 4, tail: "" };

const STAGES: Bulk = Bulk {
    head: "INSERT INTO stage_results (pipeline_run_id, stage_name, status, attempt, executor, exit_code, error,
               started_at, finished_at, allowed, cached) VALUES",
    columns: 11,
    tail: "ON CONFLICT (pipeline_run_id, stage_name) DO UPDATE SET
               status = excluded.status,
               attempt = coalesce(excluded.attempt, attempt),
               executor = coalesce(excluded.executor, executor),
               exit_code = excluded.exit_code,
               error = excluded.error,
               started_at = coalesce(started_at, excluded.started_at),
               finished_at = excluded.finished_at,
               allowed = excluded.allowed,
               cached = excluded.cached",
};

const PRODUCTS: Bulk = Bulk {
    head: "INSERT INTO artifacts (pipeline_run_id, stage_name, attempt, kind, name, digest, bytes) VALUES",
    columns: 7,
    tail: "ON CONFLICT DO NOTHING",
};

const HEADS: Bulk = Bulk {
    head: "UPDATE pipeline_runs SET progress = v.column2, status = v.column3, started_at = v.column4,
               finished_at = v.column5, last_seq = v.column6, fencing_token = v.column7,
               duration_ms = v.column8
           FROM (VALUES",
    columns: 8,
    tail: ") AS v WHERE pipeline_runs.id = v.column1",
};

impl<'a> Transaction<'a> {
    /// One that has begun on this connection, so that nobody else writes meanwhile.
    pub(super) async fn begun(connection: &'a mut SqliteConnection, heads: &'a mut Heads) -> Result<Self, StoreError> {
        let version = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *connection).await.map_err(failed)?;
        if version != heads.version || heads.by_run.len() > KEPT {
            heads.clear();
            heads.version = version;
        }
        let changed = HashSet::new();
        Ok(Self {
            connection,
            heads,
            changed,
            events: Vec::new(),
            stages: Vec::new(),
            products: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// The connection, with everything written that was said.
    pub(super) async fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.flush().await?;
        Ok(self.connection)
    }

    /// Where a run is.
    pub(super) async fn head(&mut self, run: RunId) -> Result<&mut Head, StoreError> {
        if !self.heads.by_run.contains_key(&run) {
            let query = "SELECT progress, last_seq, fencing_token FROM pipeline_runs WHERE id = ?";
            let query = sqlx::query_as(query).bind(run.to_string());
            let row: Option<(String, i64, i64)> = query.fetch_optional(&mut *self.connection).await.map_err(failed)?;
            let (progress, last_seq, token) = row.ok_or(StoreError::NoRun(run))?;
            let head = Head {
                progress: from_json(&progress)?,
                last_seq: count(last_seq)?,
                token: FencingToken(count(token)?),
            };
            self.heads.by_run.insert(run, head);
        }
        self.heads.by_run.get_mut(&run).ok_or(StoreError::NoRun(run))
    }

    /// Refuses a writer whose lease was taken over; a larger token than any before is noted.
    pub(super) async fn fence(&mut self, run: RunId, token: FencingToken) -> Result<&mut Head, StoreError> {
        let seen = self.head(run).await?.token;
        if is_larger(token, number(seen.0))? {
            self.changed.insert(run);
        }
        let head = self.head(run).await?;
        head.token = token;
        Ok(head)
    }

    /// Notes a new run, or one that was changed by a statement; `None` for one that is gone or is to be read anew.
    pub(super) fn note(&mut self, run: RunId, head: Option<Head>) {
        match head {
            Some(head) => drop(self.heads.by_run.insert(run, head)),
            None => drop(self.heads.by_run.remove(&run)),
        }
    }

    /// Says what is to be written of a run whose head was changed.
    pub(super) fn add(&mut self, run: RunId, events: &[EventRow], derived: &Derived) {
        let id = run.to_string();
        self.changed.insert(run);
        self.events.extend(events.iter().map(|row| (id.clone(), row.clone())));
        self.stages.extend(derived.stages.iter().map(|row| (id.clone(), row.clone())));
        self.products.extend(derived.products.iter().map(|row| (id.clone(), row.clone())));
    }

    /// Says a statement that is done at the end, whatever others of the transaction come after it.
    pub(super) fn note_down(&mut self, statement: Query) {
        self.notes.push(statement);
    }

    /// Writes all that was said.
    pub(super) async fn finish(mut self) -> Result<(), StoreError> {
        self.flush().await?;
        for piece in self.notes.chunks(NOTES) {
            let mut batch = Batch::default();
            for note in piece {
                batch.add_numbered(note.text);
                note.values.iter().try_for_each(|value| batch.bind(value.clone()))?;
            }
            batch.execute(self.connection).await?;
        }
        Ok(())
    }

    /// Writes what was said of runs.
    async fn flush(&mut self) -> Result<(), StoreError> {
        for (statement, rows) in EVENTS.pieces(&std::mem::take(&mut self.events)) {
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for (id, row) in rows {
                query = query.bind(id).bind(number(row.seq)).bind(&row.time).bind(&row.body);
            }
            query.execute(&mut *self.connection).await.map_err(failed)?;
        }
        for (statement, rows) in STAGES.pieces(&std::mem::take(&mut self.stages)) {
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for (id, row) in rows {
                query = query.bind(id).bind(row.stage.as_str()).bind(row.status).bind(row.attempt);
                query = query.bind(&row.executor).bind(row.exit_code).bind(&row.error);
                query = query.bind(row.started_at.map(to_text)).bind(row.finished_at.map(to_text));
                query = query.bind(row.allowed).bind(row.cached);
            }
            query.execute(&mut *self.connection).await.map_err(failed)?;
        }
        for (statement, rows) in PRODUCTS.pieces(&std::mem::take(&mut self.products)) {
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for (id, row) in rows {
                query = query.bind(id).bind(row.stage.as_str()).bind(row.attempt).bind(row.kind);
                query = query.bind(&row.name).bind(row.digest.to_hex()).bind(number(row.bytes));
            }
            query.execute(&mut *self.connection).await.map_err(failed)?;
        }
        self.flush_heads().await
    }

    async fn flush_heads(&mut self) -> Result<(), StoreError> {
        let changed = std::mem::take(&mut self.changed);
        let changed = changed.iter().filter_map(|run| Some((run.to_string(), self.heads.by_run.get(run)?)));
        let changed: Vec<(String, &Head)> = changed.collect();
        for (statement, rows) in HEADS.pieces(&changed) {
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for (id, head) in rows {
                let progress = &head.progress;
                query = query.bind(id).bind(to_json(progress)?).bind(progress.status.as_str());
                query = query.bind(progress.started_at.map(to_text)).bind(progress.finished_at.map(to_text));
                query = query.bind(number(head.last_seq)).bind(number(head.token.0));
                query = query.bind(progress.duration().map(millis));
            }
            query.execute(&mut *self.connection).await.map_err(failed)?;
        }
        for (id, _) in changed.iter().filter(|(_, head)| head.progress.status.is_final()) {
            free_next(self.connection, id).await?;
        }
        Ok(())
    }
}
