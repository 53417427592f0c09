//! Taking runs off the queue.
//!
//! Each statement is a transaction by itself, so that an engine which is stopped between two of them holds no lock. What
//! others have locked is passed over: a claim waits for nobody but for the end of another claim of the same tenant.

use buildit::id::FencingToken;
use buildit::store::{Claim, Line, QueuedJob, StoreError};
use jiff_sqlx::Timestamp as Column;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::PostgresStore;
use super::error::{Again, failed, is_undone};
use super::tenant::{Rest, wake};
use super::transaction::TRIES;
use crate::sql::{Plan, count, number, share};

/// How many tenants are looked at together: no plan has turns for more.
const TENANTS: i64 = 100;

/// A claim by the database's clock.
#[derive(Debug)]
pub(super) struct Take {
    pub(super) claim: Claim,
    pub(super) now: Column,
    pub(super) until: Column,
}

/// Whether there is something to do before anything else, and the tenants that may have something to take, by their
/// turns.
const LOOK: &str = "SELECT s.is_drained, s.is_paused, s.is_late, s.is_due,
         t.tenant_id, t.turn, t.weight, t.max_running, t.running
     FROM (SELECT
         EXISTS (SELECT FROM workers WHERE id = $4 AND paused) AS is_drained,
         EXISTS (SELECT FROM installation WHERE queue_paused) AS is_paused,
         EXISTS (SELECT FROM job_queue WHERE status = 'taken' AND locked_until <= $1) AS is_late,
         EXISTS (SELECT FROM job_queue WHERE status = 'scheduled' AND scheduled_for <= $1) AS is_due
     ) s LEFT JOIN (
         SELECT t.tenant_id, t.turn, t.weight, t.max_running, CASE WHEN t.max_running IS NOT NULL THEN (
             SELECT count(*) FROM job_queue q WHERE q.tenant_id = t.tenant_id AND q.status = 'taken'
         ) END AS running
         FROM (
             SELECT t.tenant_id, t.turn, CASE WHEN o.id IS NULL THEN t.weight ELSE o.weight END AS weight,
                 CASE WHEN o.id IS NULL THEN t.max_running ELSE o.max_running END AS max_running
             FROM queue_tenants t LEFT JOIN tenants o ON o.id = t.tenant_id
             WHERE t.is_ready AND t.tenant_id <> ALL ($2) ORDER BY t.turn LIMIT $3
         ) t
     ) t ON true ORDER BY t.turn, t.tenant_id";

#[derive(FromRow)]
struct LookRow {
    is_drained: bool,
    is_paused: bool,
    is_late: bool,
    is_due: bool,
    tenant_id: Option<Uuid>,
    turn: Option<i64>,
    weight: Option<i64>,
    max_running: Option<i64>,
    running: Option<i64>,
}

/// What a look sees.
#[derive(Default)]
struct Look {
    /// Whether this worker is given nothing.
    is_drained: bool,
    /// Whether nothing new is taken.
    is_paused: bool,
    is_late: bool,
    is_due: bool,
    tenants: Vec<(Uuid, Line)>,
}

/// Takes the runs that were taken before and whose leases have ended. Of those that were taken as often as they may be it
/// makes dead letters; for those whose leases were renewed it notes until when.
const TAKE_LATE: &str = concat!(
    "WITH late AS (
         SELECT q.place, q.priority, q.tenant_id, q.attempts >= q.max_attempts AS is_spent, r.id,
             r.fencing_token + 1 AS token, r.locked_until, coalesce(r.locked_until > $1, false) AS is_held
         FROM job_queue q JOIN pipeline_runs r ON r.id = q.subject
         WHERE q.status = 'taken' AND q.locked_until <= $1 ORDER BY q.locked_until LIMIT 1000
         FOR NO KEY UPDATE OF q, r SKIP LOCKED
     ), kept AS (
         UPDATE job_queue q SET locked_until = late.locked_until FROM late
         WHERE q.place = late.place AND late.is_held
     ), buried AS (
         UPDATE job_queue q SET status = 'dead', locked_by = NULL, locked_until = NULL, died = nextval('job_queue_deaths')
         FROM late WHERE q.place = late.place AND NOT late.is_held AND late.is_spent RETURNING q.tenant_id
     ), due AS (
         SELECT * FROM late WHERE NOT is_held AND NOT is_spent ORDER BY priority DESC, place LIMIT $2
     ), leased AS (
         UPDATE pipeline_runs r SET fencing_token = due.token, locked_by = $3, locked_until = $4
         FROM due WHERE r.id = due.id
     ), taken AS (
         UPDATE job_queue q SET attempts = q.attempts + 1, locked_by = $3, locked_until = $4, fencing_token = due.token
         FROM due WHERE q.place = due.place
         RETURNING q.subject, q.tenant_id, q.fencing_token, q.attempts, q.priority, q.place
     ), ",
    wake!("SELECT DISTINCT tenant_id FROM buried"),
    "SELECT 0::bigint AS nth, subject, tenant_id, fencing_token, attempts FROM taken ORDER BY priority DESC, place"
);

