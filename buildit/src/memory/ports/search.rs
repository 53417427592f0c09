//! Search, without an index: the logs themselves are looked through.

use std::collections::VecDeque;

use async_trait::async_trait;

use super::super::store::MemoryStore;
use crate::store::{LogHits, LogQuery, LogSearch, SearchPlace, StoreError};

/// How much text is looked through for one page.
const MOST: usize = 64 * 1024 * 1024;

/// How much of a log is read at once.
const PAGE: usize = 256 * 1024;

/// A block is a job's log: the run's place, and in its last bits the log's own among those of the run.
const LOG_BITS: u32 = 24;

#[async_trait]
impl LogSearch for MemoryStore {
    async fn index_logs(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn search_logs(
        &self,
        query: &LogQuery,
        before: Option<SearchPlace>,
        limit: usize,
    ) -> Result<LogHits, StoreError> {
        let limit = limit.max(1);
        let before = before.unwrap_or(SearchPlace::START);
        let last_run = before.block >> LOG_BITS;
        let closed = self.runs_locked().closed_before(last_run.saturating_add(1));
        let mut page = LogHits::default();
        let mut looked = 0;
        for run in closed.iter().filter(|run| query.run().is_none_or(|only| only == run.id)) {
            let jobs = run.jobs_with_logs()?;
            for (ordinal, job) in jobs.iter().enumerate().rev() {
                let block = (run.place << LOG_BITS) | ordinal as u64;
                if block > before.block {
                    continue;
                }
                let place = before.within(block);
                if looked >= MOST {
                    page.next = Some(place);
                    return Ok(page);
                }
                let room = limit - page.hits.len();
                // The last of them, and one more that says whether there are others: all may be as much as the log.
                let mut hits = VecDeque::new();
                let mut after = 0;
                loop {
                    let read = match run.read_log(job, after, PAGE) {
                        // Removed meanwhile, or damaged: the others are found all the same.
                        Err(StoreError::LogRemoved(_) | StoreError::NoRun(_) | StoreError::Corrupt(_)) => break,
                        read => read?,
                    };
                    let Some(end) = read.chunks.last() else { break };
                    after = end.last_line();
                    for chunk in &read.chunks {
                        looked += chunk.text.len();
                        hits.extend(query.matches(job, chunk).into_iter().filter(|hit| hit.line.line < place.line));
                        let extra = hits.len().saturating_sub(room + 1);
                        hits.drain(..extra);
                    }
                }
                if page.fill(place, hits.into(), limit) {
                    return Ok(page);
                }
            }
        }
        Ok(page)
    }
}
