//! Who fetches images from private registries, by tenant: sealed as secrets are, one for each registry.

use std::borrow::Cow;

use buildit::secret::{RegistryLogin, SecretReader};
use buildit::store::{SecretPlace, SecretScope, SecretStore};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{SealError, SealedSecrets};

/// How many registries of a tenant are looked at.
const MOST: usize = 100;

/// What is sealed, as JSON.
#[derive(Serialize, Deserialize)]
struct Form<'a> {
    username: Cow<'a, str>,
    password: Cow<'a, str>,
}

impl<S: SecretStore> SealedSecrets<S> {
    /// Sets who fetches images for runs of this tenant from a registry, whoever it was before. Those beyond the first 100,
    /// by the registry's name, are kept and not used.
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

    /// Who fetches images for runs of this tenant, by registry.
    ///
    /// # Errors
    ///
    /// [`SealError`] when one of them cannot be opened.
    pub async fn registries(&self, tenant: &str) -> Result<Vec<RegistryLogin>, SealError> {
        let before = place(tenant, "");
        let found = self.store.secrets(Some(&before), MOST).await?;
        let of_tenant = found.into_iter().map(|found| found.place);
        let mut logins = Vec::new();
        for place in of_tenant.take_while(|place| place.scope == before.scope && place.owner == before.owner) {
            // It may have been deleted meanwhile.
            let Some(text) = self.open(&place).await? else { continue };
            let form: Form<'_> =
                serde_json::from_str(text.expose_secret()).map_err(|_| SealError::Forged(place.clone()))?;
            let (username, password) = (form.username.into_owned(), form.password.into_owned().into());
            logins.push(RegistryLogin { registry: place.name, username, password });
        }
        Ok(logins)
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
