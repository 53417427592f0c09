//! Runs and their events.

use std::sync::Arc;

use async_trait::async_trait;
use buildit::event::{Event, EventBody, RunStatus};
use buildit::id::{FencingToken, RunId, TenantId};
use buildit::store::{
    EventPage, Lease, NewRun, RunFilter, RunProgress, RunRecord, RunStore, RunSummary, Standing, StoreError, TakenRun,
};
use jiff::Timestamp;
use sqlx::Row;

use super::SqliteStore;
use super::batch::Batch;
use super::error::failed;
use super::group::{cancel_before, standings};
use super::line::{numbered, runs};
use super::pipeline::{Stages, tenant_text};
use super::queue::{Add, behind};
use super::tenant::wake;
use super::transaction::{Derived, EventRow, Head, Transaction};
use super::writer::Write;
use crate::sql::{carried_products, check_events, count, from_json, number, products, run_status};
use crate::sql::{stage_rows, to_json, to_text};

#[async_trait]
impl RunStore for SqliteStore {
    async fn create_run(&self, run: NewRun) -> Result<RunRecord, StoreError> {
        self.create(run, None).await
    }

    async fn run(&self, run: RunId) -> Result<RunRecord, StoreError> {
        let query = "SELECT definition, number, status, last_seq FROM pipeline_runs WHERE id = ?";
        let query = sqlx::query_as(query).bind(run.to_string());
        let found: Option<(String, i64, String, i64)> = query.fetch_optional(self.reads()).await.map_err(failed)?;
        let (definition, number, status, last_seq) = found.ok_or(StoreError::NoRun(run))?;
        Ok(RunRecord {
            run: self.definitions().read(&definition)?,
            number: count(number)?,
            status: run_status(&status)?,
            last_seq: count(last_seq)?,
        })
    }

    async fn runs(&self, filter: &RunFilter, limit: usize) -> Result<Vec<RunSummary>, StoreError> {
        runs(self.reads(), filter, limit).await
    }

    async fn run_by_number(&self, tenant: TenantId, pipeline: &str, number: u64) -> Result<RunSummary, StoreError> {
        numbered(self.reads(), tenant, pipeline, number).await
    }

    async fn open_runs(&self) -> Result<Vec<RunId>, StoreError> {
        let query = "SELECT id FROM pipeline_runs WHERE closed = 0 ORDER BY place";
        let ids: Vec<String> = sqlx::query_scalar(query).fetch_all(self.reads()).await.map_err(failed)?;
        ids.iter().map(|id| run_id(id)).collect()
    }

    async fn append(
        &self,
        run: RunId,
        expected_seq: u64,
        token: FencingToken,
        events: Arc<[Event]>,
    ) -> Result<(), StoreError> {
        let ends = events.iter().any(|event| matches!(event.body, EventBody::RunFinished { .. }));
        self.write(Append::new(run, expected_seq, token, events)?).await?;
        if ends {
            self.changed().notify_waiters();
        }
        Ok(())
    }

    async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<EventPage, StoreError> {
        // In one snapshot, so that the page is of one moment.
        let mut reads = self.reads().begin().await.map_err(failed)?;
        let head = sqlx::query_scalar("SELECT last_seq FROM pipeline_runs WHERE id = ?").bind(run.to_string());
        let last: Option<i64> = head.fetch_optional(&mut *reads).await.map_err(failed)?;
        let last_seq = count(last.ok_or(StoreError::NoRun(run))?)?;
        let query = "SELECT body FROM run_events WHERE pipeline_run_id = ? AND seq > ? ORDER BY seq LIMIT ?";
        let query = sqlx::query_scalar(query).bind(run.to_string()).bind(number(after)).bind(number(limit as u64));
        let bodies: Vec<String> = query.fetch_all(&mut *reads).await.map_err(failed)?;
        let events = bodies.iter().map(|body| from_json(body)).collect::<Result<_, _>>()?;
        Ok(EventPage { events, last_seq })
    }

    async fn close_run(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        self.write(Close { run, token }).await
    }

    async fn delete_run(&self, run: RunId) -> Result<(), StoreError> {
        self.write(Delete { run }).await?;
        self.changed().notify_waiters();
        Ok(())
    }

    async fn lease_run(&self, run: RunId, lease: Lease, now: Timestamp) -> Result<FencingToken, StoreError> {
        match self.lease_runs(&[run], lease, now).await?.remove(&run) {
            Some(leased) => leased,
            None => Err(StoreError::NoRun(run)),
        }
    }

    async fn take_up(&self, runs: &[RunId], lease: Lease, now: Timestamp) -> Result<Vec<TakenRun>, StoreError> {
        let leased = self.lease_runs(runs, lease, now).await?;
        let tokens = leased.into_iter().filter_map(|(run, token)| Some((run, token.ok()?))).collect();
        self.taken(runs, &tokens).await
    }

