//! What becomes of the logs of closed runs.

use async_trait::async_trait;

use super::super::store::MemoryStore;
use crate::id::RunId;
use crate::store::{KeptLogs, LogUpkeep, StoreError};

#[async_trait]
impl LogUpkeep for MemoryStore {
    /// Its logs lie where its blobs do: there is nothing to move.
    async fn archive_logs(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn kept_logs(&self, before: u64, limit: usize) -> Result<Vec<KeptLogs>, StoreError> {
        let closed = self.runs_locked().closed_before(before);
        let logs = closed.iter().filter_map(|run| {
            let bytes = match run.log_bytes().transpose()? {
                // How much it is cannot be told. Whoever removes it is told why.
                Err(StoreError::Corrupt(_)) => Ok(0),
                bytes => bytes,
            };
            let finished_at = run.finished_at().unwrap_or_default();
            let (run, tenant, place) = (run.id, run.tenant, run.place);
            Some(bytes.map(|bytes| KeptLogs { run, tenant, place, finished_at, bytes }))
        });
        logs.take(limit).collect()
    }

    async fn remove_logs(&self, runs: &[RunId]) -> Result<(), StoreError> {
        for run in runs {
            // A run that is gone, or is open, has no logs to be removed.
            let closed = self.runs_locked().check_closed(*run);
            if let Ok(run) = closed {
                run.remove_logs()?;
            }
        }
        Ok(())
    }
}
