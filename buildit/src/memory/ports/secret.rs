//! Sealed secrets.

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::secrets::SecretChange;
use super::super::store::MemoryStore;
use crate::store::{SealedSecret, SecretPlace, SecretStore, SecretSummary, StoreError};

#[async_trait]
impl SecretStore for MemoryStore {
    async fn put_secret(&self, place: &SecretPlace, sealed: SealedSecret, now: Timestamp) -> Result<(), StoreError> {
        let mut journaled = self.secrets_locked();
        journaled.secrets.check(place, sealed.version)?;
        journaled.change(SecretChange { place: place.clone(), secret: Some((sealed, now)) })
    }

    async fn secret(&self, place: &SecretPlace) -> Result<Option<SealedSecret>, StoreError> {
        Ok(self.secrets_locked().secrets.find(place).cloned())
    }

    async fn secrets(&self, after: Option<&SecretPlace>, limit: usize) -> Result<Vec<SecretSummary>, StoreError> {
        Ok(self.secrets_locked().secrets.list(after, limit))
    }

    async fn delete_secret(&self, place: &SecretPlace) -> Result<bool, StoreError> {
        let mut journaled = self.secrets_locked();
        if journaled.secrets.find(place).is_none() {
            return Ok(false);
        }
        journaled.change(SecretChange { place: place.clone(), secret: None }).map(|()| true)
    }
}
