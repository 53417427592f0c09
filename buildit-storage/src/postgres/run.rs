//! Runs and their events.

use std::sync::Arc;

use async_trait::async_trait;
use buildit::event::{Event, RunStatus};
use buildit::id::{FencingToken, RunId, TenantId};
use buildit::store::{
    EventPage, Lease, NewRun, RunFilter, RunProgress, RunRecord, RunStore, RunSummary, Standing, StoreError, TakenRun,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::PostgresStore;
use super::column::{LONGEST_NAME, down, is_name, shown};
use super::error::{Again, backend, failed, has_constraint};
use super::group::{cancel_before, free_next, standings};
use super::line::{numbered, runs};
use super::pipeline::Stages;
use super::queue::Add;
use super::tenant::wake_one;
use super::transaction::Write;
use crate::sql::{
    carried_products, check_events, count, from_json, is_larger, millis, number, products, run_status, stage_rows,
    to_json,
};

#[async_trait]
impl RunStore for PostgresStore {
    async fn create_run(&self, run: NewRun) -> Result<RunRecord, StoreError> {
        self.create(run, None).await
    }

    async fn run(&self, run: RunId) -> Result<RunRecord, StoreError> {
        let query = "SELECT definition, number, status, last_seq FROM pipeline_runs WHERE id = $1";
        let query = sqlx::query_as(query).bind(run.as_uuid());
        let found: Option<(String, i64, String, i64)> =
            query.fetch_optional(&mut *self.reads().await?).await.map_err(failed)?;
        let (definition, number, status, last_seq) = found.ok_or(StoreError::NoRun(run))?;
        Ok(RunRecord {
            run: self.definitions().read(&definition)?,
            number: count(number)?,
            status: run_status(&status)?,
            last_seq: count(last_seq)?,
        })
    }

    async fn runs(&self, filter: &RunFilter, limit: usize) -> Result<Vec<RunSummary>, StoreError> {
        runs(&mut *self.reads().await?, filter, limit).await
    }

    async fn run_by_number(&self, tenant: TenantId, pipeline: &str, number: u64) -> Result<RunSummary, StoreError> {
        numbered(&mut *self.reads().await?, tenant, pipeline, number).await
    }

    async fn open_runs(&self) -> Result<Vec<RunId>, StoreError> {
        let query = sqlx::query_scalar("SELECT id FROM pipeline_runs WHERE NOT closed ORDER BY place");
        let ids: Vec<Uuid> = query.fetch_all(&mut *self.reads().await?).await.map_err(failed)?;
        Ok(ids.into_iter().map(RunId::from).collect())
    }

    async fn append(
        &self,
        run: RunId,
        expected_seq: u64,
        token: FencingToken,
        events: Arc<[Event]>,
    ) -> Result<(), StoreError> {
        self.write(Append { run, expected_seq, token, events: &events }).await
    }

    async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<EventPage, StoreError> {
        // In one statement, so that the page is of one moment.
        let query = "SELECT r.last_seq, e.body FROM pipeline_runs r LEFT JOIN LATERAL (
                 SELECT seq, body FROM run_events WHERE pipeline_run_id = r.id AND seq > $2 ORDER BY seq LIMIT $3
             ) e ON true WHERE r.id = $1 ORDER BY e.seq";
        let query = sqlx::query_as(query).bind(run.as_uuid()).bind(number(after)).bind(number(limit as u64));
        let rows: Vec<(i64, Option<String>)> = query.fetch_all(&mut *self.reads().await?).await.map_err(failed)?;
        let (last_seq, _) = rows.first().ok_or(StoreError::NoRun(run))?;
        let events = rows.iter().filter_map(|(_, body)| body.as_deref()).map(from_json).collect::<Result<_, _>>()?;
        Ok(EventPage { events, last_seq: count(*last_seq)? })
    }

    async fn close_run(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        self.write(Close { run, token }).await
    }

    async fn delete_run(&self, run: RunId) -> Result<(), StoreError> {
        self.write(Delete { run }).await
    }

    async fn lease_run(&self, run: RunId, lease: Lease, now: Timestamp) -> Result<FencingToken, StoreError> {
        match self.lease_runs(&[run], &lease, now).await?.remove(&run) {
            Some(token) => Ok(token),
            None => self.run_exists(run).await.and(Err(StoreError::Fenced)),
        }
    }

    async fn take_up(&self, runs: &[RunId], lease: Lease, now: Timestamp) -> Result<Vec<TakenRun>, StoreError> {
        let tokens = self.lease_runs(runs, &lease, now).await?;
        self.taken(runs, &tokens).await
    }

    async fn standings(&self, runs: &[RunId]) -> Result<Vec<Standing>, StoreError> {
        standings(&mut *self.reads().await?, runs).await
    }
}

