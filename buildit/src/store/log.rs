//! Logs of jobs.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::executor::LogCursor;
use crate::id::{FencingToken, JobId};
use crate::job::{LogLine, Stream};

/// Keeps the logs of jobs.
#[async_trait]
pub trait LogStore: Debug + Send + Sync + 'static {
    /// Appends whole lines, all or none, and moves the job's cursor.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when the stored log does not end at the expected line, [`StoreError::Fenced`] when
    /// a larger token was seen for the run, [`StoreError::NoRun`] when there is no such run; then nothing is stored.
    async fn append_log(&self, append: LogAppend<'_>) -> Result<(), StoreError>;

    /// Appends the first lines of several logs: as many calls of [`append_log`](Self::append_log), which a store may make
    /// in fewer steps. It gives for each whether it was appended; where the log has begun already, nothing is.
    ///
    /// # Errors
    ///
    /// As [`append_log`](Self::append_log), but for conflicts; then some may be stored.
    async fn begin_logs(&self, appends: &[LogAppend<'_>]) -> Result<Vec<bool>, StoreError> {
        let mut begun = Vec::with_capacity(appends.len());
        for append in appends {
            begun.push(match self.append_log(append.clone()).await {
                Ok(()) => true,
                Err(StoreError::Conflict { .. }) => false,
                Err(error) => return Err(error),
            });
        }
        Ok(begun)
    }

    /// Where the stored log of a job ends; all zero when there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn log_cursor(&self, job: &JobId) -> Result<LogCursor, StoreError>;

    /// Lines after number `after`: whole chunks, the first cut at its front, until `max_bytes` of text are reached (at
    /// least one chunk when there is any).
    ///
    /// # Errors
    ///
    /// [`StoreError::LogRemoved`] when it was [removed](super::LogUpkeep::remove_logs), any other [`StoreError`] when the
    /// store fails. A job without a log has an empty page.
    async fn read_log(&self, job: &JobId, after: u64, max_bytes: usize) -> Result<LogPage, StoreError>;

    /// The jobs of a run that have a log, in the order in which their first lines were stored.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn logs_of_run(&self, run: crate::id::RunId) -> Result<Vec<JobId>, StoreError>;
}

/// Lines that are to be stored.
#[derive(Clone, Debug)]
pub struct LogAppend<'a> {
    /// The job.
    pub job: &'a JobId,
    /// The writer's lease.
    pub token: FencingToken,
    /// The number of the last line that is stored.
    pub expected_line: u64,
    /// The lines.
    pub chunks: &'a [LogChunk],
    /// The cursor behind them.
    pub cursor: LogCursor,
}

/// Consecutive whole lines of one stream that were read at one time: the unit that is masked, stored and published,
/// so that a line costs no allocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogChunk {
    /// The number of its first line, from 1.
    pub first_line: u64,
    /// How many lines it has.
    pub lines: u32,
    /// When they were read.
    pub time: Timestamp,
    /// Where they came from.
    pub stream: Stream,
    /// The text, masked, each line with its `\n`.
    pub text: Bytes,
}

impl LogChunk {
    /// The number of its last line.
    #[must_use]
    pub fn last_line(&self) -> u64 {
        self.first_line + u64::from(self.lines) - 1
    }

    /// The chunk without its lines up to number `after`; `None` when nothing is left.
    #[must_use]
    pub fn after(&self, after: u64) -> Option<Self> {
        let skip = (after + 1).saturating_sub(self.first_line);
        if skip == 0 {
            return Some(self.clone());
        }
        let skipped = usize::try_from(skip - 1).ok()?;
        let cut = memchr::memchr_iter(b'\n', &self.text).nth(skipped)? + 1;
        let lines = u32::try_from(u64::from(self.lines).checked_sub(skip)?).ok().filter(|lines| *lines > 0)?;
        Some(Self { first_line: after + 1, lines, text: self.text.slice(cut..), ..self.clone() })
    }

    /// The lines in parts of at most so many bytes; of more where a single line has more.
    pub fn parts(self, most: usize) -> impl Iterator<Item = Self> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let chunk = rest.take()?;
            if chunk.text.len() <= most {
                return Some(chunk);
            }
            let cut = match memchr::memrchr(b'\n', &chunk.text[..most]) {
                Some(newline) => newline + 1,
                None => memchr::memchr(b'\n', &chunk.text).map_or(chunk.text.len(), |newline| newline + 1),
            };
            let text = chunk.text.slice(..cut);
            let lines = u32::try_from(memchr::memchr_iter(b'\n', &text).count()).unwrap_or(u32::MAX);
            let part = Self { lines, text, ..chunk };
            rest = chunk.after(part.last_line());
            Some(part)
        })
    }

    /// Its lines, one by one.
    pub fn iter(&self) -> impl Iterator<Item = LogLine> + '_ {
        let text = self.text.strip_suffix(b"\n").unwrap_or(&self.text);
        text.split(|&byte| byte == b'\n').zip(self.first_line..).map(|(bytes, line)| LogLine {
            line,
            time: self.time,
            stream: self.stream,
            text: String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(bytes)).into_owned(),
        })
    }
}

/// Some lines of a log.
#[derive(Clone, Debug, Default)]
pub struct LogPage {
    /// The lines, in order.
    pub chunks: Vec<LogChunk>,
    /// The number of the last line that is stored, which may be beyond this page.
    pub last_line: u64,
}
