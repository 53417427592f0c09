//! Logs of jobs.

use async_trait::async_trait;
use buildit::executor::LogCursor;
use buildit::id::{FencingToken, JobId, RunId};
use buildit::store::{LogAppend, LogPage, LogStore, StoreError};
use sqlx::FromRow;

use super::SqliteStore;
use super::begin::BeginLogs;
use super::error::failed;
use super::transaction::Transaction;
use super::writer::Write;
use crate::sql::{
    FrameRow, LinesRow, PageReader, TRIES, archived, check_lines, count, decode, frames, number, read_frames, rows_of,
    text_bytes, to_text,
};

/// How many rows with lines are read at a time at most. They are one append each, of a line or of megabytes: so it is
/// one at first, and twice as many each time.
const PAGE: i64 = 32;

/// How many frames of an archived log are looked up at a time.
const FRAMES: i64 = 32;

#[async_trait]
impl LogStore for SqliteStore {
    async fn append_log(&self, append: LogAppend<'_>) -> Result<(), StoreError> {
        let rows = rows_of(append.chunks).await?;
        let lines = append.chunks.iter().map(|chunk| (chunk.first_line, chunk.lines)).collect();
        let time = append.chunks.first().map(|chunk| to_text(chunk.time)).unwrap_or_default();
        let (job, bytes) = (append.job.clone(), text_bytes(append.chunks) as u64);
        let LogAppend { token, expected_line, cursor, .. } = append;
        self.write(Append { job, token, expected_line, cursor, lines, time, bytes, rows }).await
    }

    async fn begin_logs(&self, appends: &[LogAppend<'_>]) -> Result<Vec<bool>, StoreError> {
        match appends.is_empty() {
            true => Ok(Vec::new()),
            false => self.write(BeginLogs::new(appends).await?).await,
        }
    }

    async fn log_cursor(&self, job: &JobId) -> Result<LogCursor, StoreError> {
        let head = head_of(job);
        let head: Option<Head> = head.fetch_optional(self.reads()).await.map_err(failed)?;
        head.map_or(Ok(LogCursor::default()), |head| head.cursor())
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
        let query = "SELECT stage_name, attempt FROM job_logs WHERE pipeline_run_id = ? ORDER BY place";
        let query = sqlx::query_as(query).bind(run.to_string());
        let rows: Vec<(String, u32)> = query.fetch_all(self.reads()).await.map_err(failed)?;
        Ok(rows.into_iter().map(|(stage, attempt)| JobId { run, stage: stage.into(), attempt }).collect())
    }
}

impl SqliteStore {
    /// A page, which lacks lines that are moved or removed while it is read.
    async fn read_lines(&self, job: &JobId, after: u64, max_bytes: usize) -> Result<PageReader, StoreError> {
        let head: Option<Head> = head_of(job).fetch_optional(self.reads()).await.map_err(failed)?;
        let Some(head) = head else { return Ok(PageReader::new(0, after, max_bytes)) };
        if head.removed {
            return Err(StoreError::LogRemoved(Box::new(job.clone())));
        }
        let mut page = PageReader::new(count(head.last_line)?, after, max_bytes);
        let mut last = number(after);
        if let Some(digest) = &head.archive_digest {
            let (blobs, digest) = archived(self.blobs(), digest)?;
            while !page.is_full() {
                let query = "SELECT last_line, offset, length, bytes, sum FROM log_frames
                     WHERE job_log = ? AND last_line > ? ORDER BY last_line LIMIT ?";
                let query = sqlx::query_as(query).bind(head.place).bind(last).bind(FRAMES);
                let rows: Vec<FrameRow> = query.fetch_all(self.reads()).await.map_err(failed)?;
                let frames = frames(&rows)?;
                match read_frames(blobs, &digest, &frames, &mut page).await? {
                    0 => break,
                    read => last = rows[read - 1].0,
                }
            }
        }
        let mut limit = 1;
        while !page.is_full() {
            // What was appended since the head was read is left for the next page.
            let query = "SELECT last_line, data FROM log_chunks
                 WHERE job_log = ? AND last_line > ? AND last_line <= ? ORDER BY last_line LIMIT ?";
            let query = sqlx::query_as(query).bind(head.place).bind(last).bind(head.last_line).bind(limit);
            let rows: Vec<(i64, Vec<u8>)> = query.fetch_all(self.reads()).await.map_err(failed)?;
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
    bytes: i64,
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

type HeadQuery<'q> = sqlx::query::QueryAs<'q, sqlx::Sqlite, Head, sqlx::sqlite::SqliteArguments>;

fn head_of(job: &JobId) -> HeadQuery<'static> {
    let query = "SELECT place, last_line, bytes, stdout, stderr, archive_digest, removed FROM job_logs
         WHERE pipeline_run_id = ? AND stage_name = ? AND attempt = ?";
    sqlx::query_as(query).bind(job.run.to_string()).bind(job.stage.as_str().to_owned()).bind(job.attempt)
}

#[derive(Debug)]
struct Append {
    job: JobId,
    token: FencingToken,
    expected_line: u64,
    cursor: LogCursor,
    /// The first line of each chunk, and how many it has.
    lines: Vec<(u64, u32)>,
    time: String,
    bytes: u64,
    rows: Vec<LinesRow>,
}

#[async_trait]
impl Write for Append {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        to.fence(self.job.run, self.token).await?;
        let connection = to.connection().await?;
        let head: Option<Head> = head_of(&self.job).fetch_optional(&mut *connection).await.map_err(failed)?;
        let actual = head.as_ref().map_or(Ok(0), |head| count(head.last_line))?;
        check_lines(self.expected_line, &self.lines, self.cursor, actual)?;
        let cursor = self.cursor;
        let upsert = "INSERT INTO job_logs (pipeline_run_id, stage_name, attempt, last_line, bytes, stdout, stderr)
             VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (pipeline_run_id, stage_name, attempt) DO UPDATE SET
                 last_line = excluded.last_line, bytes = excluded.bytes,
                 stdout = excluded.stdout, stderr = excluded.stderr
             RETURNING place";
        let offset = head.map_or(0, |head| head.bytes);
        let (job, bytes) = (&self.job, number(self.bytes));
        let upsert = sqlx::query_scalar(upsert).bind(job.run.to_string()).bind(job.stage.as_str()).bind(job.attempt);
        let upsert = upsert.bind(number(cursor.line)).bind(offset + bytes);
        let upsert = upsert.bind(number(cursor.stdout)).bind(number(cursor.stderr));
        let place: i64 = upsert.fetch_one(&mut *connection).await.map_err(failed)?;
        for row in &self.rows {
            let insert = "INSERT INTO log_chunks (job_log, last_line, first_line, offset, bytes, time, data)
                 VALUES (?, ?, ?, ?, ?, ?, ?)";
            let insert = sqlx::query(insert).bind(place).bind(row.last_line).bind(row.first_line);
            let insert = insert.bind(offset + row.before).bind(row.bytes).bind(&self.time).bind(&row.data);
            insert.execute(&mut *connection).await.map_err(failed)?;
        }
        Ok(())
    }
}
