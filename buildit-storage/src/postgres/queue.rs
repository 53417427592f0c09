//! The queue of runs. A claim is the lease on the run, which `pipeline_runs` holds; `job_queue` says who may be taken.

use std::time::Duration;

use async_trait::async_trait;
use buildit::id::{FencingToken, RunId, TenantId};
use buildit::store::{Claim, Enqueue, NewRun, QueueStore, QueuedJob, RunRecord, Share, StoreError};
use jiff::Timestamp;
use jiff_sqlx::Timestamp as Column;
use sqlx::PgConnection;
use uuid::Uuid;

use super::PostgresStore;
use super::claim::Take;
use super::column::{down, up};
use super::error::failed;
use super::run::fence;
use super::tenant::{SetShare, wake};
use super::transaction::Write;
use crate::records::News;
use crate::sql::{claimed_until, number};

/// How long a word of the server is waited for at most; whoever waits looks more often by itself.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(3600);

#[async_trait]
impl QueueStore for PostgresStore {
    async fn enqueue(&self, job: Enqueue) -> Result<(), StoreError> {
        self.enqueue_all(vec![job]).await
    }

    async fn create_queued(&self, run: NewRun, job: Enqueue) -> Result<RunRecord, StoreError> {
        job.check(&run)?;
        let due = up(self.shift().await?.apply(job.scheduled_for));
        self.create(run, Some(Add(vec![(job, due)]))).await
    }

    async fn enqueue_all(&self, jobs: Vec<Enqueue>) -> Result<(), StoreError> {
        let shift = self.shift().await?;
        let due = |job: Enqueue| {
            let due = up(shift.apply(job.scheduled_for));
            (job, due)
        };
        self.write_at_once(Add(jobs.into_iter().map(due).collect())).await
    }

    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Vec<QueuedJob>, StoreError> {
        if claim.limit == 0 {
            return Ok(Vec::new());
        }
        let shift = self.shift().await?;
        let until = down(shift.apply(claimed_until(now, claim.lease)));
        self.take(&Take { claim, now: down(shift.apply(now)), until }).await
    }

    async fn renew(&self, run: RunId, token: FencingToken, until: Timestamp) -> Result<(), StoreError> {
        let until = down(self.shift().await?.apply(until));
        self.write(Renew { run, token, until }).await
    }

    async fn complete(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        self.leave(run, token, How::Complete).await
    }

    async fn complete_all(&self, runs: &[(RunId, FencingToken)]) -> Result<Vec<RunId>, StoreError> {
        let refused = self.write_at_once(Leave { runs, how: How::Complete }).await?;
        Ok(refused.into_iter().map(|(run, _)| run).collect())
    }

    async fn give_back(&self, run: RunId, token: FencingToken, at: Timestamp) -> Result<(), StoreError> {
        let due = up(self.shift().await?.apply(at));
        self.leave(run, token, How::GiveBack(due)).await
    }

    async fn hand_over(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        self.leave(run, token, How::HandOver).await
    }

