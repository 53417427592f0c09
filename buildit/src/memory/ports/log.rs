//! Logs.

use async_trait::async_trait;

use super::super::store::MemoryStore;
use crate::executor::LogCursor;
use crate::id::{JobId, RunId};
use crate::store::{LogAppend, LogPage, LogStore, StoreError};

#[async_trait]
impl LogStore for MemoryStore {
    async fn append_log(&self, append: LogAppend<'_>) -> Result<(), StoreError> {
        self.kept(append.job.run)?.append_log(&append)
    }

    async fn log_cursor(&self, job: &JobId) -> Result<LogCursor, StoreError> {
        self.kept(job.run).map_or_else(|_| Ok(LogCursor::default()), |run| run.log_cursor(job))
    }

    async fn read_log(&self, job: &JobId, after: u64, max_bytes: usize) -> Result<LogPage, StoreError> {
        self.looked_at(job.run).map_or_else(|_| Ok(LogPage::default()), |run| run.read_log(job, after, max_bytes))
    }

    async fn logs_of_run(&self, run: RunId) -> Result<Vec<JobId>, StoreError> {
        self.looked_at(run).map_or_else(|_| Ok(Vec::new()), |run| run.jobs_with_logs())
    }
}
