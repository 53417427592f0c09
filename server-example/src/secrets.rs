//! Secrets of tenants and of pipelines: sealed in the store, opened for runs alone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use buildit::id::{PipelineId, RepositoryId, TenantId};
use buildit::secret::{RegistryLogin, SecretError, SecretReader, SecretSource};
use buildit::store::{SecretPlace, SecretScope};
use buildit_storage::secrets::{KeyError, Keyring, SealedSecrets};
use secrecy::{ExposeSecret, SecretString};

use crate::state::ServerStore;

/// The variable that the key may stand in instead of its file.
const KEY: &str = "BUILDIT_SECRET_KEY";

/// The secrets of everybody.
pub(crate) type Secrets = SealedSecrets<Arc<dyn ServerStore>>;

/// The key that seals cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretKeyError {
    /// It cannot be used.
    #[error("the key of the secrets cannot be used")]
    Key(#[from] KeyError),
    /// A new one cannot be written.
    #[error("a key for secrets cannot be written to {path}")]
    Unwritable {
        /// Where it was to be.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system has no randomness for a new one.
    #[error("the system has no randomness")]
    Randomness(#[from] getrandom::Error),
}

/// The key in this variable's text, or else in this file, which is made, for its owner alone, if it is not there.
pub(crate) fn keyring(text: Option<SecretString>, file: &Path) -> Result<Keyring, SecretKeyError> {
    if let Some(text) = text {
        return Ok(Keyring::parse(text.expose_secret())?);
    }
    if !file.exists() {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        let written = write_private(file, &STANDARD.encode(key));
        // Another server of this folder may have made it at the same time.
        written
            .or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
            .map_err(|source| SecretKeyError::Unwritable { path: file.to_owned(), source })?;
    }
    Ok(Keyring::read(file)?)
}

/// What the environment says; text that is no UTF-8 is no key.
pub(crate) fn key_of_environment() -> Option<SecretString> {
    std::env::var(KEY).ok().map(SecretString::from)
}

/// All of it or nothing, under its name at once.
fn write_private(file: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut written = tempfile::NamedTempFile::new_in(folder)?;
    written.write_all(text.as_bytes())?;
    written.as_file().sync_all()?;
    written.persist_noclobber(file).map(drop).map_err(|error| error.error)
}

/// Where the secret of a tenant is.
pub(crate) fn of_tenant(tenant: TenantId, name: &str) -> SecretPlace {
    SecretPlace { scope: SecretScope::Tenant, owner: tenant.to_string(), name: name.to_owned() }
}

/// Where the secret of a pipeline is.
pub(crate) fn of_pipeline(pipeline: PipelineId, name: &str) -> SecretPlace {
    SecretPlace { scope: SecretScope::Pipeline, owner: pipeline.to_string(), name: name.to_owned() }
}

/// Where what lets the server into a repository is. No run is given what is there.
pub(crate) fn of_repository(repository: RepositoryId, name: &str) -> SecretPlace {
    SecretPlace { scope: SecretScope::Repository, owner: repository.to_string(), name: name.to_owned() }
}

/// Whose the secrets of an environment are: its name within the tenant, as the engine asks for it.
pub(crate) fn owner_of_environment(tenant: TenantId, environment: &str) -> String {
    tenant.scope(environment)
}

/// Where the secret of an environment is.
pub(crate) fn of_environment(tenant: TenantId, environment: &str, name: &str) -> SecretPlace {
    let owner = owner_of_environment(tenant, environment);
    SecretPlace { scope: SecretScope::Environment, owner, name: name.to_owned() }
}

/// What runs are given: those of their environment, their pipeline and of their tenant, and nothing that is of everybody.
/// A run of a pull request from a fork is given none, unless somebody has looked at what it does: anybody may have written
/// that.
#[derive(Clone, Debug)]
pub(crate) struct OfRuns(pub(crate) Secrets);

impl OfRuns {
    /// The first tenant has the id of nobody; it has secrets all the same.
    fn of(&self, run: SecretReader<'_>) -> Secrets {
        self.0.clone().with_tenant(run.tenant.to_string())
    }
}

#[async_trait]
impl SecretSource for OfRuns {
    async fn secret(&self, _: &str) -> Result<Option<SecretString>, SecretError> {
        Ok(None)
    }

    async fn secret_for(&self, run: SecretReader<'_>, name: &str) -> Result<Option<SecretString>, SecretError> {
        if !run.is_trusted() {
            return Ok(None);
        }
        self.of(run).secret_for(run, name).await
    }

    async fn registries_for(&self, run: SecretReader<'_>) -> Result<Vec<RegistryLogin>, SecretError> {
        self.of(run).registries_for(run).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret.key");
        let made = keyring(None, &file).unwrap();
        assert_eq!(keyring(None, &file).unwrap().active_id(), made.active_id());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
            assert!(matches!(keyring(None, &file), Err(SecretKeyError::Key(KeyError::Exposed(_)))));
        }
        assert!(keyring(Some("not a key".into()), &file).is_err());
    }
}
