//! What becomes of the logs of closed runs.

use async_trait::async_trait;
use buildit::id::{Digest, RunId};
use buildit::store::{KeptLogs, LogUpkeep, StoreError};
use jiff_sqlx::Timestamp as Column;
use sqlx::PgConnection;
use uuid::Uuid;

use super::PostgresStore;
use super::error::failed;
use super::log::job_id;
use super::search::Add;
use super::transaction::Write;
use crate::sql::{Block, ClosedLog, ClosedLogs, Frame, archive_all, count, number};

#[async_trait]
impl LogUpkeep for PostgresStore {
    async fn archive_logs(&self) -> Result<u64, StoreError> {
        match self.blobs() {
            Some(blobs) => archive_all(self, &**blobs).await,
            None => Ok(0),
        }
    }

    async fn kept_logs(&self, before: u64, limit: usize) -> Result<Vec<KeptLogs>, StoreError> {
        let kept = "SELECT r.place, r.id, r.tenant_id, coalesce(r.finished_at, r.created_at), l.bytes
             FROM pipeline_runs AS r CROSS JOIN LATERAL (
                 SELECT sum(bytes)::bigint AS bytes FROM job_logs WHERE pipeline_run_id = r.id AND NOT removed
             ) AS l
             WHERE r.closed AND r.place < $1 AND l.bytes IS NOT NULL ORDER BY r.place DESC LIMIT $2";
        let kept = sqlx::query_as(kept).bind(number(before)).bind(number(limit as u64));
        let kept: Vec<(i64, Uuid, Uuid, Column, i64)> =
            kept.fetch_all(&mut *self.reads().await?).await.map_err(failed)?;
        let logs = |(place, run, tenant, finished_at, bytes): (i64, Uuid, Uuid, Column, i64)| {
            let finished_at = finished_at.to_jiff();
            let (run, tenant) = (run.into(), tenant.into());
            Ok(KeptLogs { run, tenant, place: count(place)?, finished_at, bytes: count(bytes)? })
        };
        kept.into_iter().map(logs).collect()
    }