    async fn standings(&self, runs: &[RunId]) -> Result<Vec<Standing>, StoreError> {
        standings(self.reads(), runs).await
    }
}

impl SqliteStore {
    /// Keeps a run, and adds it to the queue if it is to wait there.
    pub(super) async fn create(&self, run: NewRun, add: Option<Add>) -> Result<RunRecord, StoreError> {
        let definition = to_json(&run)?;
        let stages = Stages::of(&run.plan)?;
        let number = self.write(Create { run: run.clone(), definition, stages, add }).await?;
        if run.cancels_earlier() {
            self.changed().notify_waiters();
        }
        Ok(RunRecord { run, number, status: RunStatus::default(), last_seq: 0 })
    }

    /// The open runs that an engine has driven and none does by `now`, in the order in which they were created: their
    /// engine has died, or left them.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    pub async fn broken_off_runs(&self, now: Timestamp) -> Result<Vec<RunId>, StoreError> {
        let query = "SELECT id, locked_until, locked_session FROM pipeline_runs
             WHERE closed = 0 AND fencing_token > 0 ORDER BY place";
        let open: Vec<(String, Option<String>, Option<String>)> =
            sqlx::query_as(query).fetch_all(self.reads()).await.map_err(failed)?;
        let (now, session) = (to_text(now), self.session());
        let is_held = |until: Option<String>, holder: Option<String>| {
            until.is_some_and(|until| until > now) && holder.is_some_and(|holder| !session.is_over(&holder))
        };
        let broken_off = open.into_iter().filter_map(|(id, until, holder)| (!is_held(until, holder)).then_some(id));
        broken_off.map(|id| run_id(&id)).collect()
    }

    /// Ends the leases of sessions that are over.
    pub(super) async fn end_leases_of_the_dead(&self) -> Result<(), StoreError> {
        let query = "SELECT DISTINCT locked_session FROM pipeline_runs WHERE locked_session IS NOT NULL";
        let sessions: Vec<String> = sqlx::query_scalar(query).fetch_all(self.reads()).await.map_err(failed)?;
        let session = self.session();
        let over: Vec<String> = sessions.into_iter().filter(|id| session.is_over(id)).collect();
        if !over.is_empty() {
            self.write(EndLeases { sessions: over }).await?;
        }
        // Those whose leases are still noted are not to be taken for unknown ones, which are over too.
        session.sweep().map_err(|error| StoreError::backend("sqlite", error))
    }
}

pub(super) fn run_id(text: &str) -> Result<RunId, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt(format!("`{text}` is no id of a run")))
}

#[derive(Debug)]
struct Create {
    run: NewRun,
    definition: String,
    stages: Stages,
    add: Option<Add>,
}

#[async_trait]
impl Write for Create {
    type Answer = u64;

    async fn write(&self, to: &mut Transaction<'_>) -> Result<u64, StoreError> {
        let (run, id) = (&self.run, self.run.id.to_string());
        let connection = to.connection().await?;
        let (tenant, created_at) = (tenant_text(run.tenant), to_text(run.created_at));
        let mut batch = Batch::default();
        batch.add(
            "INSERT INTO pipelines (tenant_id, name, last_number, created_at)
             SELECT ?, ?, 1, ? WHERE NOT EXISTS (SELECT 1 FROM pipeline_runs WHERE id = ?)
             ON CONFLICT (tenant_id, name) DO UPDATE SET last_number = last_number + 1
             RETURNING place, last_number, stages",
        );
        for text in [&tenant, &run.plan.name, &created_at, &id] {
            batch.bind(text)?;
        }
        let line = RunSummary::of_new(run, 0);
        batch.add(
            "INSERT INTO pipeline_runs (id, tenant_id, pipeline, number, status, created_at, concurrency_group,
                 source_digest, definition, progress, event, branch, commit_id, message, author, pull_request)
             SELECT ?, tenant_id, place, last_number, ?, ?, ?, ?, ?, ?, nullif(?, ''), nullif(?, ''), nullif(?, ''),
                 nullif(?, ''), nullif(?, ''), ?
             FROM pipelines WHERE tenant_id = ? AND name = ? AND changes() > 0",
        );
        batch.bind(&id)?;
        batch.bind(RunStatus::default().as_str())?;
        batch.bind(created_at)?;
        batch.bind(&run.group)?;
        batch.bind(run.source.map(|source| source.to_hex()))?;
        batch.bind(&self.definition)?;
        batch.bind(to_json(&RunProgress::default())?)?;
        for text in [line.event, line.branch, line.commit, line.message, line.author] {
            batch.bind(text)?;
        }
        batch.bind(line.pull_request.map(number))?;
        batch.bind(tenant)?;
        batch.bind(&run.plan.name)?;
        if let Some(add) = &self.add {
            add.add_new(&mut batch)?;
        }
        // The first of them alone gives a row, unless the id is taken: then none of them does anything but have the tenant
        // looked at.
        let row = batch.fetch(&mut *connection).await?.ok_or(StoreError::Exists(run.id))?;
        let (pipeline, given): (i64, i64) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        let stages: Option<String> = row.try_get(2).map_err(failed)?;
        if stages.as_ref() != Some(&self.stages.digest) {
            self.stages.keep(connection, pipeline).await?;
        }
        for row in carried_products(run) {
            let insert = "INSERT INTO artifacts (pipeline_run_id, stage_name, attempt, kind, name, digest, bytes)
                 VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
            let insert = sqlx::query(insert).bind(run.id.to_string()).bind(row.stage.as_str()).bind(row.attempt);
            let insert = insert.bind(row.kind).bind(&row.name).bind(row.digest.to_hex()).bind(number(row.bytes));
            insert.execute(&mut *connection).await.map_err(failed)?;
        }
        let given = count(given)?;
        if run.cancels_earlier() {
            cancel_before(connection, run.id, given).await?;
        }
        if self.add.is_some() && run.group.is_some() {
            behind(connection, &[id]).await?;
        }
        to.note(run.id, Some(Head::default()));
        Ok(given)
    }
}

