//! Sessions of browsers, as rows of the credential store.

use std::fmt::{self, Debug, Display};
use std::sync::Arc;

use async_trait::async_trait;
use buildit::account::{Session, TokenHash};
use buildit::id::UserId;
use buildit::store::CredentialStore;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

/// Under which key a session has its user.
pub(crate) const USER: &str = "user";

/// Keeps the sessions of those who are logged in; one without a user is kept nowhere.
#[derive(Clone)]
pub(crate) struct Sessions {
    store: Arc<dyn CredentialStore>,
    now: fn() -> Timestamp,
}

impl Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    pub(crate) fn new(store: Arc<dyn CredentialStore>) -> Self {
        Self { store, now: Timestamp::now }
    }
}

/// By which a session is found: who reads the database cannot be anybody.
fn hash(id: &Id) -> TokenHash {
    TokenHash(Sha256::digest(id.0.to_be_bytes()).into())
}

fn failed(error: impl Display) -> Error {
    Error::Backend(error.to_string())
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        // 128 random bits: there is none of this id yet.
        record.id = Id::default();
        self.save(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let Some(user) = record.data.get(USER) else { return Ok(()) };
        let user: UserId = serde_json::from_value(user.clone()).map_err(|error| Error::Encode(error.to_string()))?;
        let data = serde_json::to_vec(&record.data).map_err(|error| Error::Encode(error.to_string()))?;
        let expires_at = Timestamp::from_second(record.expiry_date.unix_timestamp()).map_err(failed)?;
        let session = Session { user, data, created_at: (self.now)(), expires_at };
        self.store.put_session(hash(&record.id), session).await.map_err(failed)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let Some(found) = self.store.session(&hash(id), (self.now)()).await.map_err(failed)? else { return Ok(None) };
        let data = serde_json::from_slice(&found.data).map_err(|error| Error::Decode(error.to_string()))?;
        let expiry_date = OffsetDateTime::from_unix_timestamp(found.expires_at.as_second()).map_err(failed)?;
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.store.delete_session(&hash(id)).await.map(drop).map_err(failed)
    }
}
