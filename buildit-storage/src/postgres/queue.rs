//! The queue of runs. A claim is the lease on the run, which `pipeline_runs` holds; `job_queue` says who may be taken.

use std::time::Duration;

use async_trait::async_trait;
use buildit::id::{FencingToken, RunId};
use buildit::store::{Claim, Enqueue, QueueStore, QueuedJob, StoreError};
use jiff::Timestamp;
use jiff_sqlx::Timestamp as Column;
use sqlx::PgConnection;
use uuid::Uuid;

use super::PostgresStore;
use super::column::{down, up};
use super::error::failed;
use super::run::fence;
use super::transaction::Write;
use crate::sql::{claimed_until, count, number};

/// How long a word of the server is waited for at most; whoever waits looks more often by itself.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

#[async_trait]
impl QueueStore for PostgresStore {
    async fn enqueue(&self, job: Enqueue) -> Result<(), StoreError> {
        let due = up(self.shift().await?.apply(job.scheduled_for));
        self.write(Add { job, due }).await
    }

    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Vec<QueuedJob>, StoreError> {
        if claim.limit == 0 {
            return Ok(Vec::new());
        }
        let shift = self.shift().await?;
        let until = down(shift.apply(claimed_until(now, claim.lease)));
        self.write(Take { claim, now: down(shift.apply(now)), until }).await
    }

    async fn renew(&self, run: RunId, token: FencingToken, until: Timestamp) -> Result<(), StoreError> {
        let until = down(self.shift().await?.apply(until));
        self.write(Change { run, token, what: What::Renew(until) }).await
    }

    async fn complete(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        self.write(Change { run, token, what: What::Complete }).await
    }

    async fn give_back(&self, run: RunId, token: FencingToken, at: Timestamp) -> Result<(), StoreError> {
        let due = up(self.shift().await?.apply(at));
        self.write(Change { run, token, what: What::GiveBack(due) }).await
    }

    async fn hand_over(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        self.write(Change { run, token, what: What::HandOver }).await
    }

    async fn queue_changed(&self) {
        self.wait_for_work(LONGEST_WAIT).await;
    }

    async fn dead_letters(&self) -> Result<Vec<RunId>, StoreError> {
        let query = "SELECT subject FROM job_queue WHERE status = 'dead' AND job_type = 'run' ORDER BY died";
        let ids: Vec<Uuid> = sqlx::query_scalar(query).fetch_all(&mut *self.reads().await?).await.map_err(failed)?;
        Ok(ids.into_iter().map(RunId::from).collect())
    }

    async fn requeue(&self, run: RunId, at: Timestamp) -> Result<(), StoreError> {
        let due = up(self.shift().await?.apply(at));
        self.write(Revive { run, due }).await
    }
}

/// Tells those who wait that a run may be taken, when the transaction is committed.
async fn announce(to: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_notify('buildit_queue', '')").execute(to).await.map(drop).map_err(failed)
}

#[derive(Debug)]
struct Add {
    job: Enqueue,
    due: Column,
}

/// The run is kept from being deleted meanwhile. This lock is the one that is taken before the entry's, and it holds up
/// none but a deletion, which makes sure that it was not overtaken.
const ADD: &str = "WITH run AS (
         SELECT id FROM pipeline_runs WHERE id = $1 FOR KEY SHARE
     ), added AS (
         INSERT INTO job_queue (job_type, subject, tenant_id, priority, max_attempts, scheduled_for)
         SELECT 'run', id, $2, $3, $4, $5 FROM run ON CONFLICT (subject, job_type) DO NOTHING RETURNING place
     )
     SELECT EXISTS (SELECT FROM run), EXISTS (SELECT FROM added)";

#[async_trait]
impl Write for Add {
    type Answer = ();

    async fn write(&self, to: &mut PgConnection) -> Result<(), StoreError> {
        let job = &self.job;
        let add = sqlx::query_as(ADD).bind(job.run.as_uuid()).bind(job.tenant.as_uuid()).bind(job.priority);
        let add = add.bind(i64::from(job.max_attempts.max(1))).bind(self.due);
        match add.fetch_one(&mut *to).await.map_err(failed)? {
            (false, _) => Err(StoreError::NoRun(job.run)),
            (true, false) => Ok(()),
            (true, true) => announce(to).await,
        }
    }
}

#[derive(Debug)]
struct Take {
    claim: Claim,
    now: Column,
    until: Column,
}

/// Takes the runs that are due and that nobody has locked; those that were taken as often as they may be become dead
/// letters, 100 at a time at most: without a limit the server would look at all runs instead of those few.
const TAKE: &str = "WITH spent AS (
         SELECT q.place FROM job_queue q JOIN pipeline_runs r ON r.id = q.subject
         WHERE q.status <> 'dead' AND q.attempts >= q.max_attempts AND q.scheduled_for <= $1
             AND (r.locked_until IS NULL OR r.locked_until <= $1)
         ORDER BY q.place LIMIT 100
         FOR NO KEY UPDATE OF q, r SKIP LOCKED
     ), buried AS (
         UPDATE job_queue q SET status = 'dead', locked_by = NULL, locked_until = NULL, died = nextval('job_queue_deaths')
         FROM spent WHERE q.place = spent.place
     ), due AS (
         SELECT q.place, r.id, r.fencing_token + 1 AS token
         FROM job_queue q JOIN pipeline_runs r ON r.id = q.subject
         WHERE q.status <> 'dead' AND q.attempts < q.max_attempts AND q.scheduled_for <= $1
             AND (r.locked_until IS NULL OR r.locked_until <= $1)
         ORDER BY q.priority DESC, q.place LIMIT $2
         FOR NO KEY UPDATE OF q, r SKIP LOCKED
     ), leased AS (
         UPDATE pipeline_runs r SET fencing_token = due.token, locked_by = $3, locked_until = $4
         FROM due WHERE r.id = due.id
     ), taken AS (
         UPDATE job_queue q SET status = 'taken', attempts = q.attempts + 1, locked_by = $3, locked_until = $4,
             fencing_token = due.token
         FROM due WHERE q.place = due.place
         RETURNING q.subject, q.tenant_id, q.fencing_token, q.attempts, q.priority, q.place
     )
     SELECT subject, tenant_id, fencing_token, attempts FROM taken ORDER BY priority DESC, place";

