//! Concurrency groups: whose turn it is, and who is to end.
//!
//! The numbers of a pipeline's runs are given under the lock of its row, so whoever sees a run sees all earlier ones. An
//! entry of the queue is made under a lock on the run before it that no end of that run can pass; so it is either there
//! when that run ends, or made when that run has ended.
//!
//! The ends of a group's runs come one after the other: of two at once, neither would see that the other has ended, and
//! nobody would free the run behind them.

use buildit::id::RunId;
use buildit::store::{Standing, StoreError, replaced_by};
use sqlx::PgConnection;
use uuid::Uuid;

use super::error::failed;

/// How these runs stand with others of their groups.
pub(super) async fn standings(from: &mut PgConnection, runs: &[RunId]) -> Result<Vec<Standing>, StoreError> {
    let query = "SELECT r.id, r.cancel_requested, (
             SELECT e.id FROM pipeline_runs e
             WHERE e.pipeline = r.pipeline AND e.concurrency_group = r.concurrency_group
                 AND e.number < r.number AND e.status IN ('queued', 'running', 'waiting')
             ORDER BY e.number LIMIT 1
         ) FROM pipeline_runs r WHERE r.id = ANY ($1)";
    let query = sqlx::query_as(query).bind(runs.iter().map(RunId::as_uuid).collect::<Vec<_>>());
    let rows: Vec<(Uuid, Option<String>, Option<Uuid>)> = query.fetch_all(from).await.map_err(failed)?;
    let standing = |(run, cancel, waits_for): (Uuid, Option<String>, Option<Uuid>)| Standing {
        run: run.into(),
        waits_for: waits_for.map(RunId::from),
        cancel,
    };
    Ok(rows.into_iter().map(standing).collect())
}

/// The entries of the queue are locked before the runs, like everywhere.
const CANCEL_BEFORE: &str = "WITH earlier AS MATERIALIZED (
         SELECT e.id FROM pipeline_runs r JOIN pipeline_runs e
             ON e.pipeline = r.pipeline AND e.concurrency_group = r.concurrency_group
         WHERE r.id = $1 AND e.number < r.number AND e.status IN ('queued', 'running', 'waiting')
     ), entry AS MATERIALIZED (
         SELECT q.place, q.subject, q.status FROM job_queue q JOIN earlier ON q.subject = earlier.id
         WHERE q.job_type = 'run' ORDER BY q.subject FOR UPDATE OF q
     ), held AS MATERIALIZED (
         SELECT r.id FROM pipeline_runs r JOIN earlier ON r.id = earlier.id LEFT JOIN entry ON entry.subject = r.id
         ORDER BY r.id FOR NO KEY UPDATE OF r
     ), asked AS (
         UPDATE pipeline_runs r SET cancel_requested = coalesce(r.cancel_requested, $2) FROM held WHERE r.id = held.id
     ), freed AS (
         UPDATE job_queue q SET status = 'scheduled', died = NULL,
             attempts = CASE WHEN entry.status = 'dead' THEN q.max_attempts - 1 ELSE q.attempts END
         FROM entry WHERE q.place = entry.place AND entry.status IN ('behind', 'dead')
     )
     SELECT pg_notify('buildit_queue', '')::text FROM earlier LIMIT 1";

/// Asks the earlier runs of the group of this one, whose number is this, to end. They may be taken, so that they can; a
/// dead letter once more.
pub(super) async fn cancel_before(to: &mut PgConnection, run: RunId, number: u64) -> Result<(), StoreError> {
    let cancel = sqlx::query(CANCEL_BEFORE).bind(run.as_uuid()).bind(replaced_by(number));
    cancel.execute(to).await.map(drop).map_err(failed)
}

/// A statement of its own, so that the next one sees what was committed by who had the lock.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended(pipeline || chr(10) || concurrency_group, 0))::text
     FROM pipeline_runs WHERE id = $1 AND concurrency_group IS NOT NULL";

const FREE_NEXT: &str = "WITH next AS MATERIALIZED (
         SELECT e.id FROM pipeline_runs r JOIN pipeline_runs e
             ON e.pipeline = r.pipeline AND e.concurrency_group = r.concurrency_group
         WHERE r.id = $1 AND e.status IN ('queued', 'running', 'waiting')
         ORDER BY e.number LIMIT 1
     ), freed AS (
         UPDATE job_queue q SET status = 'scheduled' FROM next
         WHERE q.subject = next.id AND q.job_type = 'run' AND q.status = 'behind'
     )
     SELECT pg_notify('buildit_queue', '')::text FROM next";

/// A run has ended: the next one of its group may be taken.
pub(super) async fn free_next(to: &mut PgConnection, ended: RunId) -> Result<(), StoreError> {
    let locked: Option<String> =
        sqlx::query_scalar(LOCK).bind(ended.as_uuid()).fetch_optional(&mut *to).await.map_err(failed)?;
    if locked.is_none() {
        return Ok(());
    }
    sqlx::query(FREE_NEXT).bind(ended.as_uuid()).execute(to).await.map(drop).map_err(failed)
}
