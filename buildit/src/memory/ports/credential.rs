//! What lets somebody in.

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::accounts::{AccountChange, BegunSignIn, SentToken};
use super::super::store::MemoryStore;
use crate::account::{ApiKey, Session, TokenHash, TokenPurpose};
use crate::id::{ApiKeyId, TenantId, UserId};
use crate::store::{CredentialStore, StoreError, check_text};

/// How much that has ended is forgotten at once.
const SWEPT: usize = 1000;

#[async_trait]
impl CredentialStore for MemoryStore {
    async fn create_key(&self, key: ApiKey, hash: TokenHash) -> Result<(), StoreError> {
        check_text("the name of a key", &key.name)?;
        check_text("the prefix of a key", &key.prefix)?;
        let mut journaled = self.accounts_locked();
        journaled.accounts.check_new_key(&key, &hash)?;
        journaled.change(vec![AccountChange::Key(hash, key)])
    }

    async fn key(&self, hash: &TokenHash) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.accounts_locked().accounts.key(hash).cloned())
    }

    async fn keys(&self, tenant: TenantId, after: Option<ApiKeyId>, limit: usize) -> Result<Vec<ApiKey>, StoreError> {
        Ok(self.accounts_locked().accounts.keys(tenant, after, limit))
    }

    async fn delete_key(&self, tenant: TenantId, id: ApiKeyId) -> Result<bool, StoreError> {
        let mut journaled = self.accounts_locked();
        let is_there = journaled.accounts.key_of(id).is_some_and(|key| key.tenant == tenant);
        if is_there {
            journaled.change(vec![AccountChange::NoKey(id)])?;
        }
        Ok(is_there)
    }

    async fn note_key_use(&self, id: ApiKeyId, at: Timestamp) -> Result<(), StoreError> {
        let mut journaled = self.accounts_locked();
        match journaled.accounts.key_of(id) {
            Some(key) if key.last_used_at < Some(at) => journaled.note(AccountChange::KeyUsed(id, at)),
            _ => Ok(()),
        }
    }

    async fn put_session(&self, hash: TokenHash, session: Session) -> Result<(), StoreError> {
        let mut journaled = self.accounts_locked();
        journaled.accounts.check_user(session.user)?;
        journaled.change(vec![AccountChange::Session(hash, session)])
    }

    async fn session(&self, hash: &TokenHash, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let journaled = self.accounts_locked();
        Ok(journaled.accounts.session(hash).filter(|session| now < session.expires_at).cloned())
    }

    async fn delete_session(&self, hash: &TokenHash) -> Result<bool, StoreError> {
        let mut journaled = self.accounts_locked();
        let is_there = journaled.accounts.session(hash).is_some();
        if is_there {
            journaled.change(vec![AccountChange::NoSession(*hash)])?;
        }
        Ok(is_there)
    }

    async fn delete_sessions_of(&self, user: UserId) -> Result<u64, StoreError> {
        let mut journaled = self.accounts_locked();
        let changes = journaled.accounts.without_sessions(user);
        let count = changes.len() as u64;
        journaled.change(changes).map(|()| count)
    }

    async fn create_token(
        &self,
        hash: TokenHash,
        purpose: TokenPurpose,
        user: UserId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut journaled = self.accounts_locked();
        journaled.accounts.check_user(user)?;
        if journaled.accounts.token(&hash).is_some() {
            return Err(StoreError::Taken("the token".into()));
        }
        journaled.change(vec![AccountChange::Token(hash, SentToken { purpose, user, expires_at })])
    }

    async fn take_token(
        &self,
        hash: &TokenHash,
        purpose: TokenPurpose,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        let mut journaled = self.accounts_locked();
        let found = journaled.accounts.token(hash);
        let found = found.filter(|token| token.purpose == purpose && now < token.expires_at);
        let Some(user) = found.map(|token| token.user) else { return Ok(None) };
        journaled.change(vec![AccountChange::NoToken(*hash)])?;
        Ok(Some(user))
    }

    async fn delete_tokens_of(&self, user: UserId, purpose: TokenPurpose) -> Result<u64, StoreError> {
        let mut journaled = self.accounts_locked();
        let changes = journaled.accounts.without_tokens(user, purpose);
        let count = changes.len() as u64;
        journaled.change(changes).map(|()| count)
    }

    async fn begin_sign_in(&self, hash: TokenHash, data: Vec<u8>, expires_at: Timestamp) -> Result<(), StoreError> {
        let mut journaled = self.accounts_locked();
        if journaled.accounts.sign_in(&hash).is_some() {
            return Err(StoreError::Taken("the sign-in".into()));
        }
        journaled.change(vec![AccountChange::SignIn(hash, BegunSignIn { data, expires_at })])
    }

    async fn take_sign_in(&self, hash: &TokenHash, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        let mut journaled = self.accounts_locked();
        let found = journaled.accounts.sign_in(hash).filter(|begun| now < begun.expires_at);
        let Some(data) = found.map(|begun| begun.data.clone()) else { return Ok(None) };
        journaled.change(vec![AccountChange::NoSignIn(*hash)]).map(|()| Some(data))
    }

    async fn sweep_credentials(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut journaled = self.accounts_locked();
        let changes = journaled.accounts.without_ended(now, SWEPT);
        let count = changes.len() as u64;
        journaled.change(changes).map(|()| count)
    }
}