#[async_trait]
impl Write for Take {
    type Answer = Vec<QueuedJob>;

    async fn write(&self, to: &mut PgConnection) -> Result<Vec<QueuedJob>, StoreError> {
        let take = sqlx::query_as(TAKE).bind(self.now).bind(number(self.claim.limit as u64));
        let take = take.bind(self.claim.worker.as_str()).bind(self.until);
        let taken: Vec<(Uuid, Uuid, i64, i64)> = take.fetch_all(to).await.map_err(failed)?;
        let job = |(run, tenant, token, attempts): (Uuid, Uuid, i64, i64)| {
            let attempt = u32::try_from(attempts).map_err(|error| StoreError::Corrupt(error.to_string()))?;
            Ok(QueuedJob { run: run.into(), tenant: tenant.into(), token: FencingToken(count(token)?), attempt })
        };
        taken.into_iter().map(job).collect()
    }
}

#[derive(Debug)]
struct Change {
    run: RunId,
    token: FencingToken,
    what: What,
}

#[derive(Debug)]
enum What {
    Renew(Column),
    Complete,
    GiveBack(Column),
    HandOver,
}

#[async_trait]
impl Write for Change {
    type Answer = ();

    async fn write(&self, to: &mut PgConnection) -> Result<(), StoreError> {
        // Before the run. An entry that comes later is not this lease's.
        let entry = "SELECT place, status, attempts >= max_attempts FROM job_queue
             WHERE subject = $1 AND job_type = 'run' FOR UPDATE";
        let entry = sqlx::query_as(entry).bind(self.run.as_uuid());
        let entry: Option<(i64, String, bool)> = entry.fetch_optional(&mut *to).await.map_err(failed)?;
        fence(to, self.run, self.token).await?;
        if let What::Renew(until) = self.what {
            return self.renew(to, entry.map(|(place, ..)| place), until).await;
        }
        if let Some((place, status, is_spent)) = entry {
            self.leave(to, place, status == "dead", is_spent).await?;
        }
        let end = "UPDATE pipeline_runs SET locked_by = NULL, locked_until = NULL WHERE id = $1";
        sqlx::query(end).bind(self.run.as_uuid()).execute(to).await.map(drop).map_err(failed)
    }
}

impl Change {
    async fn renew(&self, to: &mut PgConnection, place: Option<i64>, until: Column) -> Result<(), StoreError> {
        let renew = "WITH entry AS (
                 UPDATE job_queue SET locked_until = $3 WHERE place = $2 AND status = 'taken'
             )
             UPDATE pipeline_runs SET locked_until = $3 WHERE id = $1 AND locked_by IS NOT NULL";
        let renew = sqlx::query(renew).bind(self.run.as_uuid()).bind(place).bind(until);
        renew.execute(to).await.map(drop).map_err(failed)
    }

    /// Takes the entry out of the worker's hands.
    async fn leave(&self, to: &mut PgConnection, place: i64, is_dead: bool, is_spent: bool) -> Result<(), StoreError> {
        let leave = match self.what {
            What::Complete => sqlx::query("DELETE FROM job_queue WHERE place = $1").bind(place),
            What::GiveBack(_) if is_spent && !is_dead => {
                let bury = "UPDATE job_queue SET status = 'dead', locked_by = NULL, locked_until = NULL,
                         died = nextval('job_queue_deaths') WHERE place = $1";
                sqlx::query(bury).bind(place)
            }
            What::GiveBack(due) if !is_dead => {
                announce(to).await?;
                let wait = "UPDATE job_queue SET status = 'waiting', scheduled_for = $2, locked_by = NULL,
                         locked_until = NULL WHERE place = $1";
                sqlx::query(wait).bind(place).bind(due)
            }
            What::HandOver if !is_dead => {
                announce(to).await?;
                let wait = "UPDATE job_queue SET status = 'waiting', attempts = greatest(attempts - 1, 0),
                         locked_by = NULL, locked_until = NULL WHERE place = $1";
                sqlx::query(wait).bind(place)
            }
            What::GiveBack(_) | What::HandOver | What::Renew(_) => return Ok(()),
        };
        leave.execute(to).await.map(drop).map_err(failed)
    }
}

#[derive(Debug)]
struct Revive {
    run: RunId,
    due: Column,
}

#[async_trait]
impl Write for Revive {
    type Answer = ();

    async fn write(&self, to: &mut PgConnection) -> Result<(), StoreError> {
        // Behind all others of its priority, as if it were new.
        let revive = "UPDATE job_queue SET status = 'waiting', attempts = 0, died = NULL, scheduled_for = $2,
                 place = DEFAULT
             WHERE subject = $1 AND job_type = 'run' AND status = 'dead'";
        let revive = sqlx::query(revive).bind(self.run.as_uuid()).bind(self.due);
        if revive.execute(&mut *to).await.map_err(failed)?.rows_affected() == 0 {
            return Err(StoreError::NoRun(self.run));
        }
        announce(to).await
    }
}