/// What has become due waits with the others.
const DUE: &str = concat!(
    "WITH due AS (
         SELECT place FROM job_queue WHERE status = 'scheduled' AND scheduled_for <= $1
         ORDER BY scheduled_for LIMIT 10000 FOR NO KEY UPDATE SKIP LOCKED
     ), moved AS (
         UPDATE job_queue q SET status = 'waiting' FROM due WHERE q.place = due.place RETURNING q.tenant_id
     ), ",
    wake!("SELECT DISTINCT tenant_id FROM moved"),
    "SELECT count(*) FROM moved"
);

/// Takes as many runs of each tenant as it has turns: those that are due and that nobody has locked.
///
/// Of a tenant with a limit nothing is taken if somebody else has taken something since the look: its turn has moved on
/// then. It stays locked until the end, so its limit holds. Other tenants are locked only when all is done but the
/// commit; in the order of their ids, after those with a limit, so that nobody waits in a circle. Each is locked and moved
/// on in one step, which the insertion is for, although all are there: between a lock and an update of a row that others
/// lock as well, PostgreSQL lets two claims wait for each other.
///
/// What is due is looked up by lists of keys, not by joins: for a join the planner would rather read the whole queue for
/// each hundred.
const TAKE: &str = "WITH plan AS MATERIALIZED (
         SELECT p.* FROM unnest($4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[])
             WITH ORDINALITY AS p (tenant_id, turns, stride, seen, nth)
     ), gate AS MATERIALIZED (
         SELECT t.tenant_id FROM queue_tenants t JOIN plan p ON p.tenant_id = t.tenant_id
         WHERE p.seen = t.turn ORDER BY t.tenant_id FOR NO KEY UPDATE OF t
     ), allowed AS MATERIALIZED (
         SELECT p.* FROM plan p JOIN queue_tenants t ON t.tenant_id = p.tenant_id
         WHERE NOT t.paused AND (p.seen IS NULL OR p.tenant_id IN (SELECT tenant_id FROM gate))
     ), due AS MATERIALIZED (
         SELECT d.place, d.id FROM allowed p CROSS JOIN LATERAL (
             SELECT q.place, r.id FROM job_queue q JOIN pipeline_runs r ON r.id = q.subject
             WHERE q.tenant_id = p.tenant_id AND q.status = 'waiting' AND q.scheduled_for <= $1
                 AND (r.locked_until IS NULL OR r.locked_until <= $1)
             ORDER BY q.priority DESC, q.place LIMIT p.turns
             FOR NO KEY UPDATE OF q, r SKIP LOCKED
         ) d
     ), leased AS (
         UPDATE pipeline_runs r SET fencing_token = r.fencing_token + 1, locked_by = $2, locked_until = $3
         WHERE r.id = ANY (ARRAY(SELECT id FROM due)) RETURNING r.id, r.fencing_token
     ), taken AS (
         UPDATE job_queue q SET status = 'taken', attempts = q.attempts + 1, locked_by = $2, locked_until = $3,
             fencing_token = leased.fencing_token
         FROM leased WHERE q.place = ANY (ARRAY(SELECT place FROM due)) AND q.subject = leased.id
         RETURNING q.subject, q.tenant_id, q.fencing_token, q.attempts, q.priority, q.place
     ), turned AS (
         INSERT INTO queue_tenants AS t (tenant_id, turn, is_ready)
         SELECT p.tenant_id, p.stride * c.runs, true FROM plan p
             JOIN (SELECT tenant_id, count(*) AS runs FROM taken GROUP BY tenant_id) c ON c.tenant_id = p.tenant_id
         ORDER BY p.tenant_id
         ON CONFLICT (tenant_id) DO UPDATE SET turn = t.turn + excluded.turn
     )
     SELECT p.nth, t.subject, t.tenant_id, t.fencing_token, t.attempts, t.priority, t.place
     FROM taken t JOIN plan p ON p.tenant_id = t.tenant_id
     UNION ALL
     SELECT nth, NULL, tenant_id, 0, 0, 0, 0 FROM plan WHERE tenant_id NOT IN (SELECT tenant_id FROM allowed)
     ORDER BY nth, priority DESC, place";

