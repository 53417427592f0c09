//! The first lines of many logs in few statements.

use std::collections::HashMap;

use async_trait::async_trait;
use buildit::id::{FencingToken, JobId};
use buildit::store::{LogAppend, StoreError};
use sqlx::AssertSqlSafe;

use super::bulk::Bulk;
use super::error::failed;
use super::transaction::Transaction;
use super::writer::Write;
use crate::sql::{check_lines, encode_aside, number, text_bytes, to_text};

const LOGS: Bulk = Bulk {
    head: "INSERT INTO job_logs (pipeline_run_id, stage_name, attempt, last_line, bytes, stdout, stderr) VALUES",
    columns: 7,
    tail: "ON CONFLICT DO NOTHING RETURNING place, pipeline_run_id, stage_name, attempt",
};

const CHUNKS: Bulk = Bulk {
    head: "INSERT INTO log_chunks (job_log, last_line, first_line, offset, bytes, time, data) VALUES",
    columns: 7,
    tail: "",
};

/// The first lines of logs.
#[derive(Debug)]
pub(super) struct BeginLogs(Vec<First>);

#[derive(Debug)]
struct First {
    job: JobId,
    run: String,
    token: FencingToken,
    line: u64,
    stdout: u64,
    stderr: u64,
    bytes: u64,
    time: String,
    data: Vec<u8>,
}

impl BeginLogs {
    pub(super) async fn new(appends: &[LogAppend<'_>]) -> Result<Self, StoreError> {
        let mut all = Vec::with_capacity(appends.len());
        for LogAppend { job, token, expected_line, chunks, cursor } in appends {
            let lines: Vec<_> = chunks.iter().map(|chunk| (chunk.first_line, chunk.lines)).collect();
            check_lines(*expected_line, &lines, *cursor, 0)?;
            all.push(First {
                job: (*job).clone(),
                run: job.run.to_string(),
                token: *token,
                line: cursor.line,
                stdout: cursor.stdout,
                stderr: cursor.stderr,
                bytes: text_bytes(chunks) as u64,
                time: chunks.first().map(|chunk| to_text(chunk.time)).unwrap_or_default(),
                data: encode_aside(chunks).await?,
            });
        }
        Ok(Self(all))
    }
}

type Place = (i64, String, String, u32);

#[async_trait]
impl Write for BeginLogs {
    type Answer = Vec<bool>;

    async fn write(&self, to: &mut Transaction<'_>) -> Result<Vec<bool>, StoreError> {
        for first in &self.0 {
            to.fence(first.job.run, first.token).await?;
        }
        let connection = to.connection().await?;
        let mut places: HashMap<(String, String, u32), i64> = HashMap::with_capacity(self.0.len());
        for (statement, rows) in LOGS.pieces(&self.0) {
            let mut query = sqlx::query_as(AssertSqlSafe(statement));
            for row in rows {
                query = query.bind(&row.run).bind(row.job.stage.as_str()).bind(row.job.attempt);
                query = query.bind(number(row.line)).bind(number(row.bytes));
                query = query.bind(number(row.stdout)).bind(number(row.stderr));
            }
            let begun: Vec<Place> = query.fetch_all(&mut *connection).await.map_err(failed)?;
            places.extend(begun.into_iter().map(|(place, run, stage, attempt)| ((run, stage, attempt), place)));
        }
        // Taken out, so that of two for one job the first counts.
        let mut place = |row: &First| places.remove(&(row.run.clone(), row.job.stage.to_string(), row.job.attempt));
        let begun: Vec<Option<i64>> = self.0.iter().map(&mut place).collect();
        let chunks = self.0.iter().zip(&begun).filter(|(row, _)| row.line > 0);
        let chunks: Vec<(&First, i64)> = chunks.filter_map(|(row, place)| Some((row, (*place)?))).collect();
        for (statement, rows) in CHUNKS.pieces(&chunks) {
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for (row, place) in rows {
                query = query.bind(*place).bind(number(row.line)).bind(1).bind(0);
                query = query.bind(number(row.bytes)).bind(&row.time).bind(&row.data);
            }
            query.execute(&mut *connection).await.map_err(failed)?;
        }
        Ok(begun.iter().map(Option::is_some).collect())
    }
}
