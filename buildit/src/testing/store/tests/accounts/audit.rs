//! Its audit log.

use async_trait::async_trait;

use super::broken::{BrokenAccounts, Fault};
use crate::account::{AuditEntry, AuditRecord};
use crate::store::{AuditFilter, AuditStore, StoreError};

#[async_trait]
impl AuditStore for BrokenAccounts {
    async fn audit(&self, mut entry: AuditEntry) -> Result<(), StoreError> {
        if self.has(Fault::ForgetsDetails) {
            entry.details.clear();
        }
        self.inner.audit(entry).await
    }

    async fn audit_log(
        &self,
        filter: AuditFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let filter = if self.has(Fault::OneLog) { AuditFilter::default() } else { filter };
        let mut found = self.inner.audit_log(filter, before, limit).await?;
        if self.has(Fault::OldestFirst) {
            found.reverse();
        }
        Ok(found)
    }
}
