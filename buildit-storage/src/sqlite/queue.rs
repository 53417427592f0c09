//! The queue of runs. A claim is the lease on the run, which `pipeline_runs` holds; `job_queue` says who may be taken.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use buildit::id::{FencingToken, RunId, TenantId};
use buildit::store::{Claim, Enqueue, NewRun, QueueStore, QueuedJob, RunRecord, Share, StoreError};
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::SqliteStore;
use super::batch::Batch;
use super::bulk::Bulk;
use super::claim::Take;
use super::error::failed;
use super::run::run_id;
use super::tenant::{WAKE, list, set_share, wake};
use super::transaction::Transaction;
use super::writer::Write;
use crate::sql::{is_larger, to_text};

#[async_trait]
impl QueueStore for SqliteStore {
    async fn enqueue(&self, job: Enqueue) -> Result<(), StoreError> {
        self.enqueue_all(vec![job]).await
    }

    async fn create_queued(&self, run: NewRun, job: Enqueue) -> Result<RunRecord, StoreError> {
        job.check(&run)?;
        let record = self.create(run, Some(Add::new(vec![job]))).await?;
        self.changed().notify_waiters();
        Ok(record)
    }

    async fn enqueue_all(&self, jobs: Vec<Enqueue>) -> Result<(), StoreError> {
        self.write(Add::new(jobs)).await?;
        self.changed().notify_waiters();
        Ok(())
    }

    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Vec<QueuedJob>, StoreError> {
        if claim.limit == 0 {
            return Ok(Vec::new());
        }
        self.write(Take { claim, now, session: Arc::clone(self.session()) }).await
    }

    async fn renew(&self, run: RunId, token: FencingToken, until: Timestamp) -> Result<(), StoreError> {
        self.write(Change { run, token, what: What::Renew(until) }).await
    }

    async fn complete(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        let refused = self.write(CompleteAll(vec![(run, token)])).await?;
        refused.into_iter().next().map_or(Ok(()), |refused| Err(refused.error))
    }

    async fn complete_all(&self, runs: &[(RunId, FencingToken)]) -> Result<Vec<RunId>, StoreError> {
        let refused = self.write(CompleteAll(runs.to_vec())).await?;
        Ok(refused.into_iter().map(|refused| refused.run).collect())
    }

    async fn give_back(&self, run: RunId, token: FencingToken, at: Timestamp) -> Result<(), StoreError> {
        self.write(Change { run, token, what: What::GiveBack(at) }).await?;
        self.changed().notify_waiters();
        Ok(())
    }

    async fn hand_over(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        self.write(Change { run, token, what: What::HandOver }).await?;
        self.changed().notify_waiters();
        Ok(())
    }

    async fn queue_changed(&self) {
        self.changed().notified().await;
    }

    async fn dead_letters(&self) -> Result<Vec<RunId>, StoreError> {
        let query = "SELECT subject FROM job_queue WHERE status = 'dead' AND job_type = 'run' ORDER BY died";
        let ids: Vec<String> = sqlx::query_scalar(query).fetch_all(self.reads()).await.map_err(failed)?;
        ids.iter().map(|id| run_id(id)).collect()
    }

    async fn requeue(&self, run: RunId, at: Timestamp) -> Result<(), StoreError> {
        self.write(Revive { run, at }).await?;
        self.changed().notify_waiters();
        Ok(())
    }

    async fn set_share(&self, tenant: TenantId, share: Share) -> Result<(), StoreError> {
        self.write(SetShare { tenant, share }).await?;
        self.changed().notify_waiters();
        Ok(())
    }
}

/// Runs to add.
#[derive(Debug)]
pub(super) struct Add {
    jobs: Vec<Enqueue>,
    /// What is due later need not be looked at until then. It is a guess: a claim has the last word.
    now: Timestamp,
}

impl Add {
    fn new(jobs: Vec<Enqueue>) -> Self {
        Self { jobs, now: Timestamp::now() }
    }
}

const ADD: Bulk = Bulk {
    head: "INSERT INTO job_queue (job_type, subject, tenant_id, priority, max_attempts, scheduled_for, status) VALUES",
    columns: 7,
    tail: "ON CONFLICT (subject, job_type) DO NOTHING",
};

/// Adds a job if the statement before it has changed something.
const ADD_NEW: &str =
    "INSERT INTO job_queue (job_type, subject, tenant_id, priority, max_attempts, scheduled_for, status)
     SELECT ?, ?, ?, ?, ?, ?, ? WHERE changes() > 0 ON CONFLICT (subject, job_type) DO NOTHING";