    /// What was said since the wait before counts, so nothing is missed between a look at the queue and the wait.
    /// Dropping the future loses nothing.
    async fn queue_changed(&self) {
        let _ = tokio::time::timeout(LONGEST_WAIT, self.news().heard(News::Queue).notified()).await;
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

    async fn set_share(&self, tenant: TenantId, share: Share) -> Result<(), StoreError> {
        self.write_at_once(SetShare { tenant, share }).await
    }
}

/// Tells those who wait that a run may be taken, when the transaction is committed.
async fn announce(to: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_notify('buildit_queue', '')").execute(to).await.map(drop).map_err(failed)
}

/// Runs to add, each with when it is due by the database's clock.
#[derive(Debug)]
pub(super) struct Add(Vec<(Enqueue, Column)>);

/// The runs are kept from being deleted meanwhile. This lock is the one that is taken before the entry's, and it holds
/// up none but a deletion, which makes sure that it was not overtaken.
///
/// What is due later need not be looked at until then, and what is behind another run of its concurrency group not before
/// that one ends: it is locked, so that it does not end meanwhile.
const ADD: &str = concat!(
    "WITH asked AS (
         SELECT DISTINCT ON (run) * FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bigint[], $5::timestamptz[])
             WITH ORDINALITY AS a (run, tenant_id, priority, max_attempts, due, nth) ORDER BY run, nth
     ), run AS (
         SELECT a.*, r.pipeline, r.concurrency_group, r.number, r.cancel_requested
         FROM pipeline_runs r JOIN asked a ON a.run = r.id ORDER BY r.id FOR KEY SHARE OF r
     ), behind AS MATERIALIZED (
         SELECT run.run FROM run CROSS JOIN LATERAL (
             SELECT e.id FROM pipeline_runs e
             WHERE e.pipeline = run.pipeline AND e.concurrency_group = run.concurrency_group
                 AND e.number < run.number AND e.status IN ('queued', 'running', 'waiting')
             ORDER BY e.number DESC LIMIT 1 FOR SHARE
         ) e WHERE run.cancel_requested IS NULL
     ), missing AS (
         SELECT run FROM asked WHERE run NOT IN (SELECT run FROM run) LIMIT 1
     ), added AS (
         INSERT INTO job_queue (job_type, subject, tenant_id, priority, max_attempts, scheduled_for, status)
         SELECT 'run', run, tenant_id, priority, max_attempts, due,
             CASE WHEN run IN (SELECT run FROM behind) THEN 'behind'
                 WHEN due > clock_timestamp() THEN 'scheduled' ELSE 'waiting' END
         FROM run WHERE NOT EXISTS (SELECT FROM missing) ORDER BY nth
         ON CONFLICT (subject, job_type) DO NOTHING RETURNING tenant_id, status
     ), ",
    wake!("SELECT DISTINCT tenant_id FROM added WHERE status = 'waiting'"),
    "SELECT (SELECT run FROM missing), (SELECT pg_notify('buildit_queue', '')::text FROM added LIMIT 1)"
);

#[async_trait]
impl Write for Add {
    type Answer = ();

    async fn write(&self, to: &mut PgConnection) -> Result<(), StoreError> {
        let jobs = || self.0.iter().map(|(job, _)| job);
        let add = sqlx::query_as(ADD).bind(jobs().map(|job| job.run.as_uuid()).collect::<Vec<_>>());
        let add = add.bind(jobs().map(|job| job.tenant.as_uuid()).collect::<Vec<_>>());
        let add = add.bind(jobs().map(|job| job.priority).collect::<Vec<_>>());
        let add = add.bind(jobs().map(|job| i64::from(job.max_attempts.max(1))).collect::<Vec<_>>());
        let add = add.bind(self.0.iter().map(|(_, due)| *due).collect::<Vec<_>>());
        let (missing, _): (Option<Uuid>, Option<String>) = add.fetch_one(to).await.map_err(failed)?;
        missing.map_or(Ok(()), |run| Err(StoreError::NoRun(run.into())))
    }
}

