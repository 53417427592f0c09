//! Sealed secrets.

use std::fmt::{self, Debug};
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;

/// Keeps secrets that are sealed already: a store never sees a value.
#[async_trait]
pub trait SecretStore: Debug + Send + Sync + 'static {
    /// Puts a secret in the place of the one that has the version before it: there must be none for version 1.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when another version is there: then nothing is changed.
    async fn put_secret(&self, place: &SecretPlace, sealed: SealedSecret, now: Timestamp) -> Result<(), StoreError>;

    /// What is in this place.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn secret(&self, place: &SecretPlace) -> Result<Option<SealedSecret>, StoreError>;

    /// What there is, in order: those after this place, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn secrets(&self, after: Option<&SecretPlace>, limit: usize) -> Result<Vec<SecretSummary>, StoreError>;

    /// Forgets a secret; whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn delete_secret(&self, place: &SecretPlace) -> Result<bool, StoreError>;
}

#[async_trait]
impl<T: SecretStore + ?Sized> SecretStore for Arc<T> {
    async fn put_secret(&self, place: &SecretPlace, sealed: SealedSecret, now: Timestamp) -> Result<(), StoreError> {
        (**self).put_secret(place, sealed, now).await
    }

    async fn secret(&self, place: &SecretPlace) -> Result<Option<SealedSecret>, StoreError> {
        (**self).secret(place).await
    }

    async fn secrets(&self, after: Option<&SecretPlace>, limit: usize) -> Result<Vec<SecretSummary>, StoreError> {
        (**self).secrets(after, limit).await
    }

    async fn delete_secret(&self, place: &SecretPlace) -> Result<bool, StoreError> {
        (**self).delete_secret(place).await
    }
}

/// For whom a secret is. The narrower one hides the wider one of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretScope {
    /// One channel by which people are told: no run gets it.
    Channel,
    /// One environment that is deployed to.
    Environment,
    /// All of an organization.
    Organization,
    /// One pipeline.
    Pipeline,
    /// One tenant, by the host of a registry: who fetches images of its runs from there. No run is given it by a name.
    Registry,
    /// One repository: what lets the server into it. No run is given it.
    Repository,
    /// One tenant.
    Tenant,
}

impl SecretScope {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Environment => "environment",
            Self::Organization => "organization",
            Self::Pipeline => "pipeline",
            Self::Registry => "registry",
            Self::Repository => "repository",
            Self::Tenant => "tenant",
        }
    }
}

impl FromStr for SecretScope {
    type Err = StoreError;

    fn from_str(word: &str) -> Result<Self, StoreError> {
        let all = [
            Self::Channel,
            Self::Environment,
            Self::Organization,
            Self::Pipeline,
            Self::Registry,
            Self::Repository,
            Self::Tenant,
        ];
        let found = all.into_iter().find(|scope| scope.as_str() == word);
        found.ok_or_else(|| StoreError::Corrupt(format!("`{word}` is no scope of a secret")))
    }
}

/// Where a secret is: whose, and its name. In order of the scope's word, the owner and the name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretPlace {
    /// For whom.
    pub scope: SecretScope,
    /// Which organization, tenant, pipeline, repository, environment or channel; empty for the only one.
    pub owner: String,
    /// Its name, which is an environment variable's, or the host of a registry.
    pub name: String,
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, owner, name } = self;
        match owner.as_str() {
            "" => write!(f, "{name} of the {}", scope.as_str()),
            owner => write!(f, "{name} of the {} {owner}", scope.as_str()),
        }
    }
}

/// A secret that only a key opens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// Counts from 1 how often it was sealed: set, or sealed anew under another key.
    pub version: u64,
    /// The key that opens it.
    pub key_id: String,
    /// What makes this sealing different from any other.
    pub nonce: Vec<u8>,
    /// The value, sealed.
    pub sealed: Vec<u8>,
}

impl Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedSecret").field("version", &self.version).field("key_id", &self.key_id).finish()
    }
}

/// A line of a list of secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSummary {
    /// Where it is.
    pub place: SecretPlace,
    /// Its version.
    pub version: u64,
    /// The key that opens it.
    pub key_id: String,
    /// When there first was one here.
    pub created_at: Timestamp,
    /// When it was sealed.
    pub updated_at: Timestamp,
}