impl PostgresStore {
    /// Keeps a run, and adds it to the queue if it is to wait there.
    pub(super) async fn create(&self, run: NewRun, add: Option<Add>) -> Result<RunRecord, StoreError> {
        check_names(&run)?;
        let number =
            self.write(Create { run: &run, definition: to_json(&run)?, stages: Stages::of(&run.plan)?, add }).await?;
        Ok(RunRecord { run, number, status: RunStatus::default(), last_seq: 0 })
    }
}

/// Refuses names that could not be kept once the run is under way.
fn check_names(run: &NewRun) -> Result<(), StoreError> {
    let mut names = run.plan.stages.iter().map(|stage| &*stage.name).chain([&*run.plan.name]);
    names.try_for_each(check_name)
}

/// Refuses a name that no column with an index holds as it is.
pub(super) fn check_name(name: &str) -> Result<(), StoreError> {
    if is_name(name) {
        return Ok(());
    }
    let (shown, bytes) = (shown(name), name.len());
    Err(backend(format!("the name `{shown}` holds a NUL or has {bytes} bytes, more than {LONGEST_NAME}")))
}

/// What the column `progress` holds: what the events add up to, and when the run was created, to the nanosecond.
#[derive(Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) created_at: Timestamp,
    #[serde(flatten)]
    pub(super) progress: RunProgress,
}

/// Locks a run and refuses a writer whose lease was taken over. A larger token than any before is noted.
pub(super) async fn fence(to: &mut PgConnection, run: RunId, token: FencingToken) -> Result<(), StoreError> {
    let seen = "SELECT fencing_token FROM pipeline_runs WHERE id = $1 FOR NO KEY UPDATE";
    let seen = sqlx::query_scalar(seen).bind(run.as_uuid());
    let seen: Option<i64> = seen.fetch_optional(&mut *to).await.map_err(failed)?;
    raise(to, run, seen.ok_or(StoreError::NoRun(run))?, token).await
}

/// The same for a run that is locked, when `seen` is the largest token so far.
async fn raise(to: &mut PgConnection, run: RunId, seen: i64, token: FencingToken) -> Result<(), StoreError> {
    if is_larger(token, seen)? {
        let query = sqlx::query("UPDATE pipeline_runs SET fencing_token = $2 WHERE id = $1");
        query.bind(run.as_uuid()).bind(number(token.0)).execute(to).await.map_err(failed)?;
    }
    Ok(())
}

#[derive(Debug)]
struct Create<'a> {
    run: &'a NewRun,
    definition: String,
    stages: Stages,
    add: Option<Add>,
}

/// The pipeline's row is locked until the end of the transaction, so that its numbers have no gaps.
const CREATE: &str = "WITH next AS (
         INSERT INTO pipelines AS p (tenant_id, name, last_number, created_at) VALUES ($2, $3, 1, $4)
         ON CONFLICT (tenant_id, name) DO UPDATE SET last_number = p.last_number + 1
         RETURNING place, last_number, stages
     ), made AS (
         INSERT INTO pipeline_runs (id, tenant_id, pipeline, number, status, created_at, concurrency_group,
             source_digest, definition, progress, event, branch, commit_id, message, author, pull_request)
         SELECT $1, $2, place, last_number, $5, $4, $6, $7, $8, $9, nullif($10, ''), nullif($11, ''), nullif($12, ''),
             nullif($13, ''), nullif($14, ''), $15 FROM next RETURNING number
     )
     SELECT made.number, next.place, next.stages FROM made, next";

