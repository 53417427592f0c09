//! What can go wrong with a source.

use std::io;
use std::path::PathBuf;

use crate::workspace::WorkspaceError;

/// A source could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The folder is not there.
    #[error("cannot read the folder `{}`", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The folder belongs to a repository, and there is no `git` that could read it.
    #[error("cannot start `git`, which reads the repository")]
    NoGit(#[source] io::Error),
    /// `git` refused.
    #[error("`git {command}` failed: {message}")]
    Git {
        /// What it was asked.
        command: String,
        /// What it said.
        message: String,
    },
    /// Files could not be read, or the archive not be written.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
}
