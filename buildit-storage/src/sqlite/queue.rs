//! The queue of runs. A claim is the lease on the run, which `pipeline_runs` holds; `job_queue` says who may be taken.

use std::sync::Arc;

use async_trait::async_trait;
use buildit::id::{FencingToken, RunId, TenantId};
use buildit::store::{Claim, Enqueue, QueueStore, QueuedJob, StoreError};
use jiff::Timestamp;
use sqlx::{FromRow, SqliteConnection};

use super::SqliteStore;
use super::error::failed;
use super::run::run_id;
use super::session::Session;
use super::transaction::Transaction;
use super::writer::Write;
use crate::sql::{claimed_until, count, number, to_text};

#[async_trait]
impl QueueStore for SqliteStore {
    async fn enqueue(&self, job: Enqueue) -> Result<(), StoreError> {
        self.write(Add(job)).await?;
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
        self.write(Change { run, token, what: What::Complete }).await
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
}

#[derive(Debug)]
struct Add(Enqueue);

#[async_trait]
impl Write for Add {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        let (job, id) = (&self.0, self.0.run.to_string());
        let connection = to.connection().await?;
        let known = sqlx::query_scalar("SELECT 1 FROM pipeline_runs WHERE id = ?").bind(&id);
        let known: Option<i64> = known.fetch_optional(&mut *connection).await.map_err(failed)?;
        known.ok_or(StoreError::NoRun(job.run))?;
        let add = "INSERT INTO job_queue (job_type, subject, tenant_id, priority, max_attempts, scheduled_for)
             VALUES ('run', ?, ?, ?, ?, ?) ON CONFLICT (subject, job_type) DO NOTHING";
        let add = sqlx::query(add).bind(id).bind(job.tenant.to_string()).bind(job.priority);
        let add = add.bind(job.max_attempts.max(1)).bind(to_text(job.scheduled_for));
        add.execute(connection).await.map(drop).map_err(failed)
    }
}

#[derive(Debug)]
struct Take {
    claim: Claim,
    now: Timestamp,
    session: Arc<Session>,
}

/// A run that may be taken, as far as its times tell.
#[derive(FromRow)]
struct Candidate {
    place: i64,
    subject: String,
    tenant_id: String,
    attempts: u32,
    max_attempts: u32,
    fencing_token: i64,
}

#[async_trait]
impl Write for Take {
    type Answer = Vec<QueuedJob>;

    async fn write(&self, to: &mut Transaction<'_>) -> Result<Vec<QueuedJob>, StoreError> {
        let (now, until) = (to_text(self.now), to_text(claimed_until(self.now, self.claim.lease)));
        let connection = to.connection().await?;
        let mut taken = Vec::new();
        while taken.len() < self.claim.limit {
            let due = "SELECT q.place, q.subject, q.tenant_id, q.attempts, q.max_attempts, r.fencing_token
                 FROM job_queue q JOIN pipeline_runs r ON r.id = q.subject
                 WHERE q.status <> 'dead' AND q.scheduled_for <= ?1
                     AND (r.locked_until IS NULL OR r.locked_until <= ?1)
                 ORDER BY q.priority DESC, q.place LIMIT ?2";
            let due = sqlx::query_as(due).bind(&now).bind(number((self.claim.limit - taken.len()) as u64));
            let due: Vec<Candidate> = due.fetch_all(&mut *connection).await.map_err(failed)?;
            if due.is_empty() {
                break;
            }
            for candidate in due {
                if candidate.attempts >= candidate.max_attempts {
                    bury(connection, candidate.place).await?;
                } else {
                    taken.push(self.take(connection, candidate, &until).await?);
                }
            }
        }
        taken.iter().for_each(|job| to.note(job.run, None));
        Ok(taken)
    }
}

impl Take {
    async fn take(
        &self,
        to: &mut SqliteConnection,
        candidate: Candidate,
        until: &str,
    ) -> Result<QueuedJob, StoreError> {
        let (worker, token) = (self.claim.worker.as_str(), candidate.fencing_token + 1);
        let lease = "UPDATE pipeline_runs SET fencing_token = ?, locked_by = ?, locked_until = ?, locked_session = ?
             WHERE id = ?";
        let lease = sqlx::query(lease).bind(token).bind(worker).bind(until).bind(self.session.id());
        lease.bind(&candidate.subject).execute(&mut *to).await.map_err(failed)?;
        let note = "UPDATE job_queue SET status = 'taken', attempts = attempts + 1, locked_by = ?, locked_until = ?,
                 fencing_token = ? WHERE place = ?";
        let note = sqlx::query(note).bind(worker).bind(until).bind(token).bind(candidate.place);
        note.execute(to).await.map_err(failed)?;
        let tenant = uuid::Uuid::try_parse(&candidate.tenant_id).map(TenantId::from);
        Ok(QueuedJob {
            run: run_id(&candidate.subject)?,
            tenant: tenant.map_err(|error| StoreError::Corrupt(error.to_string()))?,
            token: FencingToken(count(token)?),
            attempt: candidate.attempts + 1,
        })
    }
}

/// Makes a dead letter of an entry.
async fn bury(to: &mut SqliteConnection, place: i64) -> Result<(), StoreError> {
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
    Complete,
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
            What::Complete => {
                let remove = sqlx::query("DELETE FROM job_queue WHERE subject = ? AND job_type = 'run'").bind(&id);
                remove.execute(&mut *connection).await.map_err(failed)?;
            }
            What::HandOver => {
                let wait = "UPDATE job_queue SET status = 'waiting', attempts = max(attempts - 1, 0),
                         locked_by = NULL, locked_until = NULL
                     WHERE subject = ? AND job_type = 'run' AND status = 'taken'";
                sqlx::query(wait).bind(&id).execute(&mut *connection).await.map_err(failed)?;
            }
            What::GiveBack(at) => {
                let entry = "SELECT place, attempts >= max_attempts FROM job_queue
                     WHERE subject = ? AND job_type = 'run' AND status <> 'dead'";
                let entry: Option<(i64, bool)> =
                    sqlx::query_as(entry).bind(&id).fetch_optional(&mut *connection).await.map_err(failed)?;
                match entry {
                    Some((place, true)) => bury(connection, place).await?,
                    Some((place, false)) => {
                        let wait = "UPDATE job_queue SET status = 'waiting', scheduled_for = ?, locked_by = NULL,
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
        sqlx::query(end).bind(id).execute(connection).await.map(drop).map_err(failed)
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
        let revive = "UPDATE job_queue SET status = 'waiting', attempts = 0, died = NULL, scheduled_for = ?,
                 place = (SELECT max(place) + 1 FROM job_queue)
             WHERE subject = ? AND job_type = 'run' AND status = 'dead'";
        let revive = sqlx::query(revive).bind(to_text(self.at)).bind(self.run.to_string());
        let revived = revive.execute(to.connection().await?).await.map_err(failed)?;
        if revived.rows_affected() == 0 { Err(StoreError::NoRun(self.run)) } else { Ok(()) }
    }
}