#[async_trait]
impl Write for Create<'_> {
    type Answer = u64;

    async fn write(&self, to: &mut PgConnection) -> Result<u64, StoreError> {
        let run = self.run;
        let progress = Progress { created_at: run.created_at, progress: RunProgress::default() };
        let create = sqlx::query_as(CREATE).bind(run.id.as_uuid()).bind(run.tenant.as_uuid()).bind(&run.plan.name);
        let create = create.bind(down(run.created_at)).bind(RunStatus::default().as_str());
        let create = create.bind(run.group.as_deref().map(shown)).bind(run.source.map(|source| source.to_hex()));
        let create = create.bind(&self.definition).bind(to_json(&progress)?);
        let line = RunSummary::of_new(run, 0);
        let create = create.bind(shown(&line.event)).bind(shown(&line.branch)).bind(shown(&line.commit));
        let create = create.bind(shown(&line.message)).bind(shown(&line.author)).bind(line.pull_request.map(number));
        let (given, pipeline, stages): (i64, i64, Option<String>) = match create.fetch_one(&mut *to).await {
            Ok(given) => given,
            Err(error) if is_taken(&error) => return Err(StoreError::Exists(run.id)),
            Err(error) => return Err(failed(error)),
        };
        let given = count(given)?;
        if stages.as_ref() != Some(&self.stages.digest) {
            self.stages.keep(to, pipeline).await?;
        }
        for row in carried_products(run) {
            let insert = "INSERT INTO artifacts (pipeline_run_id, stage_name, attempt, kind, name, digest, bytes)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
            let insert = sqlx::query(insert).bind(run.id.as_uuid()).bind(row.stage.as_str());
            let insert = insert.bind(i64::from(row.attempt)).bind(row.kind).bind(shown(&row.name));
            let insert = insert.bind(row.digest.to_hex()).bind(number(row.bytes));
            insert.execute(&mut *to).await.map_err(failed)?;
        }
        if run.cancels_earlier() {
            cancel_before(to, run.id, given).await?;
        }
        if let Some(add) = &self.add {
            add.write(to).await?;
        }
        Ok(given)
    }
}

/// Whether there is a run of this id.
fn is_taken(error: &sqlx::Error) -> bool {
    has_constraint(error, "pipeline_runs_id_key")
}

#[derive(Debug)]
struct Append<'a> {
    run: RunId,
    expected_seq: u64,
    token: FencingToken,
    events: &'a [Event],
}

/// All that an append changes, at the price of one round trip.
const APPEND: &str = "WITH events AS (
         INSERT INTO run_events (pipeline_run_id, seq, time, body)
         SELECT $1, * FROM unnest($2::bigint[], $3::timestamptz[], $4::text[])
     ), stages AS (
         INSERT INTO stage_results AS s (pipeline_run_id, stage_name, status, attempt, executor, exit_code, error,
             started_at, finished_at, allowed, cached)
         SELECT $1, * FROM unnest($5::text[], $6::text[], $7::bigint[], $8::text[], $9::integer[], $10::text[],
             $11::timestamptz[], $12::timestamptz[], $13::boolean[], $14::boolean[])
         ON CONFLICT (pipeline_run_id, stage_name) DO UPDATE SET
             status = excluded.status,
             attempt = coalesce(excluded.attempt, s.attempt),
             executor = coalesce(excluded.executor, s.executor),
             exit_code = excluded.exit_code,
             error = excluded.error,
             started_at = coalesce(s.started_at, excluded.started_at),
             finished_at = excluded.finished_at,
             allowed = excluded.allowed,
             cached = excluded.cached
     ), products AS (
         INSERT INTO artifacts (pipeline_run_id, stage_name, attempt, kind, name, digest, bytes)
         SELECT $1, * FROM unnest($15::text[], $16::bigint[], $17::text[], $18::text[], $19::text[], $20::bigint[])
         ON CONFLICT DO NOTHING
     )
     UPDATE pipeline_runs SET progress = $21, status = $22, started_at = $23, finished_at = $24, last_seq = $25,
         duration_ms = $26 WHERE id = $1";

