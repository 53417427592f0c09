//! Search in logs, by a GIN index of the terms of blocks.

use async_trait::async_trait;
use buildit::store::{LogHits, LogQuery, LogSearch, SearchPlace, StoreError};
use sqlx::PgConnection;
use uuid::Uuid;

use super::PostgresStore;
use super::error::failed;
use super::log::job_id;
use super::transaction::Write;
use super::upkeep::lock_closed;
use crate::sql::{Block, Candidate, Index, count, index_all, number, search};

#[async_trait]
impl LogSearch for PostgresStore {
    async fn index_logs(&self) -> Result<u64, StoreError> {
        index_all(self).await
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

/// What follows a line of a log goes into the index.
#[derive(Debug)]
pub(super) struct Add<'a> {
    pub(super) run: Uuid,
    pub(super) log: i64,
    /// What is in the index already.
    pub(super) line: u64,
    /// What follows; nothing at the end of the log.
    pub(super) blocks: &'a [Block],
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
