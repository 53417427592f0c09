//! The audit log.

use async_trait::async_trait;

use super::super::store::MemoryStore;
use crate::account::{AuditEntry, AuditRecord};
use crate::store::{AuditFilter, AuditStore, StoreError};

#[async_trait]
impl AuditStore for MemoryStore {
    async fn audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.audit_locked().add(entry)
    }

    async fn audit_log(
        &self,
        filter: AuditFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        Ok(self.audit_locked().list(filter, before, limit))
    }
}