#[async_trait]
impl Write for Add {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        let connection = to.connection().await?;
        let runs: Vec<String> = self.jobs.iter().map(|job| job.run.to_string()).collect();
        let missing = "SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM pipeline_runs WHERE id = value)";
        let missing = sqlx::query_scalar(missing).bind(list(&runs)).fetch_optional(&mut *connection);
        let missing: Option<String> = missing.await.map_err(failed)?;
        if let Some(missing) = missing {
            return Err(StoreError::NoRun(run_id(&missing)?));
        }
        let jobs: Vec<&Enqueue> = self.jobs.iter().collect();
        for (statement, jobs) in ADD.pieces(&jobs) {
            let mut batch = Batch::default();
            self.add(&statement, jobs, &mut batch)?;
            batch.execute(connection).await?;
        }
        behind(connection, &runs).await?;
        let mut tenants: Vec<TenantId> = self.jobs.iter().map(|job| job.tenant).collect();
        tenants.sort();
        tenants.dedup();
        for tenant in tenants {
            wake(connection, &tenant.to_string()).await?;
        }
        Ok(())
    }
}

impl Add {
    /// Adds what puts these jobs into the queue.
    fn add(&self, statement: &str, jobs: &[&Enqueue], batch: &mut Batch) -> Result<(), StoreError> {
        batch.add(statement);
        for job in jobs {
            batch.bind("run")?;
            batch.bind(job.run.to_string())?;
            batch.bind(job.tenant.to_string())?;
            batch.bind(job.priority)?;
            batch.bind(job.max_attempts.max(1))?;
            batch.bind(to_text(job.scheduled_for))?;
            batch.bind(if job.scheduled_for > self.now { "scheduled" } else { "waiting" })?;
        }
        Ok(())
    }

    /// The same for a run that the statement before keeps, if it does; its tenant is woken.
    pub(super) fn add_new(&self, batch: &mut Batch) -> Result<(), StoreError> {
        for job in &self.jobs {
            self.add(ADD_NEW, &[job], batch)?;
            batch.add(WAKE);
            batch.bind(job.tenant.to_string())?;
        }
        Ok(())
    }
}

/// Those of these runs that are to wait for others of their groups wait for them.
pub(super) async fn behind(to: &mut SqliteConnection, runs: &[String]) -> Result<(), StoreError> {
    let behind = "UPDATE job_queue SET status = 'behind'
             WHERE job_type = 'run' AND status IN ('waiting', 'scheduled')
                 AND subject IN (SELECT r.id FROM pipeline_runs r JOIN json_each(?) j ON r.id = j.value
                     WHERE r.cancel_requested IS NULL AND EXISTS (
                         SELECT 1 FROM pipeline_runs e
                         WHERE e.pipeline = r.pipeline AND e.concurrency_group = r.concurrency_group
                             AND e.number < r.number AND e.status IN ('queued', 'running', 'waiting')))";
    sqlx::query(behind).bind(list(runs)).execute(to).await.map(drop).map_err(failed)
}

#[derive(Debug)]
struct SetShare {
    tenant: TenantId,
    share: Share,
}

#[async_trait]
impl Write for SetShare {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        set_share(to.connection().await?, self.tenant, self.share).await
    }
}

#[derive(Debug)]
struct CompleteAll(Vec<(RunId, FencingToken)>);

/// A run that was not completed, and why.
#[derive(Debug)]
struct Refused {
    run: RunId,
    error: StoreError,
}

#[async_trait]
impl Write for CompleteAll {
    type Answer = Vec<Refused>;

