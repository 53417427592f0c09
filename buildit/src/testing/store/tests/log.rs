//! Its logs.

use async_trait::async_trait;

use super::broken::Broken;
use super::faults::Fault;
use crate::executor::LogCursor;
use crate::id::{JobId, RunId};
use crate::store::{LogAppend, LogPage, LogStore, StoreError};

#[async_trait]
impl LogStore for Broken {
    async fn append_log(&self, append: LogAppend<'_>) -> Result<(), StoreError> {
        let token = self.token(append.token);
        match self.inner.append_log(LogAppend { token, ..append }).await {
            Err(StoreError::Conflict { .. }) if self.has(Fault::AppendsAnywhere) => Ok(()),
            Err(StoreError::NoRun(_)) if self.has(Fault::TakesAnyLog) => Ok(()),
            appended => appended,
        }
    }

    async fn begin_logs(&self, appends: &[LogAppend<'_>]) -> Result<Vec<bool>, StoreError> {
        let mut begun = self.inner.begin_logs(appends).await?;
        if self.has(Fault::SaysBegun) {
            begun.fill(true);
        }
        Ok(begun)
    }

    async fn log_cursor(&self, job: &JobId) -> Result<LogCursor, StoreError> {
        let cursor = self.inner.log_cursor(job).await?;
        Ok(if self.has(Fault::ForgetsOffsets) {
            LogCursor { line: cursor.line, ..LogCursor::default() }
        } else {
            cursor
        })
    }

    async fn read_log(&self, job: &JobId, after: u64, max_bytes: usize) -> Result<LogPage, StoreError> {
        let max_bytes = if self.has(Fault::EndlessPages) { usize::MAX } else { max_bytes };
        if self.has(Fault::WholeChunks) {
            let mut page = self.inner.read_log(job, 0, usize::MAX).await?;
            page.chunks.retain(|chunk| chunk.last_line() > after);
            return Ok(page);
        }
        if self.removed.lock().unwrap().contains(&job.run) {
            return Err(StoreError::LogRemoved(Box::new(job.clone())));
        }
        let mut page = self.inner.read_log(job, after, max_bytes).await?;
        if self.has(Fault::ArchivesHalves) && *self.is_archived.lock().unwrap() {
            page.chunks.pop();
        }
        if self.has(Fault::RefusesEmptyLogs) && page.last_line == 0 {
            return Err(StoreError::NoLog(Box::new(job.clone())));
        }
        if self.has(Fault::DropsReturns) {
            for chunk in &mut page.chunks {
                chunk.text = chunk.text.iter().copied().filter(|&byte| byte != b'\r').collect::<Vec<u8>>().into();
            }
        }
        Ok(page)
    }

    async fn logs_of_run(&self, run: RunId) -> Result<Vec<JobId>, StoreError> {
        let mut jobs = self.inner.logs_of_run(run).await?;
        if self.has(Fault::SortsLogs) {
            jobs.sort();
        }
        Ok(jobs)
    }
}
