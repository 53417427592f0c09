//! Who fetches images from private registries, by tenant: sealed as secrets are, one for each registry.

use std::borrow::Cow;

use buildit::secret::{RegistryLogin, SecretReader};
use buildit::store::{SecretPlace, SecretScope, SecretStore};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{SealError, SealedSecrets};

/// What is sealed, as JSON.
#[derive(Serialize, Deserialize)]
struct Form<'a> {
    username: Cow<'a, str>,
    password: Cow<'a, str>,
}

impl<S: SecretStore> SealedSecrets<S> {
    /// How many registries of a tenant are used; those beyond, in order of their hosts, are kept and not used.
    pub const MOST_REGISTRIES: usize = 100;

    /// Sets who fetches images for runs of this tenant from a registry, whoever it was before.
    ///
    /// # Errors
    ///
    /// [`SealError`] when it is refused or cannot be kept: then it is what it was before. A password of fewer than 4 bytes
    /// is refused, as it could not be masked.
    pub async fn set_registry(&self, tenant: &str, login: &RegistryLogin, now: Timestamp) -> Result<u64, SealError> {
        let password = login.password.expose_secret();
        if password.len() < 4 {
            return Err(SealError::TooShort);
        }
        let form = Form { username: login.username.as_str().into(), password: password.into() };
        // Text always is JSON.
        let text = serde_json::to_string(&form).map_err(|_| SealError::TooLong)?;
        self.set(&place(tenant, &login.registry), &SecretString::from(text), now).await
    }

    /// Forgets who fetches images for runs of this tenant from a registry; whether there was somebody.
    ///
    /// # Errors
    ///
    /// [`SealError`] when the store fails.
    pub async fn delete_registry(&self, tenant: &str, registry: &str) -> Result<bool, SealError> {
        Ok(self.store.delete_secret(&place(tenant, registry)).await?)
    }

    /// Who fetches images for runs of this tenant, by registry. Whoever cannot be opened is left out, and the log says so: other
    /// registries, and images that everybody may fetch, have nothing to do with it.
    ///
    /// # Errors
    ///
    /// [`SealError`] when the store cannot tell.
    pub async fn registries(&self, tenant: &str) -> Result<Vec<RegistryLogin>, SealError> {
        let before = place(tenant, "");
        let found = self.store.secrets(Some(&before), Self::MOST_REGISTRIES).await?;
        let of_tenant = found.into_iter().map(|found| found.place);
        let mut logins = Vec::new();
        for place in of_tenant.take_while(|place| place.scope == before.scope && place.owner == before.owner) {
            match self.login(place).await {
                Ok(login) => logins.extend(login),
                Err(error @ (SealError::UnknownKey { .. } | SealError::Forged(_))) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a registry is left out");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(logins)
    }

    /// Who is kept in this place; nobody, when it was deleted meanwhile.
    async fn login(&self, place: SecretPlace) -> Result<Option<RegistryLogin>, SealError> {
        let Some(text) = self.open(&place).await? else { return Ok(None) };
        let Ok(form) = serde_json::from_str::<Form<'_>>(text.expose_secret()) else {
            return Err(SealError::Forged(place));
        };
        let (username, password) = (form.username.into_owned(), form.password.into_owned().into());
        Ok(Some(RegistryLogin { registry: place.name, username, password }))
    }

    /// The same for a run: nobody for one that may have no secrets.
    pub(super) async fn registries_of(&self, run: SecretReader<'_>) -> Result<Vec<RegistryLogin>, SealError> {
        let tenant = (!run.tenant.is_none()).then(|| run.tenant.to_string());
        match tenant.or_else(|| self.tenant.clone()) {
            Some(tenant) if run.is_trusted() => self.registries(&tenant).await,
            _ => Ok(Vec::new()),
        }
    }
}

fn place(tenant: &str, registry: &str) -> SecretPlace {
    SecretPlace { scope: SecretScope::Registry, owner: tenant.to_owned(), name: registry.to_owned() }
}
