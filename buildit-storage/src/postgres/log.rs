//! Logs of jobs.

use async_trait::async_trait;
use buildit::executor::LogCursor;
use buildit::id::{JobId, RunId};
use buildit::store::{LogAppend, LogPage, LogStore, StoreError};
use sqlx::{FromRow, PgConnection};

use super::PostgresStore;
use super::column::down;
use super::error::failed;
use super::run::fence;
use super::transaction::Write;
use crate::sql::{
    FrameRow, LinesRow, PageReader, TRIES, archived, check_lines, count, decode, frames, number, read_frames, rows_of,
    text_bytes,
};

/// How many rows with lines are read at a time at most. They are one append each, of a line or of megabytes: so it is
/// one at first, and twice as many each time.
const PAGE: i64 = 32;

/// How many frames of an archived log are looked up at a time.
const FRAMES: i64 = 32;

#[async_trait]
impl LogStore for PostgresStore {
    async fn append_log(&self, append: LogAppend<'_>) -> Result<(), StoreError> {
        let rows = rows_of(append.chunks).await?;
        self.write(Append { append, rows }).await
    }

    async fn log_cursor(&self, job: &JobId) -> Result<LogCursor, StoreError> {
        head_of(job, &mut *self.reads().await?).await?.map_or(Ok(LogCursor::default()), |head| head.cursor())
    }

    async fn read_log(&self, job: &JobId, after: u64, max_bytes: usize) -> Result<LogPage, StoreError> {
        for _ in 0..TRIES {
            let page = self.read_lines(job, after, max_bytes).await?;
            if !page.is_outrun() {
                return Ok(page.finish());
            }
        }
        Err(StoreError::Corrupt(format!("lines of the log of {job} are missing")))
    }

    async fn logs_of_run(&self, run: RunId) -> Result<Vec<JobId>, StoreError> {
        let query = "SELECT stage_name, attempt FROM job_logs WHERE pipeline_run_id = $1 ORDER BY place";
        let query = sqlx::query_as(query).bind(run.as_uuid());
        let rows: Vec<(String, i64)> = query.fetch_all(&mut *self.reads().await?).await.map_err(failed)?;
        rows.into_iter().map(|(stage, attempt)| job_id(run, stage, attempt)).collect()
    }
}

impl PostgresStore {
    /// A page, which lacks lines that are moved or removed while it is read.
    async fn read_lines(&self, job: &JobId, after: u64, max_bytes: usize) -> Result<PageReader, StoreError> {
        let mut reads = self.reads().await?;
        let Some(head) = head_of(job, &mut reads).await? else { return Ok(PageReader::new(0, after, max_bytes)) };
        if head.removed {
            return Err(StoreError::LogRemoved(Box::new(job.clone())));
        }
        let mut page = PageReader::new(count(head.last_line)?, after, max_bytes);
        let mut last = number(after);
        if let Some(digest) = &head.archive_digest {
            let (blobs, digest) = archived(self.blobs(), digest)?;
            // Blobs may be slow, and connections are few.
            drop(reads);
            while !page.is_full() {
                let query = "SELECT last_line, \"offset\", length, bytes, sum FROM log_frames
                     WHERE job_log = $1 AND last_line > $2 ORDER BY last_line LIMIT $3";
                let query = sqlx::query_as(query).bind(head.place).bind(last).bind(FRAMES);
                let rows: Vec<FrameRow> = query.fetch_all(&mut *self.reads().await?).await.map_err(failed)?;
                let frames = frames(&rows)?;
                match read_frames(blobs, &digest, &frames, &mut page).await? {
                    0 => break,
                    read => last = rows[read - 1].0,
                }
            }
            reads = self.reads().await?;
        }
        let mut limit = 1;
        while !page.is_full() {
            // What was appended since the head was read is left for the next page.
            let query = "SELECT last_line, data FROM log_chunks
                 WHERE job_log = $1 AND last_line > $2 AND last_line <= $3 ORDER BY last_line LIMIT $4";
            let query = sqlx::query_as(query).bind(head.place).bind(last).bind(head.last_line).bind(limit);
            let rows: Vec<(i64, Vec<u8>)> = query.fetch_all(&mut *reads).await.map_err(failed)?;
            if rows.is_empty() {
                break;
            }
            for (last_line, data) in rows {
                last = last_line;
                if !page.is_full() {
                    page.add(decode(&data)?);
                }
            }
            limit = (limit * 2).min(PAGE);
        }
        Ok(page)
    }
}

