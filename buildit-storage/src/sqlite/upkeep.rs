//! What becomes of the logs of closed runs.

use async_trait::async_trait;
use buildit::id::{Digest, JobId, RunId};
use buildit::store::{KeptLogs, LogUpkeep, StoreError};
use jiff::Timestamp;

use super::SqliteStore;
use super::bulk::Bulk;
use super::error::failed;
use super::pipeline::tenant_of;
use super::run::run_id;
use super::search::Add;
use super::transaction::Transaction;
use super::writer::Write;
use crate::sql::{Block, ClosedLog, ClosedLogs, Frame, archive_all, count, from_text, number};

#[async_trait]
impl LogUpkeep for SqliteStore {
    async fn archive_logs(&self) -> Result<u64, StoreError> {
        match self.blobs() {
            Some(blobs) => archive_all(self, &**blobs).await,
            None => Ok(0),
        }
    }

    async fn kept_logs(&self, before: u64, limit: usize) -> Result<Vec<KeptLogs>, StoreError> {
        let kept = "SELECT r.place, r.id, r.tenant_id, coalesce(r.finished_at, r.created_at), (
                 SELECT sum(bytes) FROM job_logs AS l WHERE l.pipeline_run_id = r.id AND l.removed = 0
             ) AS bytes
             FROM pipeline_runs AS r WHERE r.closed = 1 AND r.place < ? AND bytes IS NOT NULL
             ORDER BY r.place DESC LIMIT ?";
        let kept = sqlx::query_as(kept).bind(number(before)).bind(number(limit as u64));
        let kept: Vec<(i64, String, String, String, i64)> = kept.fetch_all(self.reads()).await.map_err(failed)?;
        let logs = |(place, run, tenant, finished_at, bytes): (i64, String, String, String, i64)| {
            let finished_at: Timestamp = from_text(&finished_at)?;
            let (run, tenant) = (run_id(&run)?, tenant_of(&tenant)?);
            Ok(KeptLogs { run, tenant, place: count(place)?, finished_at, bytes: count(bytes)? })
        };
        kept.into_iter().map(logs).collect()
    }

    async fn remove_logs(&self, runs: &[RunId]) -> Result<(), StoreError> {
        self.write(Remove { runs: runs.iter().map(ToString::to_string).collect() }).await
    }
}

#[async_trait]
impl ClosedLogs for SqliteStore {
    async fn unarchived(&self, after: i64, limit: i64) -> Result<Vec<ClosedLog>, StoreError> {
        let logs = "SELECT l.place, l.pipeline_run_id, l.stage_name, l.attempt, l.last_line
             FROM job_logs AS l JOIN pipeline_runs AS r ON r.id = l.pipeline_run_id
             WHERE l.archive_digest IS NULL AND l.removed = 0 AND l.last_line > 0 AND l.place > ? AND r.closed = 1
             ORDER BY l.place LIMIT ?";
        let logs = sqlx::query_as(logs).bind(after).bind(limit).fetch_all(self.reads()).await.map_err(failed)?;
        closed_logs(logs)
    }

    async fn note_archived(&self, log: &ClosedLog, digest: Digest, frames: Vec<Frame>) -> Result<bool, StoreError> {
        self.write(Archived { place: log.place, last_line: number(log.line), digest, frames }).await
    }

    async fn unindexed(&self, after: i64, limit: i64) -> Result<Vec<ClosedLog>, StoreError> {
        let logs = "SELECT l.place, l.pipeline_run_id, l.stage_name, l.attempt, l.indexed_line
             FROM job_logs AS l JOIN pipeline_runs AS r ON r.id = l.pipeline_run_id
             WHERE l.indexed = 0 AND l.removed = 0 AND l.place > ? AND r.closed = 1 ORDER BY l.place LIMIT ?";
        let logs = sqlx::query_as(logs).bind(after).bind(limit).fetch_all(self.reads()).await.map_err(failed)?;
        closed_logs(logs)
    }

    async fn add_blocks(&self, log: &ClosedLog, line: u64, blocks: Vec<Block>) -> Result<bool, StoreError> {
        self.write(Add { log: log.place, line, blocks }).await
    }

    async fn indexed_line(&self, log: &ClosedLog) -> Result<Option<u64>, StoreError> {
        let line = "SELECT indexed_line FROM job_logs WHERE place = ? AND indexed = 0 AND removed = 0";
        let line = sqlx::query_scalar(line).bind(log.place).fetch_optional(self.reads()).await;
        let line: Option<i64> = line.map_err(failed)?;
        line.map(count).transpose()
    }
}

fn closed_logs(rows: Vec<(i64, String, String, u32, i64)>) -> Result<Vec<ClosedLog>, StoreError> {
    let log = |(place, run, stage, attempt, line): (i64, String, String, u32, i64)| {
        let job = JobId { run: run_id(&run)?, stage: stage.into(), attempt };
        Ok(ClosedLog { place, job, line: count(line)? })
    };
    rows.into_iter().map(log).collect()
}

/// The lines of a log are in a blob.
#[derive(Debug)]
struct Archived {
    place: i64,
    last_line: i64,
    digest: Digest,
    frames: Vec<Frame>,
}

const FRAMES: Bulk = Bulk {
    head: "INSERT INTO log_frames (job_log, last_line, offset, length, bytes, sum) VALUES",
    columns: 6,
    tail: "",
};

#[async_trait]
impl Write for Archived {
    /// Whether it was not archived, removed or changed by somebody else meanwhile.
    type Answer = bool;

    async fn write(&self, to: &mut Transaction<'_>) -> Result<bool, StoreError> {
        let connection = to.connection().await?;
        let note = "UPDATE job_logs SET archive_digest = ?
             WHERE place = ? AND last_line = ? AND archive_digest IS NULL AND removed = 0";
        let note = sqlx::query(note).bind(self.digest.to_hex()).bind(self.place).bind(self.last_line);
        if note.execute(&mut *connection).await.map_err(failed)?.rows_affected() == 0 {
            return Ok(false);
        }
        for (statement, frames) in FRAMES.pieces(&self.frames) {
            let mut insert = sqlx::query(sqlx::AssertSqlSafe(statement));
            for frame in frames {
                insert = insert.bind(self.place).bind(number(frame.last_line)).bind(number(frame.offset));
                insert = insert.bind(number(frame.length)).bind(number(frame.bytes)).bind(frame.sum);
            }
            insert.execute(&mut *connection).await.map_err(failed)?;
        }
        let delete = sqlx::query("DELETE FROM log_chunks WHERE job_log = ?").bind(self.place);
        delete.execute(connection).await.map(|_| true).map_err(failed)
    }
}

#[derive(Debug)]
struct Remove {
    runs: Vec<String>,
}

#[async_trait]
impl Write for Remove {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        let connection = to.connection().await?;
        for run in &self.runs {
            let logs = "UPDATE job_logs SET removed = 1, archive_digest = NULL
                 WHERE removed = 0 AND pipeline_run_id = (SELECT id FROM pipeline_runs WHERE id = ? AND closed = 1)
                 RETURNING place";
            let logs = sqlx::query_scalar(logs).bind(run).fetch_all(&mut *connection).await.map_err(failed)?;
            let logs: Vec<i64> = logs;
            for log in logs {
                for delete in [
                    "DELETE FROM log_chunks WHERE job_log = ?",
                    "DELETE FROM log_frames WHERE job_log = ?",
                    "DELETE FROM log_blocks WHERE job_log = ?",
                ] {
                    sqlx::query(delete).bind(log).execute(&mut *connection).await.map_err(failed)?;
                }
            }
        }
        Ok(())
    }
}
