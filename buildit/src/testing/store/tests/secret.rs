//! Its secrets.

use async_trait::async_trait;
use jiff::Timestamp;

use super::broken::Broken;
use super::faults::Fault;
use crate::store::{SealedSecret, SecretPlace, SecretScope, SecretStore, SecretSummary, StoreError};

#[async_trait]
impl SecretStore for Broken {
    async fn put_secret(
        &self,
        place: &SecretPlace,
        mut sealed: SealedSecret,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut place = place.clone();
        match self.fault {
            Fault::CutsSecrets => drop(sealed.sealed.pop()),
            Fault::OneSecretScope => place.scope = SecretScope::Pipeline,
            // Looks first and writes then.
            Fault::ReplacesLate | Fault::ReplacesAny => {
                let there = self.inner.secret(&place).await?.map_or(0, |there| there.version);
                if self.has(Fault::ReplacesLate) && there + 1 != sealed.version {
                    return Err(StoreError::Conflict { expected: sealed.version.saturating_sub(1), actual: there });
                }
                tokio::task::yield_now().await;
                self.inner.delete_secret(&place).await?;
                for version in 1..sealed.version {
                    self.inner.put_secret(&place, SealedSecret { version, ..sealed.clone() }, now).await?;
                }
            }
            _ => {}
        }
        self.inner.put_secret(&place, sealed, now).await
    }

    async fn secret(&self, place: &SecretPlace) -> Result<Option<SealedSecret>, StoreError> {
        let mut place = place.clone();
        if self.has(Fault::OneSecretScope) {
            place.scope = SecretScope::Pipeline;
        }
        self.inner.secret(&place).await
    }

    async fn secrets(&self, after: Option<&SecretPlace>, limit: usize) -> Result<Vec<SecretSummary>, StoreError> {
        let mut secrets = self.inner.secrets(after, limit).await?;
        if self.has(Fault::ListsSecretsBackwards) {
            secrets.reverse();
        }
        Ok(secrets)
    }

    async fn delete_secret(&self, place: &SecretPlace) -> Result<bool, StoreError> {
        if self.has(Fault::KeepsSecrets) { Ok(true) } else { self.inner.delete_secret(place).await }
    }
}