/// Where the log of a job ends, and where it is.
#[derive(FromRow)]
struct Head {
    place: i64,
    last_line: i64,
    stdout: i64,
    stderr: i64,
    archive_digest: Option<String>,
    removed: bool,
}

impl Head {
    fn cursor(&self) -> Result<LogCursor, StoreError> {
        Ok(LogCursor { stdout: count(self.stdout)?, stderr: count(self.stderr)?, line: count(self.last_line)? })
    }
}

/// A job out of its columns.
pub(super) fn job_id(run: RunId, stage: String, attempt: i64) -> Result<JobId, StoreError> {
    let attempt = u32::try_from(attempt).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(JobId { run, stage: stage.into(), attempt })
}

async fn head_of(job: &JobId, connection: &mut PgConnection) -> Result<Option<Head>, StoreError> {
    let query = "SELECT place, last_line, stdout, stderr, archive_digest, removed FROM job_logs
         WHERE pipeline_run_id = $1 AND stage_name = $2 AND attempt = $3";
    let query = sqlx::query_as(query).bind(job.run.as_uuid()).bind(job.stage.as_str()).bind(i64::from(job.attempt));
    query.fetch_optional(connection).await.map_err(failed)
}

#[derive(Debug)]
struct Append<'a> {
    append: LogAppend<'a>,
    rows: Vec<LinesRow>,
}

/// Stores lines behind the expected one, if that is the last, and tells which one is. The run is locked, so nobody else
/// moves it.
const APPEND: &str = "WITH head AS (
         SELECT last_line, bytes FROM job_logs WHERE pipeline_run_id = $1 AND stage_name = $2 AND attempt = $3
     ), log AS (
         INSERT INTO job_logs (pipeline_run_id, stage_name, attempt, last_line, bytes, stdout, stderr)
         SELECT $1, $2, $3, $5, coalesce((SELECT bytes FROM head), 0) + $6, $7, $8
         WHERE coalesce((SELECT last_line FROM head), 0) = $4
         ON CONFLICT (pipeline_run_id, stage_name, attempt) DO UPDATE SET
             last_line = excluded.last_line, bytes = excluded.bytes,
             stdout = excluded.stdout, stderr = excluded.stderr
         RETURNING place, bytes
     ), chunk AS (
         INSERT INTO log_chunks (job_log, last_line, first_line, \"offset\", bytes, time, data)
         SELECT log.place, r.last_line, r.first_line, log.bytes - $6 + r.before, r.bytes, $9, r.data
         FROM log, unnest($10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bytea[])
             AS r (last_line, first_line, before, bytes, data)
     )
     SELECT coalesce((SELECT last_line FROM head), 0)";

#[async_trait]
impl Write for Append<'_> {
    type Answer = ();

    async fn write(&self, to: &mut PgConnection) -> Result<(), StoreError> {
        let LogAppend { job, token, expected_line, chunks, cursor } = self.append;
        fence(to, job.run, token).await?;
        let lines: Vec<(u64, u32)> = chunks.iter().map(|chunk| (chunk.first_line, chunk.lines)).collect();
        if check_lines(expected_line, &lines, cursor, expected_line).is_err() {
            let actual = head_of(job, to).await?.map_or(Ok(0), |head| count(head.last_line))?;
            return check_lines(expected_line, &lines, cursor, actual);
        }
        let time = chunks.first().map(|chunk| down(chunk.time));
        let append = sqlx::query_scalar(APPEND);
        let append = append.bind(job.run.as_uuid()).bind(job.stage.as_str()).bind(i64::from(job.attempt));
        let append = append.bind(number(expected_line)).bind(number(cursor.line));
        let append = append.bind(number(text_bytes(chunks) as u64));
        let append = append.bind(number(cursor.stdout)).bind(number(cursor.stderr)).bind(time);
        let column = |of: fn(&LinesRow) -> i64| self.rows.iter().map(of).collect::<Vec<_>>();
        let append = append.bind(column(|row| row.last_line)).bind(column(|row| row.first_line));
        let append = append.bind(column(|row| row.before)).bind(column(|row| row.bytes));
        let append = append.bind(self.rows.iter().map(|row| row.data.as_slice()).collect::<Vec<_>>());
        let actual: i64 = append.fetch_one(to).await.map_err(failed)?;
        check_lines(expected_line, &lines, cursor, count(actual)?)
    }
}
