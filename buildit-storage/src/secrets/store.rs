//! [`SealedSecrets`].

use std::sync::Arc;

use async_trait::async_trait;
use buildit::secret::{RegistryLogin, SecretError, SecretReader, SecretSource};
use buildit::store::{SecretPlace, SecretScope, SecretStore, SecretSummary, StoreError};
use jiff::Timestamp;
use secrecy::SecretString;

use super::SealError;
use super::key::Keyring;
use super::seal::{open, seal};

/// How often a secret is tried to be set while others set it, too.
const TRIES: usize = 16;

/// How many secrets are looked at at once when keys change.
const PAGE: usize = 256;

/// Secrets in a store, sealed with keys that the store does not have. For the engine it is a [`SecretSource`]: a
/// secret of the environment hides that of the pipeline, this one that of the tenant, and this one that of the
/// organization.
#[derive(Clone, Debug)]
pub struct SealedSecrets<S> {
    pub(super) store: S,
    keys: Arc<Keyring>,
    environment: Option<String>,
    pub(super) tenant: Option<String>,
    organization: String,
}

impl<S: SecretStore> SealedSecrets<S> {
    /// The secrets of this store, of the only organization.
    pub fn new(store: S, keys: Keyring) -> Self {
        Self { store, keys: Arc::new(keys), environment: None, tenant: None, organization: String::new() }
    }

    /// Finds those of this environment, too.
    #[must_use]
    pub fn with_environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Finds those of this tenant, too.
    #[must_use]
    pub fn with_tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Finds those of this organization.
    #[must_use]
    pub fn with_organization(mut self, organization: impl Into<String>) -> Self {
        self.organization = organization.into();
        self
    }

    /// Sets a secret, whatever it was before, and says its version.
    ///
    /// # Errors
    ///
    /// [`SealError`] when it is refused or cannot be kept: then it is what it was before.
    pub async fn set(&self, place: &SecretPlace, value: &SecretString, now: Timestamp) -> Result<u64, SealError> {
        for _ in 0..TRIES {
            let version = self.store.secret(place).await?.map_or(0, |there| there.version) + 1;
            match self.store.put_secret(place, seal(&self.keys, place, version, value)?, now).await {
                Err(StoreError::Conflict { .. }) => {}
                put => return put.map(|()| version).map_err(SealError::from),
            }
        }
        Err(SealError::Busy(place.clone()))
    }

    /// The value in this place, for its use.
    ///
    /// # Errors
    ///
    /// [`SealError`] when it cannot be opened.
    pub async fn open(&self, place: &SecretPlace) -> Result<Option<SecretString>, SealError> {
        let found = self.store.secret(place).await?;
        found.map(|secret| open(&self.keys, place, &secret)).transpose()
    }

    /// Seals everything with the active key that is sealed with another one, and says how many secrets that were.
    /// Readers and writers may be at work, and it may be broken off anywhere: each secret is sealed with one key or the
    /// other, and the next call does the rest. The older keys may go when it has returned.
    ///
    /// # Errors
    ///
    /// [`SealError::UnknownKey`] when a key is missing, and others: what was not reached stays as it is.
    pub async fn rotate(&self, now: Timestamp) -> Result<u64, SealError> {
        let mut rotated = 0;
        let mut last: Option<SecretPlace> = None;
        loop {
            let page: Vec<SecretSummary> = self.store.secrets(last.as_ref(), PAGE).await?;
            let Some(end) = page.last() else { return Ok(rotated) };
            last = Some(end.place.clone());
            for old in page.iter().filter(|found| found.key_id != self.keys.active.id) {
                rotated += u64::from(self.reseal(&old.place, now).await?);
            }
        }
    }

    /// Whether the secret was sealed anew: it may have been set or deleted meanwhile.
    async fn reseal(&self, place: &SecretPlace, now: Timestamp) -> Result<bool, SealError> {
        for _ in 0..TRIES {
            let Some(there) = self.store.secret(place).await? else { return Ok(false) };
            if there.key_id == self.keys.active.id {
                return Ok(false);
            }
            let value = open(&self.keys, place, &there)?;
            match self.store.put_secret(place, seal(&self.keys, place, there.version + 1, &value)?, now).await {
                Err(StoreError::Conflict { .. }) => {}
                put => return put.map(|()| true).map_err(SealError::from),
            }
        }
        Err(SealError::Busy(place.clone()))
    }

    async fn first(
        &self,
        places: &[(SecretScope, Option<&str>)],
        name: &str,
    ) -> Result<Option<SecretString>, SecretError> {
        for (scope, owner) in places {
            let Some(owner) = owner else { continue };
            let place = SecretPlace { scope: *scope, owner: (*owner).to_owned(), name: name.to_owned() };
            let found = self.open(&place).await;
            let found = found.map_err(|source| SecretError::Source { name: name.to_owned(), source: source.into() })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl<S: SecretStore> SecretSource for SealedSecrets<S> {
    async fn secret(&self, name: &str) -> Result<Option<SecretString>, SecretError> {
        let places = [
            (SecretScope::Environment, self.environment.as_deref()),
            (SecretScope::Tenant, self.tenant.as_deref()),
            (SecretScope::Organization, Some(self.organization.as_str())),
        ];
        self.first(&places, name).await
    }

    async fn secret_for(&self, run: SecretReader<'_>, name: &str) -> Result<Option<SecretString>, SecretError> {
        let owner = run.owner();
        let tenant = (!run.tenant.is_none()).then(|| run.tenant.to_string());
        let environment = run.trusted_environment().map(|name| run.tenant.scope(name));
        let places = [
            (SecretScope::Environment, environment.as_deref().or(self.environment.as_deref())),
            (SecretScope::Pipeline, Some(owner.as_str())),
            (SecretScope::Tenant, tenant.as_deref().or(self.tenant.as_deref())),
            (SecretScope::Organization, Some(self.organization.as_str())),
        ];
        self.first(&places, name).await
    }

    async fn registries_for(&self, run: SecretReader<'_>) -> Result<Vec<RegistryLogin>, SecretError> {
        let found = self.registries_of(run).await;
        found.map_err(|source| SecretError::Source { name: "registries".to_owned(), source: source.into() })
    }
}
