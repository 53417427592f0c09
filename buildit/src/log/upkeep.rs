//! Looking after the logs of closed runs.

use jiff::Timestamp;

use crate::id::RunId;
use crate::store::{LogKeep, LogRetention, StoreError};

/// How many runs are looked at together, and how many lose their logs together: a transaction stays short.
const BATCH: usize = 64;

/// What was done with the logs of closed runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// How many runs' logs were removed.
    pub removed: u64,
    /// The bytes of their text.
    pub removed_bytes: u64,
    /// How many logs were moved to the blob store.
    pub archived: u64,
    /// How many logs were added to the index.
    pub indexed: u64,
}

/// Removes what the policy does not keep, moves the rest to the blob store and adds it to the index. Whatever ends it
/// half-way, the next call goes on; several at once do no harm.
///
/// # Errors
///
/// [`StoreError`] when the store fails; what was done by then is done.
pub async fn upkeep(store: &dyn LogKeep, retention: LogRetention, now: Timestamp) -> Result<Upkeep, StoreError> {
    let mut done = Upkeep::default();
    if !retention.keeps_all() {
        let mut sift = retention.sift(now);
        let mut before = u64::MAX;
        loop {
            let logs = store.kept_logs(before, BATCH).await?;
            let Some(last) = logs.last() else { break };
            before = last.place;
            let gone: Vec<_> = logs.iter().filter(|logs| !sift.keeps(logs)).collect();
            if gone.is_empty() {
                continue;
            }
            let runs: Vec<RunId> = gone.iter().map(|logs| logs.run).collect();
            store.remove_logs(&runs).await?;
            done.removed += runs.len() as u64;
            done.removed_bytes += gone.iter().map(|logs| logs.bytes).sum::<u64>();
        }
    }
    done.archived = store.archive_logs().await?;
    done.indexed = store.index_logs().await?;
    Ok(done)
}