    async fn write(&self, to: &mut Transaction<'_>) -> Result<Vec<Refused>, StoreError> {
        let connection = to.connection().await?;
        let runs: Vec<String> = self.0.iter().map(|(run, _)| run.to_string()).collect();
        let seen = "SELECT id, fencing_token FROM pipeline_runs WHERE id IN (SELECT value FROM json_each(?))";
        let seen = sqlx::query_as(seen).bind(list(&runs)).fetch_all(&mut *connection).await;
        let seen: Vec<(String, i64)> = seen.map_err(failed)?;
        let seen: HashMap<String, i64> = seen.into_iter().collect();
        let (mut ended, mut raised, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for ((run, token), id) in self.0.iter().zip(runs) {
            let known = seen.get(&id).ok_or(StoreError::NoRun(*run));
            match known.and_then(|known| is_larger(*token, *known)) {
                Ok(is_larger) => {
                    raised.extend(is_larger.then_some((*run, *token)));
                    ended.push(id);
                }
                Err(error @ (StoreError::Fenced | StoreError::NoRun(_))) => refused.push(Refused { run: *run, error }),
                Err(error) => return Err(error),
            }
        }
        let ended = list(&ended);
        let remove = "DELETE FROM job_queue WHERE job_type = 'run' AND subject IN (SELECT value FROM json_each(?))
             RETURNING tenant_id";
        let tenants = sqlx::query_scalar(remove).bind(&ended).fetch_all(&mut *connection).await;
        let mut tenants: Vec<String> = tenants.map_err(failed)?;
        let end = "UPDATE pipeline_runs SET locked_by = NULL, locked_until = NULL, locked_session = NULL
             WHERE id IN (SELECT value FROM json_each(?))";
        sqlx::query(end).bind(&ended).execute(&mut *connection).await.map_err(failed)?;
        tenants.sort();
        tenants.dedup();
        for tenant in tenants {
            wake(connection, &tenant).await?;
        }
        for (run, token) in raised {
            to.fence(run, token).await?;
        }
        Ok(refused)
    }
}

/// Makes a dead letter of an entry.
pub(super) async fn bury(to: &mut SqliteConnection, place: i64) -> Result<(), StoreError> {
    let bury = "UPDATE job_queue SET status = 'dead', locked_by = NULL, locked_until = NULL,
             died = (SELECT coalesce(max(died), 0) + 1 FROM job_queue) WHERE place = ?";
    sqlx::query(bury).bind(place).execute(to).await.map(drop).map_err(failed)
}

#[derive(Debug)]
struct Change {
    run: RunId,
    token: FencingToken,
    what: What,
}

#[derive(Debug)]
enum What {
    Renew(Timestamp),
    GiveBack(Timestamp),
    HandOver,
}

#[async_trait]
impl Write for Change {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        to.fence(self.run, self.token).await?;
        let (id, connection) = (self.run.to_string(), to.connection().await?);
        match self.what {
            What::Renew(until) => {
                let until = to_text(until);
                for renew in [
                    "UPDATE pipeline_runs SET locked_until = ? WHERE id = ? AND locked_by IS NOT NULL",
                    "UPDATE job_queue SET locked_until = ? WHERE subject = ? AND job_type = 'run' AND status = 'taken'",
                ] {
                    sqlx::query(renew).bind(&until).bind(&id).execute(&mut *connection).await.map_err(failed)?;
                }
                return Ok(());
            }
            What::HandOver => {
                let wait = "UPDATE job_queue SET status = 'waiting', attempts = max(attempts - 1, 0),
                         locked_by = NULL, locked_until = NULL
                     WHERE subject = ? AND job_type = 'run' AND status = 'taken'";
                sqlx::query(wait).bind(&id).execute(&mut *connection).await.map_err(failed)?;
            }
            What::GiveBack(at) => {
                let entry = "SELECT place, attempts >= max_attempts FROM job_queue
                     WHERE subject = ? AND job_type = 'run' AND status NOT IN ('dead', 'behind')";
                let entry: Option<(i64, bool)> =
                    sqlx::query_as(entry).bind(&id).fetch_optional(&mut *connection).await.map_err(failed)?;
                match entry {
                    Some((place, true)) => bury(connection, place).await?,
                    Some((place, false)) => {
                        let wait = "UPDATE job_queue SET status = 'scheduled', scheduled_for = ?, locked_by = NULL,
                                 locked_until = NULL WHERE place = ?";
                        sqlx::query(wait)
                            .bind(to_text(at))
                            .bind(place)
                            .execute(&mut *connection)
                            .await
                            .map_err(failed)?;
                    }
                    None => {}
                }
            }
        }
        let end = "UPDATE pipeline_runs SET locked_by = NULL, locked_until = NULL, locked_session = NULL WHERE id = ?";
        sqlx::query(end).bind(&id).execute(&mut *connection).await.map_err(failed)?;
        let tenant = sqlx::query_scalar("SELECT tenant_id FROM job_queue WHERE subject = ? AND job_type = 'run'");
        let tenant: Option<String> = tenant.bind(id).fetch_optional(&mut *connection).await.map_err(failed)?;
        match tenant {
            Some(tenant) => wake(connection, &tenant).await,
            None => Ok(()),
        }
    }
}

#[derive(Debug)]
struct Revive {
    run: RunId,
    at: Timestamp,
}

#[async_trait]
impl Write for Revive {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        // Behind all others of its priority, as if it were new.
        let revive = "UPDATE job_queue SET status = 'scheduled', attempts = 0, died = NULL, scheduled_for = ?,
                 place = (SELECT max(place) + 1 FROM job_queue)
             WHERE subject = ? AND job_type = 'run' AND status = 'dead'";
        let revive = sqlx::query(revive).bind(to_text(self.at)).bind(self.run.to_string());
        let revived = revive.execute(to.connection().await?).await.map_err(failed)?;
        if revived.rows_affected() == 0 { Err(StoreError::NoRun(self.run)) } else { Ok(()) }
    }
}
