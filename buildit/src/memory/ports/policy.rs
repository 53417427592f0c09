//! Policies of tenants, and turns.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::store::MemoryStore;
use crate::id::TenantId;
use crate::store::{PolicyStore, RetentionPolicy, StoreError, check_text};

#[async_trait]
impl PolicyStore for MemoryStore {
    async fn put_policy(&self, policy: RetentionPolicy) -> Result<(), StoreError> {
        self.policies_locked().put(policy)
    }

    async fn policy(&self, tenant: TenantId) -> Result<Option<RetentionPolicy>, StoreError> {
        Ok(self.policies_locked().find(tenant).cloned())
    }

    async fn policies(&self, after: Option<TenantId>, limit: usize) -> Result<Vec<RetentionPolicy>, StoreError> {
        Ok(self.policies_locked().list(after, limit))
    }

    async fn take_turn(&self, work: &str, now: Timestamp, every: Duration) -> Result<bool, StoreError> {
        check_text("the name of the work", work)?;
        self.policies_locked().take_turn(work, now, every)
    }
}
