//! Logs in memory.

use indexmap::IndexMap;

use crate::executor::LogCursor;
use crate::id::{JobId, RunId, StageName};
use crate::store::{LogAppend, LogChunk, LogPage, StoreError};

/// The logs of one run, in the order of their first lines.
#[derive(Debug, Default)]
pub(super) struct RunLogs(IndexMap<(StageName, u32), JobLog>);

#[derive(Debug, Default)]
struct JobLog {
    cursor: LogCursor,
    chunks: Vec<LogChunk>,
    is_removed: bool,
}

impl RunLogs {
    pub(super) fn append(&mut self, append: &LogAppend<'_>) -> Result<(), StoreError> {
        let actual = self.cursor(append.job).line;
        check(append, actual)?;
        let log = self.0.entry((append.job.stage.clone(), append.job.attempt)).or_default();
        log.chunks.extend_from_slice(append.chunks);
        log.cursor = append.cursor;
        Ok(())
    }

    pub(super) fn cursor(&self, job: &JobId) -> LogCursor {
        self.log(job).map(|log| log.cursor).unwrap_or_default()
    }

    pub(super) fn read(&self, job: &JobId, after: u64, max_bytes: usize) -> Result<LogPage, StoreError> {
        let Some(log) = self.log(job) else { return Ok(LogPage::default()) };
        if log.is_removed {
            return Err(StoreError::LogRemoved(Box::new(job.clone())));
        }
        let first = log.chunks.partition_point(|chunk| chunk.last_line() <= after);
        let mut bytes = 0;
        let chunks = log.chunks[first..]
            .iter()
            .filter_map(|chunk| chunk.after(after))
            .take_while(|chunk| {
                let more = bytes == 0 || bytes < max_bytes;
                bytes += chunk.text.len();
                more
            })
            .collect();
        Ok(LogPage { chunks, last_line: log.cursor.line })
    }

    /// Removes all lines.
    pub(super) fn remove(&mut self) {
        for log in self.0.values_mut() {
            *log = JobLog { cursor: log.cursor, chunks: Vec::new(), is_removed: true };
        }
    }

    /// The bytes of all text; `None` when there is no log, or none any more.
    pub(super) fn bytes(&self) -> Option<u64> {
        let here = self.0.values().filter(|log| !log.is_removed);
        let bytes = here.map(|log| log.chunks.iter().map(|chunk| chunk.text.len() as u64).sum());
        bytes.reduce(|all: u64, bytes: u64| all + bytes)
    }

    pub(super) fn jobs(&self, run: RunId) -> Vec<JobId> {
        self.0.keys().map(|(stage, attempt)| JobId { run, stage: stage.clone(), attempt: *attempt }).collect()
    }

    fn log(&self, job: &JobId) -> Option<&JobLog> {
        // The key is owned; building one costs a reference count.
        self.0.get(&(job.stage.clone(), job.attempt))
    }
}

/// Whether the lines are the next ones of a log that ends at line `actual`.
pub(super) fn check(append: &LogAppend<'_>, actual: u64) -> Result<(), StoreError> {
    if append.expected_line != actual {
        return Err(StoreError::Conflict { expected: append.expected_line, actual });
    }
    let mut line = actual;
    for chunk in append.chunks {
        if chunk.first_line != line + 1 {
            return Err(StoreError::Conflict { expected: chunk.first_line.saturating_sub(1), actual: line });
        }
        line += u64::from(chunk.lines);
    }
    if append.cursor.line == line {
        Ok(())
    } else {
        Err(StoreError::Conflict { expected: append.cursor.line, actual: line })
    }
}
