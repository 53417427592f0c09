//! What a container engine's errors mean for us.

use bollard::errors::Error;
use buildit::executor::{ExecutorError, RetryClass};

/// What went wrong, by meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// What was asked for is not there.
    Gone,
    /// Its name is taken, or it is in another state than the request needs.
    Conflict,
    /// The engine understood and refused: the same request will be refused again.
    Refused,
    /// The engine failed, cannot be reached, or did not answer: the same request may work the next time.
    Broken,
}

/// What an error means.
pub(super) fn trouble(error: &Error) -> Trouble {
    match error {
        Error::DockerResponseServerError { status_code: 404, .. } => Trouble::Gone,
        Error::DockerResponseServerError { status_code: 409, .. } => Trouble::Conflict,
        // So Podman says that a name is taken.
        Error::DockerResponseServerError { message, .. } if message.contains("is already in use") => Trouble::Conflict,
        Error::DockerResponseServerError { status_code: 400..=499, .. } => Trouble::Refused,
        _ => Trouble::Broken,
    }
}

/// Whether the engine itself has answered, rather than nobody.
pub(super) fn is_answer(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { .. })
}

/// Whether a container cannot be started because of what it is to run.
pub(super) fn is_unstartable(error: &Error) -> bool {
    let Error::DockerResponseServerError { message, .. } = error else { return false };
    ["OCI runtime", "executable file not found", "no such file or directory"].iter().any(|hint| message.contains(hint))
}

/// What the engine itself said, without the client's own words around it.
pub(super) fn said(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Error::DockerStreamError { error } => error.trim().to_owned(),
        other => chain(other),
    }
}

/// An error with its sources, on one line: a client's "error in the client" alone helps nobody.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = source.source();
    }
    text
}

/// Makes executor errors that carry the executor's name.
#[derive(Clone, Debug)]
pub(super) struct Failing {
    pub(super) name: String,
    pub(super) address: String,
}

impl Failing {
    /// The engine failed while it did this; the job may be there, and asking again adopts it.
    pub(super) fn at(&self, doing: &str, error: Error) -> ExecutorError {
        let retry = match trouble(&error) {
            Trouble::Refused => RetryClass::Never,
            Trouble::Gone | Trouble::Conflict | Trouble::Broken => RetryClass::Adopt,
        };
        let message = match &error {
            Error::DockerResponseServerError { .. } | Error::DockerStreamError { .. } => {
                format!("cannot {doing}: {}", said(&error))
            }
            _ => format!(
                "cannot {doing}: no good answer from the container engine at {}: {}",
                self.address,
                said(&error)
            ),
        };
        ExecutorError::backend(&self.name, message, retry, error)
    }

    /// Something of this machine failed while it did this.
    pub(super) fn here(
        &self,
        doing: &str,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> ExecutorError {
        let error = error.into();
        let message = format!("cannot {doing}: {}", chain(&*error));
        ExecutorError::backend(&self.name, message, RetryClass::Adopt, error)
    }
}
