//! What forges are to say of commits.

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::store::MemoryStore;
use crate::id::{RepositoryId, StatusId};
use crate::store::{CommitStatus, Report, Settled, StatusStore, StoreError, check_status};

#[async_trait]
impl StatusStore for MemoryStore {
    async fn report_status(&self, status: CommitStatus) -> Result<bool, StoreError> {
        check_status(&status)?;
        self.statuses_locked().report(status)
    }

    async fn take_statuses(&self, now: Timestamp, until: Timestamp, limit: usize) -> Result<Vec<Report>, StoreError> {
        self.statuses_locked().take(now, until, limit)
    }

    async fn settle_status(&self, id: StatusId, tries: u32, how: Settled) -> Result<bool, StoreError> {
        self.statuses_locked().settle(id, tries, how)
    }

    async fn retry_status(&self, repository: RepositoryId, id: StatusId, now: Timestamp) -> Result<bool, StoreError> {
        self.statuses_locked().retry(repository, id, now)
    }

    async fn statuses(
        &self,
        repository: RepositoryId,
        before: Option<StatusId>,
        limit: usize,
    ) -> Result<Vec<Report>, StoreError> {
        Ok(self.statuses_locked().list(repository, before, limit))
    }

    async fn sweep_statuses(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.statuses_locked().sweep(before)
    }
}
