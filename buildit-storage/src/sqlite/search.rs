//! Search in logs, by FTS5: an index of terms that holds no text.

use std::fmt::Write as _;

use async_trait::async_trait;
use buildit::id::{JobId, RunId};
use buildit::store::{LogHits, LogQuery, LogSearch, SearchPlace, StoreError};

use super::SqliteStore;
use super::error::failed;
use super::run::run_id;
use super::transaction::Transaction;
use super::writer::Write;
use crate::sql::{Block, Candidate, Index, count, index_all, number, search};

#[async_trait]
impl LogSearch for SqliteStore {
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

#[async_trait]
impl Index for SqliteStore {
    async fn candidates(&self, query: &LogQuery, upto: u64, limit: usize) -> Result<Vec<Candidate>, StoreError> {
        let (mut from, mut upto) = (0, number(upto));
        if let Some(run) = query.run() {
            let bounds = "SELECT coalesce(min(b.id), 0), coalesce(max(b.id), -1)
                 FROM job_logs AS l JOIN log_blocks AS b ON b.job_log = l.place WHERE l.pipeline_run_id = ?";
            let bounds = sqlx::query_as(bounds).bind(run.to_string()).fetch_one(self.reads()).await;
            let (first, last): (i64, i64) = bounds.map_err(failed)?;
            (from, upto) = (first, upto.min(last));
        }
        let found = sqlx::query_as(FIND).bind(words(query.terms())).bind(from).bind(upto);
        let found = found.bind(query.run().map(|run| run.to_string())).bind(number(limit as u64));
        let found: Vec<(i64, i64, i64, String, String, u32)> = found.fetch_all(self.reads()).await.map_err(failed)?;
        let candidate = |(block, first, last, run, stage, attempt): (i64, i64, i64, String, String, u32)| {
            let run: RunId = run_id(&run)?;
            let job = JobId { run, stage: stage.into(), attempt };
            Ok(Candidate { block: count(block)?, job, first_line: count(first)?, last_line: count(last)? })
        };
        found.into_iter().map(candidate).collect()
    }
}

/// Blocks with all of these words, and whose they are.
const FIND: &str = "SELECT b.id, b.first_line, b.last_line, l.pipeline_run_id, l.stage_name, l.attempt
     FROM log_index AS i JOIN log_blocks AS b ON b.id = i.rowid JOIN job_logs AS l ON l.place = b.job_log
     WHERE i.log_index MATCH ?1 AND i.rowid BETWEEN ?2 AND ?3 AND (?4 IS NULL OR l.pipeline_run_id = ?4)
     ORDER BY i.rowid DESC LIMIT ?5";

/// Terms as words, of which nothing can be taken for a query's own language.
fn words(terms: impl IntoIterator<Item = u16>) -> String {
    let mut words = String::new();
    for term in terms {
        let _ = write!(words, "{term:04x} ");
    }
    words
}

/// What follows a line of a log goes into the index.
#[derive(Debug)]
pub(super) struct Add {
    pub(super) log: i64,
    /// What is in the index already.
    pub(super) line: u64,
    /// What follows; nothing at the end of the log.
    pub(super) blocks: Vec<Block>,
}

#[async_trait]
impl Write for Add {
    /// Whether nobody else has gone on.
    type Answer = bool;

    async fn write(&self, to: &mut Transaction<'_>) -> Result<bool, StoreError> {
        let connection = to.connection().await?;
        let upto = self.blocks.last().map_or(self.line, |block| block.last_line);
        let note = "UPDATE job_logs SET indexed_line = ?, indexed = ?
             WHERE place = ? AND indexed_line = ? AND indexed = 0 AND removed = 0";
        let note = sqlx::query(note).bind(number(upto)).bind(self.blocks.is_empty()).bind(self.log);
        let noted = note.bind(number(self.line)).execute(&mut *connection).await.map_err(failed)?;
        if noted.rows_affected() == 0 {
            return Ok(false);
        }
        for block in &self.blocks {
            let insert = "INSERT INTO log_blocks (job_log, first_line, last_line) VALUES (?, ?, ?) RETURNING id";
            let insert = sqlx::query_scalar(insert).bind(self.log).bind(number(block.first_line));
            let insert = insert.bind(number(block.last_line)).fetch_one(&mut *connection).await;
            let id: i64 = insert.map_err(failed)?;
            let insert = sqlx::query("INSERT INTO log_index (rowid, terms) VALUES (?, ?)").bind(id);
            insert.bind(words(block.terms.iter())).execute(&mut *connection).await.map_err(failed)?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;

    #[tokio::test]
    async fn a_search_asks_the_index_and_sorts_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("runs.db")).await.unwrap();
        let plan = sqlx::query_as(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {FIND}"))).bind("0123 4567");
        let plan = plan.bind(0).bind(i64::MAX).bind(None::<String>).bind(10);
        let plan: Vec<(i64, i64, i64, String)> = plan.fetch_all(store.reads()).await.unwrap();
        let steps: Vec<&str> = plan.iter().map(|(_, _, _, step)| step.as_str()).collect();
        let (first, rest) = steps.split_first().unwrap();
        assert!(first.starts_with("SCAN i VIRTUAL TABLE INDEX") && first.contains('M'), "the words: {steps:?}");
        assert!(rest.iter().all(|step| step.starts_with("SEARCH")), "each by its key, and in order: {steps:?}");
    }
}