    async fn remove_logs(&self, runs: &[RunId]) -> Result<(), StoreError> {
        // Each by itself: its locks are taken in the order of everybody.
        for run in runs {
            self.write(Remove { run: run.as_uuid() }).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl ClosedLogs for PostgresStore {
    async fn unarchived(&self, after: i64, limit: i64) -> Result<Vec<ClosedLog>, StoreError> {
        let logs = "SELECT l.place, l.pipeline_run_id, l.stage_name, l.attempt, l.last_line
             FROM job_logs AS l JOIN pipeline_runs AS r ON r.id = l.pipeline_run_id
             WHERE l.archive_digest IS NULL AND NOT l.removed AND l.last_line > 0 AND l.place > $1 AND r.closed
             ORDER BY l.place LIMIT $2";
        let logs = sqlx::query_as(logs).bind(after).bind(limit);
        closed_logs(logs.fetch_all(&mut *self.reads().await?).await.map_err(failed)?)
    }

    async fn note_archived(&self, log: &ClosedLog, digest: Digest, frames: Vec<Frame>) -> Result<bool, StoreError> {
        let (run, last_line) = (log.job.run.as_uuid(), number(log.line));
        self.write(Archived { run, place: log.place, last_line, digest, frames: &frames }).await
    }

    async fn unindexed(&self, after: i64, limit: i64) -> Result<Vec<ClosedLog>, StoreError> {
        let logs = "SELECT l.place, l.pipeline_run_id, l.stage_name, l.attempt, l.indexed_line
             FROM job_logs AS l JOIN pipeline_runs AS r ON r.id = l.pipeline_run_id
             WHERE NOT l.indexed AND NOT l.removed AND l.place > $1 AND r.closed ORDER BY l.place LIMIT $2";
        let logs = sqlx::query_as(logs).bind(after).bind(limit);
        closed_logs(logs.fetch_all(&mut *self.reads().await?).await.map_err(failed)?)
    }

    async fn add_blocks(&self, log: &ClosedLog, line: u64, blocks: Vec<Block>) -> Result<bool, StoreError> {
        self.write(Add { run: log.job.run.as_uuid(), log: log.place, line, blocks: &blocks }).await
    }

    async fn indexed_line(&self, log: &ClosedLog) -> Result<Option<u64>, StoreError> {
        let line = "SELECT indexed_line FROM job_logs WHERE place = $1 AND NOT indexed AND NOT removed";
        let line = sqlx::query_scalar(line).bind(log.place).fetch_optional(&mut *self.reads().await?).await;
        let line: Option<i64> = line.map_err(failed)?;
        line.map(count).transpose()
    }
}

fn closed_logs(rows: Vec<(i64, Uuid, String, i64, i64)>) -> Result<Vec<ClosedLog>, StoreError> {
    let log = |(place, run, stage, attempt, line): (i64, Uuid, String, i64, i64)| {
        Ok(ClosedLog { place, job: job_id(run.into(), stage, attempt)?, line: count(line)? })
    };
    rows.into_iter().map(log).collect()
}

/// Locks a run, if it is closed.
pub(super) async fn lock_closed(to: &mut PgConnection, run: Uuid) -> Result<bool, StoreError> {
    let lock = sqlx::query_scalar("SELECT closed FROM pipeline_runs WHERE id = $1 FOR NO KEY UPDATE").bind(run);
    let closed: Option<bool> = lock.fetch_optional(to).await.map_err(failed)?;
    Ok(closed.unwrap_or(false))
}

/// The lines of a log are in a blob.
#[derive(Debug)]
struct Archived<'a> {
    run: Uuid,
    place: i64,
    last_line: i64,
    digest: Digest,
    frames: &'a [Frame],
}

#[async_trait]
impl Write for Archived<'_> {
    /// Whether it was not archived, removed or changed by somebody else meanwhile.
    type Answer = bool;

    async fn write(&self, to: &mut PgConnection) -> Result<bool, StoreError> {
        if !lock_closed(to, self.run).await? {
            return Ok(false);
        }
        let note = "UPDATE job_logs SET archive_digest = $3
             WHERE place = $1 AND last_line = $2 AND archive_digest IS NULL AND NOT removed";
        let note = sqlx::query(note).bind(self.place).bind(self.last_line).bind(self.digest.to_hex());
        if note.execute(&mut *to).await.map_err(failed)?.rows_affected() == 0 {
            return Ok(false);
        }
        let column = |of: fn(&Frame) -> i64| self.frames.iter().map(of).collect::<Vec<_>>();
        let insert = "INSERT INTO log_frames (job_log, last_line, \"offset\", length, bytes, sum)
             SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])";
        let insert = sqlx::query(insert).bind(self.place).bind(column(|frame| number(frame.last_line)));
        let insert = insert.bind(column(|frame| number(frame.offset))).bind(column(|frame| number(frame.length)));
        let insert = insert.bind(column(|frame| number(frame.bytes))).bind(column(|frame| frame.sum));
        insert.execute(&mut *to).await.map_err(failed)?;
        let delete = sqlx::query("DELETE FROM log_chunks WHERE job_log = $1").bind(self.place);
        delete.execute(to).await.map(|_| true).map_err(failed)
    }
}

#[derive(Debug)]
struct Remove {
    run: Uuid,
}

#[async_trait]
impl Write for Remove {
    type Answer = ();

    async fn write(&self, to: &mut PgConnection) -> Result<(), StoreError> {
        if !lock_closed(to, self.run).await? {
            return Ok(());
        }
        let logs = "UPDATE job_logs SET removed = true, archive_digest = NULL
             WHERE NOT removed AND pipeline_run_id = $1 RETURNING place";
        let logs: Vec<i64> = sqlx::query_scalar(logs).bind(self.run).fetch_all(&mut *to).await.map_err(failed)?;
        for delete in [
            "DELETE FROM log_chunks WHERE job_log = ANY ($1)",
            "DELETE FROM log_frames WHERE job_log = ANY ($1)",
            "DELETE FROM log_blocks WHERE job_log = ANY ($1)",
        ] {
            sqlx::query(delete).bind(&logs).execute(&mut *to).await.map_err(failed)?;
        }
        Ok(())
    }
}
