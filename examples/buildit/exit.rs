//! How the process ends: the codes that scripts may rely on, and the errors that lead to them.

use std::process::ExitCode;

use buildit::event::RunStatus;

/// The exit codes of `buildit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The run succeeded, or what was asked about is fine.
    Succeeded = 0,
    /// The run failed, or a file is not formatted.
    Failed = 1,
    /// Bad usage, an invalid pipeline, or a run that cannot be taken; told before anything starts.
    Refused = 2,
    /// The backend could not be reached, or broke.
    Backend = 3,
    /// The run was cancelled.
    Cancelled = 130,
}

impl Exit {
    /// The code of a run that ended like this. `infrastructure` tells that no stage failed by itself.
    pub(crate) fn of_run(status: RunStatus, infrastructure: bool) -> Self {
        match status {
            RunStatus::Succeeded => Self::Succeeded,
            RunStatus::Cancelled => Self::Cancelled,
            _ if infrastructure => Self::Backend,
            _ => Self::Failed,
        }
    }

    /// The worse of two, for a command that had several runs or files.
    pub(crate) fn worst(self, other: Self) -> Self {
        let rank = |exit| match exit {
            Self::Succeeded => 0,
            Self::Failed => 1,
            Self::Cancelled => 2,
            Self::Backend => 3,
            Self::Refused => 4,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ended before it did what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Usage or input is at fault: exit code 2.
    Refused(anyhow::Error),
    /// The same, and everything was said already.
    Told,
    /// The backend is at fault: exit code 3.
    Backend(anyhow::Error),
}

impl Failure {
    /// The input is at fault.
    pub(crate) fn refused(error: impl Into<anyhow::Error>) -> Self {
        Self::Refused(error.into())
    }

    /// The input is at fault, in these words.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Refused(anyhow::Error::msg(text.into()))
    }

    /// The backend is at fault.
    pub(crate) fn backend(error: impl Into<anyhow::Error>) -> Self {
        Self::Backend(error.into())
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Refused(_) | Self::Told => Exit::Refused,
            Self::Backend(_) => Exit::Backend,
        }
    }
}

/// What a command gives.
pub(crate) type Outcome = Result<Exit, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_the_contract() {
        assert_eq!(Exit::of_run(RunStatus::Succeeded, false) as u8, 0);
        assert_eq!(Exit::of_run(RunStatus::Failed, false) as u8, 1);
        assert_eq!(Failure::Told.exit() as u8, 2);
        assert_eq!(Exit::of_run(RunStatus::Failed, true) as u8, 3);
        assert_eq!(Exit::of_run(RunStatus::Cancelled, false) as u8, 130);
    }

    #[test]
    fn a_refusal_outranks_a_failure() {
        assert_eq!(Exit::Failed.worst(Exit::Refused), Exit::Refused);
        assert_eq!(Exit::Cancelled.worst(Exit::Failed), Exit::Cancelled);
    }
}
