//! Where the values of secrets come from.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;

use super::SecretError;
use crate::id::TenantId;
use crate::pipeline::RunContext;

/// Finds the values of secrets by name. They are asked for when a run starts or goes on, and are never stored with it.
#[async_trait]
pub trait SecretSource: Debug + Send + Sync + 'static {
    /// The value of this secret; `None` when there is none of the name.
    ///
    /// # Errors
    ///
    /// [`SecretError`] when the source cannot be asked or the value cannot be used.
    async fn secret(&self, name: &str) -> Result<Option<SecretString>, SecretError>;

    /// The value of this secret for a run: what the engine asks for. A source that keeps the same for every run has
    /// nothing more to do than [`secret`](Self::secret); one that has several tenants must not give one's to another
    /// (guarantee G5).
    ///
    /// # Errors
    ///
    /// [`SecretError`] when the source cannot be asked or the value cannot be used.
    async fn secret_for(&self, _run: SecretReader<'_>, name: &str) -> Result<Option<SecretString>, SecretError> {
        self.secret(name).await
    }

    /// Who fetches a run's images from private registries, where the images name nobody: at most one for each registry.
    /// The passwords are masked in its logs as secrets are. Without a method of its own, a source knows nobody.
    ///
    /// # Errors
    ///
    /// [`SecretError`] when the source cannot be asked or a password cannot be used.
    async fn registries_for(&self, _run: SecretReader<'_>) -> Result<Vec<RegistryLogin>, SecretError> {
        Ok(Vec::new())
    }
}

/// Who fetches images from a registry. `Debug` does not show the password.
#[derive(Clone, Debug)]
pub struct RegistryLogin {
    /// Its host, with the port if there is one, as [`registry_of`](crate::pipeline::registry_of) gives it.
    pub registry: String,
    /// The user's name.
    pub username: String,
    /// The password or token.
    pub password: SecretString,
}

/// The run that a secret is for.
#[derive(Clone, Copy, Debug)]
pub struct SecretReader<'a> {
    /// Whose it is.
    pub tenant: TenantId,
    /// The name of its pipeline.
    pub pipeline: &'a str,
    /// What it was started with.
    pub context: &'a RunContext,
    /// The environment of the stages that it is for. Its own secrets are for no other stage, and for no run of a pull
    /// request from a fork that nobody has looked at: see [`trusted_environment`](Self::trusted_environment).
    pub environment: Option<&'a str>,
}

impl<'a> SecretReader<'a> {
    /// The environment whose secrets may be read: none for a run that may have [none](Self::is_trusted).
    #[must_use]
    pub fn trusted_environment(&self) -> Option<&'a str> {
        self.environment.filter(|_| self.is_trusted())
    }

    /// Whether it may have secrets: if it is [trusted](RunContext::is_trusted).
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.context.is_trusted()
    }

    /// Under what the secrets of its pipeline alone are kept: the id that the embedding program has for the pipeline, which
    /// a new name leaves as it is, or else the name within the tenant.
    #[must_use]
    pub fn owner(&self) -> String {
        match self.context.pipeline_id.as_str() {
            "" => self.tenant.scope(self.pipeline),
            id => id.to_owned(),
        }
    }
}

/// Secrets that the embedding program holds itself. `Debug` shows their names only.
#[derive(Clone, Default)]
pub struct MemorySecrets(BTreeMap<String, SecretString>);

impl MemorySecrets {
    /// None at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These and one more; the later of two of one name wins.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }
}

impl<N: Into<String>, V: Into<SecretString>> FromIterator<(N, V)> for MemorySecrets {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(secrets: I) -> Self {
        Self(secrets.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl Debug for MemorySecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[async_trait]
impl SecretSource for MemorySecrets {
    async fn secret(&self, name: &str) -> Result<Option<SecretString>, SecretError> {
        Ok(self.0.get(name).cloned())
    }
}

/// Asks one source after another; the first that knows the name answers. One that fails is not passed over: the
/// next might hold an older value of the same name.
#[derive(Clone, Debug, Default)]
pub struct ChainedSecrets(Vec<Arc<dyn SecretSource>>);

impl ChainedSecrets {
    /// No source at all, which knows no secret.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These sources, then this one.
    #[must_use]
    pub fn then(mut self, source: impl SecretSource) -> Self {
        self.0.push(Arc::new(source));
        self
    }
}

#[async_trait]
impl SecretSource for ChainedSecrets {
    async fn secret(&self, name: &str) -> Result<Option<SecretString>, SecretError> {
        for source in &self.0 {
            if let Some(value) = source.secret(name).await? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    async fn secret_for(&self, run: SecretReader<'_>, name: &str) -> Result<Option<SecretString>, SecretError> {
        for source in &self.0 {
            if let Some(value) = source.secret_for(run, name).await? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    async fn registries_for(&self, run: SecretReader<'_>) -> Result<Vec<RegistryLogin>, SecretError> {
        let mut found: Vec<RegistryLogin> = Vec::new();
        for source in &self.0 {
            for login in source.registries_for(run).await? {
                if !found.iter().any(|known| known.registry == login.registry) {
                    found.push(login);
                }
            }
        }
        Ok(found)
    }
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<T: SecretSource + ?Sized> SecretSource for $pointer<T> {
            async fn secret(&self, name: &str) -> Result<Option<SecretString>, SecretError> {
                (**self).secret(name).await
            }

            async fn secret_for(&self, run: SecretReader<'_>, name: &str) -> Result<Option<SecretString>, SecretError> {
                (**self).secret_for(run, name).await
            }

            async fn registries_for(&self, run: SecretReader<'_>) -> Result<Vec<RegistryLogin>, SecretError> {
                (**self).registries_for(run).await
            }
        }
    };
}
forward!(Arc);
forward!(Box);
