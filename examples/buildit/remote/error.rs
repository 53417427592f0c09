//! Why a server did not do what it was asked to.

use buildit::store::StoreError;
use serde::Deserialize;

use crate::exit::Failure;

/// What servers are called among stores.
const NAME: &str = "server";

/// Why a server did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    /// It could not be reached, or broke off.
    #[error("the server {server} cannot be reached")]
    Unreachable {
        server: String,
        #[source]
        source: reqwest::Error,
    },
    /// It refused, or failed.
    #[error("{0}")]
    Told(Problem),
    /// It is no such server.
    #[error("{server} does not answer as a BuildIt server does")]
    Foreign {
        server: String,
        #[source]
        source: serde_json::Error,
    },
}

/// What a server says of a request that was not done (RFC 9457).
#[derive(Debug, Deserialize)]
pub(crate) struct Problem {
    title: String,
    pub(crate) status: u16,
    detail: Option<String>,
    #[serde(default)]
    diagnostics: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    message: String,
}

impl Problem {
    /// For an answer that says nothing of itself, as proxies give.
    pub(super) fn of(status: reqwest::StatusCode) -> Self {
        Self {
            title: format!("the server answered {status}"),
            status: status.as_u16(),
            detail: None,
            diagnostics: Vec::new(),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.title)?;
        for more in self.detail.iter().chain(self.diagnostics.iter().map(|found| &found.message)) {
            write!(f, ": {more}")?;
        }
        match self.status {
            401 => f.write_str("; `buildit login --server URL` takes one, or BUILDIT_TOKEN"),
            _ => Ok(()),
        }
    }
}

impl RemoteError {
    /// The status of a refusal.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Told(problem) => Some(problem.status),
            _ => None,
        }
    }

    /// Whether the same may go well a little later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Told(problem) => matches!(problem.status, 429 | 502..=504),
            Self::Foreign { .. } => false,
        }
    }

    /// As a store's error.
    pub(crate) fn into_store(self) -> StoreError {
        StoreError::backend(NAME, self)
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        match error.status() {
            Some(429) => Self::backend(error),
            Some(400..500) => Self::refused(error),
            _ => Self::backend(error),
        }
    }
}

/// What a store, which may be a server, did not do.
pub(crate) fn failed(error: StoreError) -> Failure {
    match error {
        StoreError::Backend { source, .. } if source.is::<RemoteError>() => match source.downcast::<RemoteError>() {
            Ok(remote) => (*remote).into(),
            Err(source) => Failure::Backend(anyhow::Error::from_boxed(source)),
        },
        error => Failure::backend(error),
    }
}
