//! The secrets that a run is given.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use buildit::secret::{MemorySecrets, SecretError, SecretSource};
use buildit::store::SecretStore;
use buildit_storage::secrets::{Keyring, SealedSecrets};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::args::Pair;
use crate::exit::Failure;

/// The values of `--secret` (the environment variable of that name) and `--secret-file`.
pub(crate) fn secrets(names: &[String], files: &[Pair]) -> Result<MemorySecrets, Failure> {
    let mut secrets = MemorySecrets::new();
    for name in names {
        // `--secret A=value` would put the value on a command line, which others on the machine can read.
        if name.contains('=') {
            let message = "--secret takes the name of an environment variable, and its value from there";
            return Err(Failure::usage(message));
        }
        let value = variable(name).and_then(|value| value.ok_or_else(|| unset(name)))?;
        secrets = secrets.with(name, value);
    }
    for Pair { name, value: path } in files {
        let value = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("--secret-file {name}: cannot read {path}: {error}")))?;
        secrets = secrets.with(name, without_line_end(value));
    }
    Ok(secrets)
}

/// The value of an environment variable. What is no UTF-8 is said to be none: the library's own error would show it.
pub(crate) fn variable(name: &str) -> Result<Option<SecretString>, Failure> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(SecretString::from(value))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Failure::usage(format!("the environment variable {name} is not UTF-8")))
        }
    }
}

/// There is no such environment variable.
pub(crate) fn unset(name: &str) -> Failure {
    Failure::usage(format!("the environment variable {name} is not set"))
}

/// The environment variables of the secrets' names: for a run of before, which was given them in some way that is not
/// known any more. It is asked only for what the run names.
#[derive(Debug)]
pub(crate) struct FoundAgain;

#[async_trait]
impl SecretSource for FoundAgain {
    async fn secret(&self, name: &str) -> Result<Option<SecretString>, SecretError> {
        Ok(std::env::var(name).ok().map(SecretString::from))
    }
}

/// A value as it was typed: editors end a file with a line end, which is never part of a token.
pub(crate) fn without_line_end(value: String) -> SecretString {
    let whole = Zeroizing::new(value);
    let value = whole.strip_suffix('\n').unwrap_or(&whole);
    SecretString::from(value.strip_suffix('\r').unwrap_or(value))
}

/// The keys that open the secrets of a store, from this file or else from `BUILDIT_SECRET_KEY`; `None` without either.
pub(crate) fn keys(file: Option<&Path>) -> Result<Option<Keyring>, Failure> {
    let keyring = match (file, variable("BUILDIT_SECRET_KEY")?) {
        (Some(file), _) => Keyring::read(file).map(Some),
        (None, Some(text)) => Keyring::parse(text.expose_secret()).map(Some),
        (None, None) => Ok(None),
    };
    keyring.map_err(Failure::refused)
}

/// The secrets of this store, for which a key is given.
pub(crate) fn kept_secrets(
    store: Arc<dyn SecretStore>,
) -> Result<Option<SealedSecrets<Arc<dyn SecretStore>>>, Failure> {
    let file = std::env::var_os("BUILDIT_SECRET_KEY_FILE");
    Ok(keys(file.as_deref().map(Path::new))?.map(|keys| SealedSecrets::new(store, keys)))
}
