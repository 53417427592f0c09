//! What is wrong with keys and secrets.

use std::path::PathBuf;

use buildit::store::{SecretPlace, StoreError};

/// A key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is none.
    #[error("there is no key: it is 32 random bytes in base64, as `openssl rand -base64 32` makes them")]
    None,
    /// It is something else.
    #[error("key {number} is not 32 bytes in base64, as `openssl rand -base64 32` makes them")]
    Malformed {
        /// Which one, from 1.
        number: usize,
    },
    /// Others can read its file.
    #[error("others can read the key file {}: `chmod 600` it", .0.display())]
    Exposed(PathBuf),
    /// Its file cannot be read.
    #[error("cannot read the key file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A secret cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// It is not named like an environment variable.
    #[error("`{0}` is no name of a secret: letters, digits and `_`, not beginning with a digit, at most 128")]
    Name(String),
    /// It is not named like the host of a registry.
    #[error("`{0}` is no host of a registry, like `registry.example` or `localhost:5000`")]
    Registry(String),
    /// Whose it is cannot be told.
    #[error("the {0} that a secret is of has no name, or one that is too long or holds a control character")]
    Owner(&'static str),
    /// It could not be masked in logs.
    #[error("a secret has at least 4 bytes: a shorter one cannot be masked")]
    TooShort,
    /// No job could get it.
    #[error("a secret has at most 64 KiB and no NUL: no environment holds more")]
    TooLong,
    /// None of the keys here is the one that it was sealed with.
    #[error("{place} was sealed with key {key_id}, which is not among the keys that are given")]
    UnknownKey {
        /// Which secret.
        place: SecretPlace,
        /// The key's id.
        key_id: String,
    },
    /// What is stored was not sealed for this place: it was damaged, or moved from elsewhere.
    #[error("{0} was damaged, or put where it is by somebody who has no key")]
    Forged(SecretPlace),
    /// Others changed it again and again.
    #[error("{0} is being changed by others")]
    Busy(SecretPlace),
    /// The system has no randomness.
    #[error("no random numbers can be had: {0}")]
    Random(getrandom::Error),
    /// The store failed.
    #[error("the secrets cannot be reached")]
    Store(#[from] StoreError),
}
