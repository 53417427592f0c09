//! Its keys, sessions and tokens.

use async_trait::async_trait;
use jiff::Timestamp;

use super::broken::{BrokenAccounts, Fault};
use crate::account::{ApiKey, Session, TokenHash, TokenPurpose};
use crate::id::{ApiKeyId, TenantId, UserId};
use crate::store::{CredentialStore, StoreError};

#[async_trait]
impl CredentialStore for BrokenAccounts {
    async fn create_key(&self, mut key: ApiKey, hash: TokenHash) -> Result<(), StoreError> {
        if self.has(Fault::ForgetsScopes) {
            key.scopes.clear();
        }
        match self.inner.create_key(key.clone(), hash).await {
            Err(StoreError::Taken(_)) if self.has(Fault::TakesHashesTwice) => Ok(()),
            made => made.inspect(|()| drop(self.keys.lock().unwrap().insert(hash, key))),
        }
    }

    async fn key(&self, hash: &TokenHash) -> Result<Option<ApiKey>, StoreError> {
        let mut found = self.inner.key(hash).await?;
        match self.fault {
            Fault::KeepsKeysOfTheGone => found = self.keys.lock().unwrap().get(hash).cloned(),
            Fault::NotesLastCall => {
                let used = self.used.lock().unwrap();
                found.iter_mut().for_each(|key| key.last_used_at = used.get(&key.id).copied());
            }
            _ => {}
        }
        Ok(found)
    }

    async fn keys(&self, tenant: TenantId, after: Option<ApiKeyId>, limit: usize) -> Result<Vec<ApiKey>, StoreError> {
        let limit = if self.has(Fault::EndlessKeys) { usize::MAX } else { limit };
        self.inner.keys(tenant, after, limit).await
    }

    async fn delete_key(&self, tenant: TenantId, id: ApiKeyId) -> Result<bool, StoreError> {
        let owner = self.keys.lock().unwrap().values().find(|key| key.id == id).map(|key| key.tenant);
        let tenant = if self.has(Fault::DeletesAnyKey) { owner.unwrap_or(tenant) } else { tenant };
        self.inner.delete_key(tenant, id).await
    }

    async fn note_key_use(&self, id: ApiKeyId, at: Timestamp) -> Result<(), StoreError> {
        self.used.lock().unwrap().insert(id, at);
        self.inner.note_key_use(id, at).await
    }

    async fn put_session(&self, hash: TokenHash, session: Session) -> Result<(), StoreError> {
        self.inner.put_session(hash, session).await
    }

    async fn session(&self, hash: &TokenHash, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let now = if self.has(Fault::EndlessSessions) { Timestamp::MIN } else { now };
        self.inner.session(hash, now).await
    }

    async fn delete_session(&self, hash: &TokenHash) -> Result<bool, StoreError> {
        self.inner.delete_session(hash).await
    }

    async fn delete_sessions_of(&self, user: UserId) -> Result<u64, StoreError> {
        if self.has(Fault::OneSession) { Ok(1) } else { self.inner.delete_sessions_of(user).await }
    }

    async fn create_token(
        &self,
        hash: TokenHash,
        purpose: TokenPurpose,
        user: UserId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner.create_token(hash, purpose, user, expires_at).await
    }

    async fn take_token(
        &self,
        hash: &TokenHash,
        purpose: TokenPurpose,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        let found = self.inner.take_token(hash, purpose, now).await?;
        match self.fault {
            Fault::AnyPurpose if found.is_none() => self.inner.take_token(hash, TokenPurpose::ResetPassword, now).await,
            // Looks first and removes then.
            Fault::TakesLate => {
                if let Some(user) = found {
                    self.inner.create_token(*hash, purpose, user, Timestamp::MAX).await?;
                    tokio::task::yield_now().await;
                    tokio::task::yield_now().await;
                    self.inner.take_token(hash, purpose, now).await?;
                }
                Ok(found)
            }
            _ => Ok(found),
        }
    }

    async fn delete_tokens_of(&self, user: UserId, purpose: TokenPurpose) -> Result<u64, StoreError> {
        if self.has(Fault::KeepsTokens) { Ok(2) } else { self.inner.delete_tokens_of(user, purpose).await }
    }

    async fn begin_sign_in(&self, hash: TokenHash, data: Vec<u8>, expires_at: Timestamp) -> Result<(), StoreError> {
        self.inner.begin_sign_in(hash, data, expires_at).await
    }

    async fn take_sign_in(&self, hash: &TokenHash, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.inner.take_sign_in(hash, now).await?;
        let Some(data) = found.clone() else { return Ok(None) };
        match self.fault {
            Fault::KeepsSignIns => self.inner.begin_sign_in(*hash, data, Timestamp::MAX).await?,
            // Looks first and removes then.
            Fault::TakesSignInsLate => {
                self.inner.begin_sign_in(*hash, data, Timestamp::MAX).await?;
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                self.inner.take_sign_in(hash, now).await?;
            }
            _ => {}
        }
        Ok(found)
    }

    async fn sweep_credentials(&self, now: Timestamp) -> Result<u64, StoreError> {
        let now = if self.has(Fault::SweepsEverything) { Timestamp::MAX } else { now };
        self.inner.sweep_credentials(now).await
    }
}
