//! Secrets: where their values come from, and the filter that keeps them out of everything else.

use std::fmt::Debug;

use async_trait::async_trait;
use secrecy::SecretString;

/// Finds the values of secrets by name. They are asked for when a run starts or goes on, and are never stored with it.
#[async_trait]
pub trait SecretSource: Debug + Send + Sync + 'static {
    /// The value of this secret; `None` when there is none of the name.
    ///
    /// # Errors
    ///
    /// [`SecretError`] when the source cannot be asked or the value cannot be used.
    async fn secret(&self, name: &str) -> Result<Option<SecretString>, SecretError>;
}

/// A secret could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The value is too short to be masked: anything of fewer than 4 bytes would mask half of a log.
    #[error("secret `{name}` is shorter than 4 bytes and cannot be masked")]
    TooShort {
        /// The secret.
        name: String,
    },
    /// The source failed.
    #[error("secret `{name}` cannot be read")]
    Source {
        /// The secret.
        name: String,
        /// What the source said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
