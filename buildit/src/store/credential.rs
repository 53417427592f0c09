//! What lets somebody in.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::account::{ApiKey, Session, TokenHash, TokenPurpose};
use crate::id::{ApiKeyId, TenantId, UserId};

/// Keeps what tokens open, each under the hash of its token. A store never sees a token.
///
/// A token of another kind, purpose or time opens nothing, and what ends at a time is void from that time on.
#[async_trait]
pub trait CredentialStore: Debug + Send + Sync + 'static {
    /// Keeps a new key.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when its tenant or user is not there, [`StoreError::Taken`] when there is a key of its
    /// id or hash, [`StoreError::Unfit`] when no store keeps its name or prefix.
    async fn create_key(&self, key: ApiKey, hash: TokenHash) -> Result<(), StoreError>;

    /// The key of this hash, whether or not it has [ended](ApiKey::expires_at), so that its user can be told.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn key(&self, hash: &TokenHash) -> Result<Option<ApiKey>, StoreError>;

    /// The keys of a tenant in order of their ids: those after this one, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn keys(&self, tenant: TenantId, after: Option<ApiKeyId>, limit: usize) -> Result<Vec<ApiKey>, StoreError>;

    /// Forgets a key of this tenant; whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn delete_key(&self, tenant: TenantId, id: ApiKeyId) -> Result<bool, StoreError>;

    /// Notes that a key was used; the latest time counts. A key that is gone is left so. The note may be lost with the
    /// machine.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn note_key_use(&self, id: ApiKeyId, at: Timestamp) -> Result<(), StoreError>;

    /// Keeps a session, in the place of the one of this hash.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when its user is not there.
    async fn put_session(&self, hash: TokenHash, session: Session) -> Result<(), StoreError>;

    /// The session of this hash, unless it has ended.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn session(&self, hash: &TokenHash, now: Timestamp) -> Result<Option<Session>, StoreError>;

    /// Forgets a session; whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn delete_session(&self, hash: &TokenHash) -> Result<bool, StoreError>;

    /// Forgets all sessions of a user; how many there were.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn delete_sessions_of(&self, user: UserId) -> Result<u64, StoreError>;

    /// Keeps what a token that is sent to a user is good for.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when the user is not there, [`StoreError::Taken`] when there is a token of this hash.
    async fn create_token(
        &self,
        hash: TokenHash,
        purpose: TokenPurpose,
        user: UserId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Uses up a token of this purpose, unless it has ended: whose it is. Of two who take it at once, one gets it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn take_token(
        &self,
        hash: &TokenHash,
        purpose: TokenPurpose,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError>;

    /// Forgets all tokens of this purpose that a user has; how many there were.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn delete_tokens_of(&self, user: UserId, purpose: TokenPurpose) -> Result<u64, StoreError>;

    /// Keeps what somebody who is about to sign in comes back to, in the server's own form, under the hash of what their
    /// browser has.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] when there is something under this hash.
    async fn begin_sign_in(&self, hash: TokenHash, data: Vec<u8>, expires_at: Timestamp) -> Result<(), StoreError>;

    /// Takes what was kept under this hash, unless it has ended. Of two who take it at once, one gets it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn take_sign_in(&self, hash: &TokenHash, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError>;

    /// Forgets sessions, tokens, invitations and sign-ins that have ended, so many at once that it holds nobody up: how many
    /// there were, 0 when no more are left. Keys that have ended stay, for people to see.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn sweep_credentials(&self, now: Timestamp) -> Result<u64, StoreError>;
}

#[async_trait]
impl<T: CredentialStore + ?Sized> CredentialStore for Arc<T> {
    async fn create_key(&self, key: ApiKey, hash: TokenHash) -> Result<(), StoreError> {
        (**self).create_key(key, hash).await
    }

    async fn key(&self, hash: &TokenHash) -> Result<Option<ApiKey>, StoreError> {
        (**self).key(hash).await
    }

    async fn keys(&self, tenant: TenantId, after: Option<ApiKeyId>, limit: usize) -> Result<Vec<ApiKey>, StoreError> {
        (**self).keys(tenant, after, limit).await
    }

    async fn delete_key(&self, tenant: TenantId, id: ApiKeyId) -> Result<bool, StoreError> {
        (**self).delete_key(tenant, id).await
    }

    async fn note_key_use(&self, id: ApiKeyId, at: Timestamp) -> Result<(), StoreError> {
        (**self).note_key_use(id, at).await
    }

    async fn put_session(&self, hash: TokenHash, session: Session) -> Result<(), StoreError> {
        (**self).put_session(hash, session).await
    }

    async fn session(&self, hash: &TokenHash, now: Timestamp) -> Result<Option<Session>, StoreError> {
        (**self).session(hash, now).await
    }

    async fn delete_session(&self, hash: &TokenHash) -> Result<bool, StoreError> {
        (**self).delete_session(hash).await
    }

    async fn delete_sessions_of(&self, user: UserId) -> Result<u64, StoreError> {
        (**self).delete_sessions_of(user).await
    }

    async fn create_token(
        &self,
        hash: TokenHash,
        purpose: TokenPurpose,
        user: UserId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        (**self).create_token(hash, purpose, user, expires_at).await
    }

    async fn take_token(
        &self,
        hash: &TokenHash,
        purpose: TokenPurpose,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        (**self).take_token(hash, purpose, now).await
    }

    async fn delete_tokens_of(&self, user: UserId, purpose: TokenPurpose) -> Result<u64, StoreError> {
        (**self).delete_tokens_of(user, purpose).await
    }

    async fn begin_sign_in(&self, hash: TokenHash, data: Vec<u8>, expires_at: Timestamp) -> Result<(), StoreError> {
        (**self).begin_sign_in(hash, data, expires_at).await
    }

    async fn take_sign_in(&self, hash: &TokenHash, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).take_sign_in(hash, now).await
    }

    async fn sweep_credentials(&self, now: Timestamp) -> Result<u64, StoreError> {
        (**self).sweep_credentials(now).await
    }
}