#[derive(FromRow)]
struct TakenRow {
    nth: i64,
    /// None where nothing was tried.
    subject: Option<Uuid>,
    tenant_id: Uuid,
    fencing_token: i64,
    attempts: i64,
}

impl TakenRow {
    fn job(self) -> Result<Option<QueuedJob>, StoreError> {
        let Some(run) = self.subject else { return Ok(None) };
        let attempt = u32::try_from(self.attempts).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let token = FencingToken(count(self.fencing_token)?);
        Ok(Some(QueuedJob { run: run.into(), tenant: self.tenant_id.into(), token, attempt }))
    }
}

/// What was taken of a tenant.
struct Taken {
    /// Its place in the look.
    line: usize,
    turns: usize,
    jobs: Vec<QueuedJob>,
    /// Nothing was tried: somebody else has taken something since the look.
    is_outdated: bool,
}

impl PostgresStore {
    pub(super) async fn take(&self, take: &Take) -> Result<Vec<QueuedJob>, StoreError> {
        let _alone = self.claims().await;
        let mut so_far = SoFar::default();
        let mut result = Err(Again::Undone.into());
        for _ in 0..TRIES {
            result = match self.reads().await {
                Ok(mut connection) => take.go_on(&mut connection, &mut so_far).await,
                Err(error) => Err(error),
            };
            if !result.as_ref().is_err_and(is_undone) {
                break;
            }
        }
        // What was taken is taken, whatever followed.
        if so_far.jobs.is_empty() {
            result?;
        } else if let Err(error) = result {
            tracing::warn!(%error, "fewer runs were taken than may be there");
        }
        // A tenant that is alone saves nothing up, and what was taken of it need not wait for this.
        let SoFar { jobs, spent: tenants, latest, is_shared, .. } = so_far;
        if (jobs.is_empty() || is_shared)
            && !tenants.is_empty()
            && let Err(error) = self.write(Rest { tenants, latest }).await
        {
            tracing::debug!(%error, "tenants without anything to take are looked at again");
        }
        Ok(jobs)
    }
}

/// What a claim has come to.
#[derive(Debug, Default)]
struct SoFar {
    jobs: Vec<QueuedJob>,
    /// The tenants of which nothing more can be taken.
    spent: Vec<Uuid>,
    /// The greatest turn that somebody had.
    latest: u64,
    is_prepared: bool,
    /// Whether several tenants had something to take.
    is_shared: bool,
}

