//! Taking runs off the queue.

use std::sync::Arc;

use async_trait::async_trait;
use buildit::id::{FencingToken, TenantId};
use buildit::store::{Claim, QueuedJob, StoreError};
use jiff::Timestamp;
use sqlx::{FromRow, SqliteConnection};

use super::error::failed;
use super::queue::bury;
use super::run::run_id;
use super::session::Session;
use super::tenant::{Ready, intakes, list, ready, rest, took, wake};
use super::transaction::Transaction;
use super::writer::Write;
use crate::sql::{Plan, claimed_until, count, number, to_text};

/// How many tenants are looked at together: no plan has turns for more.
const TENANTS: usize = 100;

#[derive(Debug)]
pub(super) struct Take {
    pub(super) claim: Claim,
    pub(super) now: Timestamp,
    pub(super) session: Arc<Session>,
}

#[async_trait]
impl Write for Take {
    type Answer = Vec<QueuedJob>;

    async fn write(&self, to: &mut Transaction<'_>) -> Result<Vec<QueuedJob>, StoreError> {
        let connection = to.connection().await?;
        let (own, everywhere) = intakes(connection, self.claim.worker.as_str()).await?;
        if own.is_paused() {
            return Ok(Vec::new());
        }
        let mut all = self.take_late(connection).await?;
        self.look(connection).await?;
        let mut spent = Vec::new();
        let mut latest = 0;
        while all.len() < self.claim.limit && !everywhere.is_paused() {
            let lines = ready(connection, &spent, TENANTS).await?;
            if lines.is_empty() {
                break;
            }
            let plan = Plan::new(lines.iter().map(|ready| ready.line), self.claim.limit - all.len());
            for full in lines.iter().filter(|ready| ready.line.share.room(ready.line.running) == 0) {
                spent.push(full.tenant.clone());
            }
            let mut taken = Vec::new();
            for (line, turns) in plan.turns() {
                let tenant = &lines[line];
                let jobs = self.take_of(connection, tenant, turns).await?;
                if jobs.len() < turns {
                    spent.push(tenant.tenant.clone());
                }
                if !jobs.is_empty() {
                    let last = tenant.line.share.stride().saturating_mul(jobs.len() as u64 - 1);
                    latest = latest.max(tenant.line.turn.saturating_add(last));
                    took(connection, tenant, jobs.len()).await?;
                }
                taken.push((line, jobs));
            }
            all.extend(plan.in_order(taken));
        }
        for tenant in spent {
            rest(connection, &tenant, latest).await?;
        }
        self.lease(connection, &all).await?;
        all.iter().for_each(|job| to.note(job.run, None));
        Ok(all)
    }
}

/// An entry whose run was taken, but for its lease.
#[derive(FromRow)]
struct Row {
    place: i64,
    priority: i32,
    subject: String,
    tenant_id: String,
    fencing_token: i64,
    attempts: u32,
}

impl Row {
    fn job(self) -> Result<QueuedJob, StoreError> {
        let tenant = uuid::Uuid::try_parse(&self.tenant_id).map(TenantId::from);
        Ok(QueuedJob {
            run: run_id(&self.subject)?,
            tenant: tenant.map_err(|error| StoreError::Corrupt(error.to_string()))?,
            token: FencingToken(count(self.fencing_token)?),
            attempt: self.attempts,
        })
    }
}

/// An entry that was taken before, when its lease may have ended.
#[derive(FromRow)]
struct Late {
    place: i64,
    tenant_id: String,
    is_spent: bool,
    /// The end of the lease, if it has not come.
    held_until: Option<String>,
}

impl Take {
    fn until(&self) -> String {
        to_text(claimed_until(self.now, self.claim.lease))
    }

