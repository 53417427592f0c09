//! [`SecretError`].

/// A secret could not be had, or cannot be kept out of the logs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The value is too short to be masked: anything of fewer than 4 bytes would mask half of a log.
    #[error("secret `{name}` is shorter than 4 bytes and cannot be masked")]
    TooShort {
        /// The secret.
        name: String,
    },
    /// All the secrets together are too large for one automaton.
    #[error("the secrets are too large to be masked")]
    TooLarge {
        /// What the automaton said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
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
