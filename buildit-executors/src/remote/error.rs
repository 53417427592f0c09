//! What can go wrong with a repository that is elsewhere.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::source::SourceError;

/// A repository that is elsewhere could not be fetched or read. No message holds a credential.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// This is no address that a repository may have.
    #[error("the address of the repository is refused: {0}")]
    Address(&'static str),
    /// The address is that of this machine, which is not allowed.
    #[error("the host `{0}` is this machine, or something that only this machine may see")]
    Host(String),
    /// The name of the host leads nowhere.
    #[error("the host `{host}` cannot be found")]
    UnknownHost {
        /// Its name.
        host: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no `git`.
    #[error("cannot start `git`")]
    NoGit(#[source] io::Error),
    /// `git` refused, or whom it asked.
    #[error("{0}")]
    Git(String),
    /// The host shows another key than it did before, so somebody else may answer there.
    #[error("the host shows another key of its own than it did before: somebody else may answer in its place")]
    OtherHost,
    /// It took too long.
    #[error("`git` was ended after {} s", .0.as_secs())]
    Slow(Duration),
    /// It is larger than it may be.
    #[error("the repository is larger than {0} bytes")]
    Large(u64),
    /// There is no such branch, tag or commit.
    #[error("the repository has no {0}")]
    NoRevision(String),
    /// The copy cannot be kept.
    #[error("the copy of the repository in {} cannot be used", folder.display())]
    Folder {
        /// Where.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What was checked out cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}