/// A change of runs that are leased, each with the token of its lease; what was refused, and why.
///
/// All entries are locked before the first of the runs, which the count is for. An entry that comes later is not this
/// lease's. Each is looked up by itself: the plan for an average queue reads all of it for a hundred of them.
macro_rules! leave {
    ($change:literal, $said:literal) => {
        concat!(
            "WITH asked AS (
                 SELECT * FROM unnest($1::uuid[], $2::bigint[]) AS a (run, token)
             ), entry AS MATERIALIZED (
                 SELECT a.run, a.token, q.* FROM (SELECT * FROM asked ORDER BY run) a LEFT JOIN LATERAL (
                     SELECT q.place, q.tenant_id, q.status, q.attempts >= q.max_attempts AS is_spent
                     FROM job_queue q WHERE q.subject = a.run AND q.job_type = 'run' FOR UPDATE
                 ) q ON true
             ), held AS (
                 UPDATE pipeline_runs r SET fencing_token = e.token, locked_by = NULL, locked_until = NULL
                 FROM entry e WHERE r.id = e.run AND r.fencing_token <= e.token AND (SELECT count(*) FROM entry) > 0
                 RETURNING r.id, e.place, e.tenant_id, e.status, e.is_spent
             ), changed AS (",
            $change,
            "), ",
            wake!("SELECT DISTINCT tenant_id FROM held WHERE tenant_id IS NOT NULL"),
            "SELECT a.run, EXISTS (SELECT FROM pipeline_runs r WHERE r.id = a.run),
                 (SELECT pg_notify('buildit_queue', '')::text FROM ",
            $said,
            " LIMIT 1) FROM asked a WHERE a.run NOT IN (SELECT id FROM held)
             UNION ALL SELECT NULL, true, (SELECT pg_notify('buildit_queue', '')::text FROM ",
            $said,
            " LIMIT 1)"
        )
    };
}

const COMPLETE: &str = leave!("DELETE FROM job_queue q WHERE q.place = ANY (ARRAY(SELECT place FROM held))", "woken");

const GIVE_BACK: &str = leave!(
    "UPDATE job_queue q SET status = CASE WHEN held.is_spent THEN 'dead' ELSE 'scheduled' END,
         died = CASE WHEN held.is_spent THEN nextval('job_queue_deaths') END,
         scheduled_for = $3, locked_by = NULL, locked_until = NULL
     FROM held WHERE q.place = held.place AND held.status NOT IN ('dead', 'behind')",
    "held"
);

const HAND_OVER: &str = leave!(
    "UPDATE job_queue q SET status = 'waiting', attempts = greatest(q.attempts - 1, 0), locked_by = NULL,
         locked_until = NULL
     FROM held WHERE q.place = held.place AND held.status = 'taken'",
    "held"
);

#[derive(Debug)]
struct Leave<'a> {
    runs: &'a [(RunId, FencingToken)],
    how: How,
}

#[derive(Debug)]
enum How {
    Complete,
    GiveBack(Column),
    HandOver,
}

/// Runs of which nothing was changed, and why.
type Refused = Vec<(RunId, StoreError)>;

#[async_trait]
impl Write for Leave<'_> {
    type Answer = Refused;

    async fn write(&self, to: &mut PgConnection) -> Result<Refused, StoreError> {
        let leave = match self.how {
            How::Complete => COMPLETE,
            How::GiveBack(_) => GIVE_BACK,
            How::HandOver => HAND_OVER,
        };
        let leave = sqlx::query_as(leave).bind(self.runs.iter().map(|(run, _)| run.as_uuid()).collect::<Vec<_>>());
        let mut leave = leave.bind(self.runs.iter().map(|(_, token)| number(token.0)).collect::<Vec<_>>());
        if let How::GiveBack(due) = self.how {
            leave = leave.bind(due);
        }
        let rows: Vec<(Option<Uuid>, bool, Option<String>)> = leave.fetch_all(to).await.map_err(failed)?;
        let refused = rows.into_iter().filter_map(|(run, is_there, _)| Some((RunId::from(run?), is_there)));
        Ok(refused
            .map(|(run, is_there)| (run, if is_there { StoreError::Fenced } else { StoreError::NoRun(run) }))
            .collect())
    }
}

impl PostgresStore {
    async fn leave(&self, run: RunId, token: FencingToken, how: How) -> Result<(), StoreError> {
        let refused = self.write_at_once(Leave { runs: &[(run, token)], how }).await?;
        refused.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }
}

#[derive(Debug)]
struct Renew {
    run: RunId,
    token: FencingToken,
    until: Column,
}

#[async_trait]
impl Write for Renew {
    type Answer = ();

    async fn write(&self, to: &mut PgConnection) -> Result<(), StoreError> {
        // Before the run. An entry that comes later is not this lease's.
        let entry = "SELECT place FROM job_queue WHERE subject = $1 AND job_type = 'run' FOR UPDATE";
        let entry = sqlx::query_scalar(entry).bind(self.run.as_uuid());
        let entry: Option<i64> = entry.fetch_optional(&mut *to).await.map_err(failed)?;
        fence(to, self.run, self.token).await?;
        let renew = "WITH entry AS (
                 UPDATE job_queue SET locked_until = $3 WHERE place = $2 AND status = 'taken'
             )
             UPDATE pipeline_runs SET locked_until = $3 WHERE id = $1 AND locked_by IS NOT NULL";
        let renew = sqlx::query(renew).bind(self.run.as_uuid()).bind(entry).bind(self.until);
        renew.execute(to).await.map(drop).map_err(failed)
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
        let revive = "UPDATE job_queue SET status = 'scheduled', attempts = 0, died = NULL, scheduled_for = $2,
                 place = DEFAULT
             WHERE subject = $1 AND job_type = 'run' AND status = 'dead'";
        let revive = sqlx::query(revive).bind(self.run.as_uuid()).bind(self.due);
        if revive.execute(&mut *to).await.map_err(failed)?.rows_affected() == 0 {
            return Err(StoreError::NoRun(self.run));
        }
        announce(to).await
    }
}
