//! Runs that somebody elsewhere is to be told of.

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::store::MemoryStore;
use crate::id::RunId;
use crate::store::{Export, ExportStore, StoreError};

#[async_trait]
impl ExportStore for MemoryStore {
    async fn export(&self, run: RunId, now: Timestamp) -> Result<(), StoreError> {
        self.exports_locked().add(run, now)
    }

    async fn take_exports(&self, now: Timestamp, until: Timestamp, limit: usize) -> Result<Vec<Export>, StoreError> {
        self.exports_locked().take(now, until, limit)
    }

    async fn settle_export(&self, export: Export, again: Option<Timestamp>) -> Result<bool, StoreError> {
        self.exports_locked().settle(export, again)
    }
}
