//! The secrets that a run is given.

use buildit::secret::MemorySecrets;
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
