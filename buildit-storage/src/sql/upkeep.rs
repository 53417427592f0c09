//! What is done with the logs of closed runs, one after the other: moved to blobs, and added to the index.

use async_trait::async_trait;
use buildit::artifact::BlobStore;
use buildit::id::{Digest, JobId};
use buildit::store::{LogStore, StoreError};

use super::archive::{Frame, archive, is_damaged};
use super::search::{Block, blocks};

/// How many logs are looked at together.
const BATCH: i64 = 64;

/// A log of a closed run with which something is still to be done.
#[derive(Debug)]
pub(crate) struct ClosedLog {
    pub(crate) place: i64,
    pub(crate) job: JobId,
    /// The last line of it, or of what of it is in the index.
    pub(crate) line: u64,
}

/// The table of logs, as far as upkeep goes. Other processes may be at the same log.
#[async_trait]
pub(crate) trait ClosedLogs: LogStore + Clone {
    /// Logs that are not in blobs, by their places, behind this one.
    async fn unarchived(&self, after: i64, limit: i64) -> Result<Vec<ClosedLog>, StoreError>;

    /// Notes that a log is in a blob; `false` when it was archived, removed or changed meanwhile.
    async fn note_archived(&self, log: &ClosedLog, digest: Digest, frames: Vec<Frame>) -> Result<bool, StoreError>;

    /// Logs that are not wholly in the index, by their places, behind this one.
    async fn unindexed(&self, after: i64, limit: i64) -> Result<Vec<ClosedLog>, StoreError>;

    /// Adds the blocks that follow this line, and none at the end of the log; `false` when somebody else has gone on.
    async fn add_blocks(&self, log: &ClosedLog, line: u64, blocks: Vec<Block>) -> Result<bool, StoreError>;

    /// The last line of a log that is in the index; `None` when all of it is, or it was removed.
    async fn indexed_line(&self, log: &ClosedLog) -> Result<Option<u64>, StoreError>;
}

/// Moves all logs of closed runs to blobs and says how many were moved; those that are damaged are passed over.
pub(crate) async fn archive_all(store: &impl ClosedLogs, blobs: &dyn BlobStore) -> Result<u64, StoreError> {
    let (mut archived, mut after) = (0, 0);
    loop {
        let logs = store.unarchived(after, BATCH).await?;
        let Some(last) = logs.last() else { return Ok(archived) };
        after = last.place;
        for log in &logs {
            let job = &log.job;
            match archive(store, blobs, job).await {
                Ok((digest, frames)) => archived += u64::from(store.note_archived(log, digest, frames).await?),
                Err(error) if is_damaged(&error) => tracing::warn!(%job, %error, "a log cannot be archived"),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Adds all logs of closed runs to the index and says how many were added; those that are damaged are passed over.
pub(crate) async fn index_all(store: &impl ClosedLogs) -> Result<u64, StoreError> {
    let (mut indexed, mut after) = (0, 0);
    loop {
        let logs = store.unindexed(after, BATCH).await?;
        let Some(last) = logs.last() else { return Ok(indexed) };
        after = last.place;
        for log in &logs {
            let job = &log.job;
            match index(store, log).await {
                Ok(is_done) => indexed += u64::from(is_done),
                Err(error) if is_damaged(&error) => tracing::warn!(%job, %error, "a log cannot be indexed"),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Adds what is missing of a log; `false` when somebody else has, or has removed it.
async fn index(store: &impl ClosedLogs, log: &ClosedLog) -> Result<bool, StoreError> {
    let mut line = log.line;
    loop {
        let blocks = blocks(store, &log.job, line).await?;
        let last = blocks.last().map(|block| block.last_line);
        if !store.add_blocks(log, line, blocks).await? {
            // Somebody else is at it, or was when this began.
            let Some(now) = store.indexed_line(log).await? else { return Ok(false) };
            line = now;
            continue;
        }
        match last {
            Some(last) => line = last,
            None => return Ok(true),
        }
    }
}
