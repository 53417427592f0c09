//! Search in logs, by a GIN index of the terms of blocks.

use async_trait::async_trait;
use buildit::id::JobId;
use buildit::store::{LogHits, LogQuery, LogSearch, SearchPlace, StoreError};
use sqlx::PgConnection;
use uuid::Uuid;

use super::PostgresStore;
use super::error::failed;
use super::log::job_id;
use super::transaction::Write;
use super::upkeep::lock_closed;
use crate::sql::{Block, Candidate, Index, blocks, count, is_damaged, number, search};

/// How many logs are looked at together.
const BATCH: i64 = 64;

#[async_trait]
impl LogSearch for PostgresStore {
    async fn index_logs(&self) -> Result<u64, StoreError> {
        let (mut indexed, mut after) = (0, 0);
        loop {
            let logs = "SELECT l.place, l.pipeline_run_id, l.stage_name, l.attempt, l.indexed_line
                 FROM job_logs AS l JOIN pipeline_runs AS r ON r.id = l.pipeline_run_id
                 WHERE NOT l.indexed AND NOT l.removed AND l.place > $1 AND r.closed ORDER BY l.place LIMIT $2";
            let logs = sqlx::query_as(logs).bind(after).bind(BATCH);
            let logs: Vec<(i64, Uuid, String, i64, i64)> =
                logs.fetch_all(&mut *self.reads().await?).await.map_err(failed)?;
            if logs.is_empty() {
                return Ok(indexed);
            }
            for (place, run, stage, attempt, line) in logs {
                after = place;
                let job = job_id(run.into(), stage, attempt)?;
                match self.index_log(run, place, &job, count(line)?).await {
                    Ok(is_done) => indexed += u64::from(is_done),
                    Err(error) if is_damaged(&error) => tracing::warn!(%job, %error, "a log cannot be indexed"),
                    Err(error) => return Err(error),
                }
            }
        }
    }

    async fn search_logs(
        &self,
        query: &LogQuery,
        before: Option<SearchPlace>,
        limit: usize,
    ) -> Result<LogHits, StoreError> {
        search(self, query, before, limit).await
    }
}

impl PostgresStore {
    /// Adds what is missing of a log; `false` when somebody else has, or has removed it.
    async fn index_log(&self, run: Uuid, log: i64, job: &JobId, mut line: u64) -> Result<bool, StoreError> {
        loop {
            let blocks = blocks(self, job, line).await?;
            if !self.write(Add { run, log, line, blocks: &blocks }).await? {
                // Somebody else is at it, or was when this began.
                let now = "SELECT indexed_line FROM job_logs WHERE place = $1 AND NOT indexed AND NOT removed";
                let now = sqlx::query_scalar(now).bind(log).fetch_optional(&mut *self.reads().await?).await;
                let Some(now): Option<i64> = now.map_err(failed)? else { return Ok(false) };
                line = count(now)?;
                continue;
            }
            match blocks.last() {
                Some(last) => line = last.last_line,
                None => return Ok(true),
            }
        }
    }
}

/// Blocks with all of these terms, and whose they are. The index is asked first and by itself: to walk through all
/// blocks in their order and look for those that match would be quick for common terms only.
const FIND: &str = "WITH found AS MATERIALIZED (
         SELECT id, job_log, first_line, last_line FROM log_blocks WHERE terms @> $1
     )
     SELECT f.id, f.first_line, f.last_line, l.pipeline_run_id, l.stage_name, l.attempt
     FROM found AS f JOIN job_logs AS l ON l.place = f.job_log
     WHERE f.id <= $2 AND ($3 IS NULL OR l.pipeline_run_id = $3) ORDER BY f.id DESC LIMIT $4";

#[async_trait]
impl Index for PostgresStore {
    async fn candidates(&self, query: &LogQuery, upto: u64, limit: usize) -> Result<Vec<Candidate>, StoreError> {
        let found = sqlx::query_as(FIND).bind(shifted(query.terms())).bind(number(upto));
        let found = found.bind(query.run().map(|run| run.as_uuid())).bind(number(limit as u64));
        let found: Vec<(i64, i64, i64, Uuid, String, i64)> =
            found.fetch_all(&mut *self.reads().await?).await.map_err(failed)?;
        let candidate = |(block, first, last, run, stage, attempt): (i64, i64, i64, Uuid, String, i64)| {
            let job = job_id(run.into(), stage, attempt)?;
            Ok(Candidate { block: count(block)?, job, first_line: count(first)?, last_line: count(last)? })
        };
        found.into_iter().map(candidate).collect()
    }
}

/// Terms as a column has them, which knows no number without a sign.
fn shifted(terms: impl IntoIterator<Item = u16>) -> Vec<i16> {
    terms.into_iter().map(|term| (term ^ 0x8000).cast_signed()).collect()
}

#[derive(Debug)]
struct Add<'a> {
    run: Uuid,
    log: i64,
    /// What is in the index already.
    line: u64,
    /// What follows; nothing at the end of the log.
    blocks: &'a [Block],
}

#[async_trait]
impl Write for Add<'_> {
    /// Whether nobody else has gone on.
    type Answer = bool;

    async fn write(&self, to: &mut PgConnection) -> Result<bool, StoreError> {
        if !lock_closed(to, self.run).await? {
            return Ok(false);
        }
        let upto = self.blocks.last().map_or(self.line, |block| block.last_line);
        let note = "UPDATE job_logs SET indexed_line = $3, indexed = $4
             WHERE place = $1 AND indexed_line = $2 AND NOT indexed AND NOT removed";
        let note = sqlx::query(note).bind(self.log).bind(number(self.line)).bind(number(upto));
        let noted = note.bind(self.blocks.is_empty()).execute(&mut *to).await.map_err(failed)?;
        if noted.rows_affected() == 0 {
            return Ok(false);
        }
        for block in self.blocks {
            let insert = "INSERT INTO log_blocks (job_log, first_line, last_line, terms) VALUES ($1, $2, $3, $4)";
            let insert = sqlx::query(insert).bind(self.log).bind(number(block.first_line));
            let insert = insert.bind(number(block.last_line)).bind(shifted(block.terms.iter()));
            insert.execute(&mut *to).await.map_err(failed)?;
        }
        Ok(true)
    }
}
