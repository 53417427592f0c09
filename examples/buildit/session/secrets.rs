//! The secrets that a run is given.

use async_trait::async_trait;
use buildit::secret::{MemorySecrets, SecretError, SecretSource};
use secrecy::SecretString;

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
        let value = std::env::var(name)
            .map_err(|error| Failure::usage(format!("--secret {name}: the environment variable {name}: {error}")))?;
        secrets = secrets.with(name, SecretString::from(value));
    }
    for Pair { name, value: path } in files {
        let value = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("--secret-file {name}: cannot read {path}: {error}")))?;
        // Editors end a file with a line end, which is never part of a token.
        let value = value.strip_suffix('\n').unwrap_or(&value);
        let value = value.strip_suffix('\r').unwrap_or(value);
        secrets = secrets.with(name, SecretString::from(value));
    }
    Ok(secrets)
}

/// The secrets of a run of before: what is given now, or else the environment variable of a secret's name. It is asked
/// only for what the run names.
#[derive(Debug)]
pub(crate) struct FoundAgain(pub(crate) MemorySecrets);

#[async_trait]
impl SecretSource for FoundAgain {
    async fn secret(&self, name: &str) -> Result<Option<SecretString>, SecretError> {
        let given = self.0.secret(name).await?;
        Ok(given.or_else(|| std::env::var(name).ok().map(SecretString::from)))
    }
}