#[async_trait]
impl Write for Append<'_> {
    type Answer = ();

    async fn write(&self, to: &mut PgConnection) -> Result<(), StoreError> {
        let head = "SELECT progress, last_seq, fencing_token FROM pipeline_runs WHERE id = $1 FOR NO KEY UPDATE";
        let head = sqlx::query_as(head).bind(self.run.as_uuid());
        let head: Option<(String, i64, i64)> = head.fetch_optional(&mut *to).await.map_err(failed)?;
        let (progress, last_seq, seen) = head.ok_or(StoreError::NoRun(self.run))?;
        raise(to, self.run, seen, self.token).await?;
        check_events(self.expected_seq, self.events, count(last_seq)?)?;
        let Some(last) = self.events.last() else { return Ok(()) };
        let mut all: Progress = from_json(&progress)?;
        self.events.iter().for_each(|event| all.progress.apply(event));
        let (stages, products) = (stage_rows(self.events), products(self.events));

        let append = sqlx::query(APPEND).bind(self.run.as_uuid());
        let append = append.bind(list(self.events, |event| number(event.seq)));
        let append = append.bind(list(self.events, |event| down(event.time)));
        let append = append.bind(self.events.iter().map(to_json).collect::<Result<Vec<_>, _>>()?);
        let append = append.bind(list(&stages, |row| row.stage.as_str()));
        let append = append.bind(list(&stages, |row| row.status));
        let append = append.bind(list(&stages, |row| row.attempt.map(i64::from)));
        let append = append.bind(list(&stages, |row| row.executor.as_deref().map(shown)));
        let append = append.bind(list(&stages, |row| row.exit_code));
        let append = append.bind(list(&stages, |row| row.error.as_deref().map(shown)));
        let append = append.bind(list(&stages, |row| row.started_at.map(down)));
        let append = append.bind(list(&stages, |row| row.finished_at.map(down)));
        let append = append.bind(list(&stages, |row| row.allowed));
        let append = append.bind(list(&stages, |row| row.cached));
        let append = append.bind(list(&products, |row| row.stage.as_str()));
        let append = append.bind(list(&products, |row| i64::from(row.attempt)));
        let append = append.bind(list(&products, |row| row.kind));
        let append = append.bind(list(&products, |row| shown(&row.name)));
        let append = append.bind(list(&products, |row| row.digest.to_hex()));
        let append = append.bind(list(&products, |row| number(row.bytes)));
        let progress = &all.progress;
        let append = append.bind(to_json(&all)?).bind(progress.status.as_str());
        let append = append.bind(progress.started_at.map(down)).bind(progress.finished_at.map(down));
        let append = append.bind(number(last.seq)).bind(progress.duration().map(millis));
        append.execute(&mut *to).await.map_err(failed)?;
        if progress.status.is_final() {
            free_next(to, self.run).await?;
        }
        Ok(())
    }
}

/// A column of these rows.
fn list<'a, R, T>(rows: &'a [R], value: impl FnMut(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

#[derive(Debug)]
struct Close {
    run: RunId,
    token: FencingToken,
}

#[async_trait]
impl Write for Close {
    type Answer = ();

    async fn write(&self, to: &mut PgConnection) -> Result<(), StoreError> {
        fence(to, self.run, self.token).await?;
        let close = "UPDATE pipeline_runs SET closed = true WHERE id = $1 RETURNING status";
        let close = sqlx::query_scalar(close).bind(self.run.as_uuid());
        let status: String = close.fetch_one(to).await.map_err(failed)?;
        if run_status(&status)?.is_final() { Ok(()) } else { Err(StoreError::NotEnded(self.run)) }
    }
}

#[derive(Debug)]
struct Delete {
    run: RunId,
}

#[async_trait]
impl Write for Delete {
    type Answer = ();

    async fn write(&self, to: &mut PgConnection) -> Result<(), StoreError> {
        let id = self.run.as_uuid();
        let entry = "SELECT place FROM job_queue WHERE subject = $1 AND job_type = 'run' FOR UPDATE";
        let entry: Option<i64> = sqlx::query_scalar(entry).bind(id).fetch_optional(&mut *to).await.map_err(failed)?;
        let closed = sqlx::query_scalar("SELECT closed FROM pipeline_runs WHERE id = $1 FOR UPDATE").bind(id);
        match closed.fetch_optional(&mut *to).await.map_err(failed)? {
            None => return Err(StoreError::NoRun(self.run)),
            Some(false) => return Err(StoreError::NotEnded(self.run)),
            Some(true) => {}
        }
        // From here on nobody can add one.
        let late = "SELECT EXISTS (SELECT FROM job_queue WHERE subject = $1 AND job_type = 'run' AND place <> $2)";
        let late = sqlx::query_scalar(late).bind(id).bind(entry.unwrap_or(-1));
        if late.fetch_one(&mut *to).await.map_err(failed)? {
            return Err(Again::Queued.into());
        }
        let leave = sqlx::query_scalar("DELETE FROM job_queue WHERE place = $1 RETURNING tenant_id").bind(entry);
        let tenant: Option<Uuid> = leave.fetch_optional(&mut *to).await.map_err(failed)?;
        let delete = sqlx::query("DELETE FROM pipeline_runs WHERE id = $1").bind(id);
        delete.execute(&mut *to).await.map_err(failed)?;
        match tenant {
            Some(tenant) => wake_one(to, tenant).await,
            None => Ok(()),
        }
    }
}
