//! Concurrency groups: whose turn it is, and who is to end.

use buildit::id::RunId;
use buildit::store::{Standing, StoreError, replaced_by};
use sqlx::{SqliteConnection, SqlitePool};

use super::error::failed;
use super::run::run_id;
use super::tenant::list;

/// How these runs stand with others of their groups.
pub(super) async fn standings(from: &SqlitePool, runs: &[RunId]) -> Result<Vec<Standing>, StoreError> {
    let query = "SELECT r.id, r.cancel_requested, (
             SELECT e.id FROM pipeline_runs e
             WHERE e.pipeline = r.pipeline AND e.concurrency_group = r.concurrency_group
                 AND e.number < r.number AND e.status IN ('queued', 'running', 'waiting')
             ORDER BY e.number LIMIT 1
         ) FROM pipeline_runs r WHERE r.id IN (SELECT value FROM json_each(?))";
    let runs: Vec<String> = runs.iter().map(ToString::to_string).collect();
    let rows = sqlx::query_as(query).bind(list(&runs)).fetch_all(from).await.map_err(failed)?;
    let standing = |(run, cancel, waits_for): (String, Option<String>, Option<String>)| {
        let waits_for = waits_for.as_deref().map(run_id).transpose()?;
        Ok(Standing { run: run_id(&run)?, waits_for, cancel })
    };
    rows.into_iter().map(standing).collect()
}

/// Asks the earlier runs of the group of this one, whose number is this, to end. They may be taken, so that they can; a
/// dead letter once more.
pub(super) async fn cancel_before(to: &mut SqliteConnection, run: RunId, number: u64) -> Result<(), StoreError> {
    let ask = "UPDATE pipeline_runs SET cancel_requested = coalesce(cancel_requested, ?2)
         FROM (SELECT pipeline, concurrency_group, number FROM pipeline_runs WHERE id = ?1) AS new
         WHERE pipeline_runs.pipeline = new.pipeline
             AND pipeline_runs.concurrency_group = new.concurrency_group
             AND pipeline_runs.number < new.number AND pipeline_runs.status IN ('queued', 'running', 'waiting')
         RETURNING pipeline_runs.id";
    let asked = sqlx::query_scalar(ask).bind(run.to_string()).bind(replaced_by(number)).fetch_all(&mut *to).await;
    let asked: Vec<String> = asked.map_err(failed)?;
    let revive = "UPDATE job_queue SET status = 'scheduled', died = NULL, attempts = max_attempts - 1
         WHERE job_type = 'run' AND status = 'dead' AND subject IN (SELECT value FROM json_each(?))";
    sqlx::query(revive).bind(list(&asked)).execute(&mut *to).await.map_err(failed)?;
    free(to, &asked).await
}

/// A run has ended: the next one of its group may be taken.
pub(super) async fn free_next(to: &mut SqliteConnection, ended: &str) -> Result<(), StoreError> {
    let next = "SELECT e.id FROM pipeline_runs r JOIN pipeline_runs e
             ON e.pipeline = r.pipeline AND e.concurrency_group = r.concurrency_group
         WHERE r.id = ? AND r.concurrency_group IS NOT NULL AND e.status IN ('queued', 'running', 'waiting')
         ORDER BY e.number LIMIT 1";
    let next = sqlx::query_scalar(next).bind(ended).fetch_all(&mut *to).await;
    let next: Vec<String> = next.map_err(failed)?;
    if next.is_empty() { Ok(()) } else { free(to, &next).await }
}

/// These runs are no longer behind others.
async fn free(to: &mut SqliteConnection, runs: &[String]) -> Result<(), StoreError> {
    let free = "UPDATE job_queue SET status = 'scheduled'
         WHERE job_type = 'run' AND status = 'behind' AND subject IN (SELECT value FROM json_each(?))";
    sqlx::query(free).bind(list(runs)).execute(to).await.map(drop).map_err(failed)
}