/// Events, made into rows by the one who appends them: the writer's time is everybody's.
#[derive(Debug)]
struct Append {
    run: RunId,
    expected_seq: u64,
    token: FencingToken,
    events: Arc<[Event]>,
    rows: Vec<EventRow>,
    derived: Derived,
}

impl Append {
    fn new(run: RunId, expected_seq: u64, token: FencingToken, events: Arc<[Event]>) -> Result<Self, StoreError> {
        let row = |event: &Event| Ok(EventRow { seq: event.seq, time: to_text(event.time), body: to_json(event)? });
        let rows = events.iter().map(row).collect::<Result<_, StoreError>>()?;
        let derived = Derived { stages: stage_rows(&events), products: products(&events) };
        Ok(Self { run, expected_seq, token, events, rows, derived })
    }
}

#[async_trait]
impl Write for Append {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        let head = to.fence(self.run, self.token).await?;
        check_events(self.expected_seq, &self.events, head.last_seq)?;
        self.events.iter().for_each(|event| head.progress.apply(event));
        head.last_seq += self.events.len() as u64;
        to.add(self.run, &self.rows, &self.derived);
        Ok(())
    }
}

#[derive(Debug)]
struct Close {
    run: RunId,
    token: FencingToken,
}

#[async_trait]
impl Write for Close {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        if !to.fence(self.run, self.token).await?.progress.status.is_final() {
            return Err(StoreError::NotEnded(self.run));
        }
        let close = sqlx::query("UPDATE pipeline_runs SET closed = 1 WHERE id = ?").bind(self.run.to_string());
        close.execute(to.connection().await?).await.map(drop).map_err(failed)
    }
}

#[derive(Debug)]
struct Delete {
    run: RunId,
}

#[async_trait]
impl Write for Delete {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        let id = self.run.to_string();
        let connection = to.connection().await?;
        let closed = sqlx::query_scalar("SELECT closed FROM pipeline_runs WHERE id = ?").bind(&id);
        match closed.fetch_optional(&mut *connection).await.map_err(failed)? {
            None => return Err(StoreError::NoRun(self.run)),
            Some(false) => return Err(StoreError::NotEnded(self.run)),
            Some(true) => {}
        }
        let leave = "DELETE FROM job_queue WHERE subject = ? AND job_type = 'run' RETURNING tenant_id";
        let leave = sqlx::query_scalar(leave).bind(&id).fetch_optional(&mut *connection).await;
        let tenant: Option<String> = leave.map_err(failed)?;
        let delete = sqlx::query("DELETE FROM pipeline_runs WHERE id = ?").bind(&id);
        delete.execute(&mut *connection).await.map_err(failed)?;
        if let Some(tenant) = tenant {
            wake(connection, &tenant).await?;
        }
        to.note(self.run, None);
        Ok(())
    }
}

#[derive(Debug)]
struct EndLeases {
    sessions: Vec<String>,
}

#[async_trait]
impl Write for EndLeases {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        let connection = to.connection().await?;
        for session in &self.sessions {
            for end in [
                // Whoever claims next looks at them.
                "UPDATE job_queue SET locked_until = '' WHERE status = 'taken' AND subject IN (
                     SELECT id FROM pipeline_runs WHERE locked_session = ?
                 )",
                "UPDATE pipeline_runs SET locked_by = NULL, locked_until = NULL, locked_session = NULL
                 WHERE locked_session = ?",
            ] {
                sqlx::query(end).bind(session).execute(&mut *connection).await.map_err(failed)?;
            }
        }
        Ok(())
    }
}