    /// Those that were taken before, and whose leases have ended.
    async fn take_late(&self, to: &mut SqliteConnection) -> Result<Vec<QueuedJob>, StoreError> {
        let late = "SELECT q.place, q.tenant_id, q.attempts >= q.max_attempts AS is_spent,
                 iif(r.locked_until > ?1, r.locked_until, NULL) AS held_until
             FROM job_queue q JOIN pipeline_runs r ON r.id = q.subject
             WHERE q.status = 'taken' AND q.locked_until <= ?1 ORDER BY q.priority DESC, q.place";
        let late: Vec<Late> = sqlx::query_as(late).bind(to_text(self.now)).fetch_all(&mut *to).await.map_err(failed)?;
        let mut taken = Vec::new();
        for late in late {
            if let Some(until) = late.held_until {
                let keep = sqlx::query("UPDATE job_queue SET locked_until = ? WHERE place = ?");
                keep.bind(until).bind(late.place).execute(&mut *to).await.map_err(failed)?;
            } else if late.is_spent {
                bury(to, late.place).await?;
                wake(to, &late.tenant_id).await?;
            } else if taken.len() < self.claim.limit {
                let take = "UPDATE job_queue SET attempts = attempts + 1, locked_by = ?2, locked_until = ?3,
                         fencing_token = (SELECT fencing_token + 1 FROM pipeline_runs WHERE id = subject)
                     WHERE place = ?1 RETURNING place, priority, subject, tenant_id, fencing_token, attempts";
                let take = sqlx::query_as(take).bind(late.place).bind(self.claim.worker.as_str()).bind(self.until());
                taken.push(take.fetch_one(&mut *to).await.map_err(failed).and_then(Row::job)?);
            }
        }
        Ok(taken)
    }

    /// What has become due waits with the others.
    async fn look(&self, to: &mut SqliteConnection) -> Result<(), StoreError> {
        let due = "UPDATE job_queue SET status = 'waiting' WHERE status = 'scheduled' AND scheduled_for <= ?
             RETURNING tenant_id";
        let due = sqlx::query_scalar(due).bind(to_text(self.now)).fetch_all(&mut *to).await;
        let mut tenants: Vec<String> = due.map_err(failed)?;
        tenants.sort();
        tenants.dedup();
        for tenant in tenants {
            wake(to, &tenant).await?;
        }
        Ok(())
    }

    /// Up to so many of one tenant.
    async fn take_of(
        &self,
        to: &mut SqliteConnection,
        tenant: &Ready,
        turns: usize,
    ) -> Result<Vec<QueuedJob>, StoreError> {
        let take = "UPDATE job_queue SET status = 'taken', attempts = attempts + 1, locked_by = ?1, locked_until = ?2,
                 fencing_token = (SELECT fencing_token + 1 FROM pipeline_runs WHERE id = subject)
             WHERE place IN (
                 SELECT q.place FROM job_queue q JOIN pipeline_runs r ON r.id = q.subject
                 WHERE q.tenant_id = ?3 AND q.status = 'waiting' AND q.scheduled_for <= ?4
                     AND (r.locked_until IS NULL OR r.locked_until <= ?4)
                 ORDER BY q.priority DESC, q.place LIMIT ?5
             ) RETURNING place, priority, subject, tenant_id, fencing_token, attempts";
        let take = sqlx::query_as(take).bind(self.claim.worker.as_str()).bind(self.until()).bind(&tenant.tenant);
        let take = take.bind(to_text(self.now)).bind(number(turns as u64));
        let mut rows: Vec<Row> = take.fetch_all(to).await.map_err(failed)?;
        rows.sort_by_key(|row| (std::cmp::Reverse(row.priority), row.place));
        rows.into_iter().map(Row::job).collect()
    }

    /// Leases the runs themselves.
    async fn lease(&self, to: &mut SqliteConnection, jobs: &[QueuedJob]) -> Result<(), StoreError> {
        if jobs.is_empty() {
            return Ok(());
        }
        let runs: Vec<String> = jobs.iter().map(|job| job.run.to_string()).collect();
        let lease = "UPDATE pipeline_runs SET fencing_token = fencing_token + 1, locked_by = ?, locked_until = ?,
                 locked_session = ? WHERE id IN (SELECT value FROM json_each(?))";
        let lease = sqlx::query(lease).bind(self.claim.worker.as_str()).bind(self.until()).bind(self.session.id());
        lease.bind(list(&runs)).execute(to).await.map(drop).map_err(failed)
    }
}