impl Take {
    /// Takes until there are enough, or nothing is left.
    async fn go_on(&self, connection: &mut PgConnection, so_far: &mut SoFar) -> Result<(), StoreError> {
        while so_far.jobs.len() < self.claim.limit {
            let look = self.look(connection, &so_far.spent).await?;
            if look.is_drained {
                return Ok(());
            }
            if !so_far.is_prepared && (look.is_late || look.is_due) {
                so_far.is_prepared = true;
                so_far.jobs.extend(self.prepare(connection, &look).await?);
                continue;
            }
            if look.is_paused {
                return Ok(());
            }
            let plan = Plan::new(look.tenants.iter().map(|(_, line)| *line), self.claim.limit - so_far.jobs.len());
            let mut taken = self.take(connection, &look.tenants, &plan).await?;
            let full = look.tenants.iter().filter(|(_, line)| line.share.room(line.running) == 0);
            so_far.spent.extend(full.map(|(tenant, _)| *tenant));
            for Taken { line, turns, jobs, is_outdated } in &taken {
                let (tenant, line) = look.tenants[*line];
                if let Some(more) = (jobs.len() as u64).checked_sub(1) {
                    let last = line.turn.saturating_add(line.share.stride().saturating_mul(more));
                    so_far.latest = so_far.latest.max(last);
                }
                if jobs.len() < *turns && !is_outdated {
                    so_far.spent.push(tenant);
                }
            }
            let jobs = taken.iter_mut().map(|taken| (taken.line, std::mem::take(&mut taken.jobs)));
            so_far.jobs.extend(plan.in_order(jobs));
            so_far.is_shared |= look.tenants.len() > 1;
            let is_whole = look.tenants.len() < TENANTS as usize;
            if is_whole && look.tenants.iter().all(|(tenant, _)| so_far.spent.contains(tenant)) {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn look(&self, from: &mut PgConnection, but: &[Uuid]) -> Result<Look, StoreError> {
        let rows = sqlx::query_as(LOOK).bind(self.now).bind(but).bind(TENANTS).bind(self.claim.worker.as_str());
        let rows = rows.fetch_all(from).await;
        let rows: Vec<LookRow> = rows.map_err(failed)?;
        let mut look = Look::default();
        for row in rows {
            (look.is_drained, look.is_paused) = (row.is_drained, row.is_paused);
            (look.is_late, look.is_due) = (row.is_late, row.is_due);
            let (Some(tenant), Some(turn), Some(weight)) = (row.tenant_id, row.turn, row.weight) else { continue };
            let share = share(weight, row.max_running)?;
            look.tenants.push((tenant, Line { turn: count(turn)?, share, running: count(row.running.unwrap_or(0))? }));
        }
        Ok(look)
    }

    async fn prepare(&self, to: &mut PgConnection, look: &Look) -> Result<Vec<QueuedJob>, StoreError> {
        let mut taken = Vec::new();
        if look.is_late {
            let late = sqlx::query_as(TAKE_LATE).bind(self.now).bind(number(self.claim.limit as u64));
            let late = late.bind(self.claim.worker.as_str()).bind(self.until).fetch_all(&mut *to).await;
            let late: Vec<TakenRow> = late.map_err(failed)?;
            taken = late.into_iter().filter_map(|row| row.job().transpose()).collect::<Result<_, _>>()?;
        }
        if look.is_due {
            while sqlx::query_scalar::<_, i64>(DUE).bind(self.now).fetch_one(&mut *to).await.map_err(failed)? > 0 {}
        }
        Ok(taken)
    }

    /// What is taken of each tenant that the plan has turns for.
    async fn take(
        &self,
        to: &mut PgConnection,
        tenants: &[(Uuid, Line)],
        plan: &Plan,
    ) -> Result<Vec<Taken>, StoreError> {
        let new = |(line, turns)| Taken { line, turns, jobs: Vec::new(), is_outdated: false };
        let mut all: Vec<Taken> = plan.turns().into_iter().map(new).collect();
        if all.is_empty() {
            return Ok(all);
        }
        let seen = |line: &Line| line.share.max_running.map(|_| number(line.turn));
        let take = sqlx::query_as(TAKE).bind(self.now).bind(self.claim.worker.as_str()).bind(self.until);
        let take = take.bind(all.iter().map(|of| tenants[of.line].0).collect::<Vec<_>>());
        let take = take.bind(all.iter().map(|of| number(of.turns as u64)).collect::<Vec<_>>());
        let take = take.bind(all.iter().map(|of| number(tenants[of.line].1.share.stride())).collect::<Vec<_>>());
        let take = take.bind(all.iter().map(|of| seen(&tenants[of.line].1)).collect::<Vec<_>>());
        let rows: Vec<TakenRow> = take.fetch_all(to).await.map_err(failed)?;
        for row in rows {
            let nth = usize::try_from(row.nth - 1).unwrap_or(usize::MAX);
            let of = all.get_mut(nth).ok_or_else(|| StoreError::Corrupt(format!("no tenant {nth} was asked for")))?;
            match row.job()? {
                Some(job) => of.jobs.push(job),
                None => of.is_outdated = true,
            }
        }
        Ok(all)
    }
}
