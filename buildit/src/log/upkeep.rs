//! Looking after the logs of closed runs.

use jiff::Timestamp;

use crate::id::RunId;
use crate::store::{KeptLogs, LogKeep, LogRetentions, StoreError};

/// How many runs are looked at together, and how many lose their logs together: a transaction stays short.
const BATCH: usize = 64;

/// What was done with the logs of closed runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// How many runs' logs were removed.
    pub removed: u64,
    /// The bytes of their text.
    pub removed_bytes: u64,
    /// How many logs were moved to the blob store.
    pub archived: u64,
    /// How many logs were added to the index.
    pub indexed: u64,
    /// The logs that were to be removed and are damaged. What is left of them stays.
    pub damaged: Vec<DamagedLogs>,
}

/// Logs of a run of which some cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedLogs {
    /// The run.
    pub run: RunId,
    /// What is damaged, and how, for people.
    pub message: String,
}

/// Removes what the policy does not keep, moves the rest to the blob store and adds it to the index. Whatever ends it
/// half-way, the next call goes on; several at once do no harm. A log that is damaged holds up no other.
///
/// # Errors
///
/// [`StoreError`] when the store fails; what was done by then is done.
pub async fn upkeep(
    store: &(impl LogKeep + ?Sized),
    retentions: impl Into<LogRetentions> + Send,
    now: Timestamp,
) -> Result<Upkeep, StoreError> {
    let (mut done, retentions) = (Upkeep::default(), retentions.into());
    if !retentions.keep_all() {
        let mut sift = retentions.sift(now);
        let mut before = u64::MAX;
        loop {
            let logs = store.kept_logs(before, BATCH).await?;
            let Some(last) = logs.last() else { break };
            before = last.place;
            let gone: Vec<_> = logs.iter().filter(|logs| !sift.keeps(logs)).collect();
            remove(store, &gone, &mut done).await?;
        }
    }
    done.archived = store.archive_logs().await?;
    done.indexed = store.index_logs().await?;
    Ok(done)
}

/// Removes the logs of these runs: of all at once, or of one run after the other when some are damaged.
async fn remove(store: &(impl LogKeep + ?Sized), gone: &[&KeptLogs], done: &mut Upkeep) -> Result<(), StoreError> {
    if gone.is_empty() {
        return Ok(());
    }
    let runs: Vec<RunId> = gone.iter().map(|logs| logs.run).collect();
    match store.remove_logs(&runs).await {
        Err(StoreError::Corrupt(_)) => {}
        removed => {
            removed?;
            gone.iter().for_each(|logs| done.note(logs));
            return Ok(());
        }
    }
    for logs in gone {
        match store.remove_logs(&[logs.run]).await {
            Ok(()) => done.note(logs),
            Err(error @ StoreError::Corrupt(_)) => {
                done.damaged.push(DamagedLogs { run: logs.run, message: error.to_string() });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Upkeep {
    fn note(&mut self, removed: &KeptLogs) {
        self.removed += 1;
        self.removed_bytes += removed.bytes;
    }
}
