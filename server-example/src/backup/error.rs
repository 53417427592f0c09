//! [`BackupError`].

use std::io;
use std::path::PathBuf;

use buildit::artifact::BlobError;
use buildit::store::StoreError;
use buildit_executors::workspace::WorkspaceError;

use crate::open::OpenError;

/// A backup cannot be made or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The settings name a store on a server, which has tools of its own for this.
    #[error("a store on a PostgreSQL server is backed up with `pg_dump`, and the folder of blobs before and after it")]
    Elsewhere,
    /// What is to be written is there already.
    #[error("{0} is there already")]
    Exists(PathBuf),
    /// The place that is to be restored to has something in it.
    #[error("{0} is not empty: a backup is restored to a place of its own")]
    NotEmpty(PathBuf),
    /// The key was asked for, and is in no file.
    #[error("there is no key at {0}: one that BUILDIT_SECRET_KEY holds is in no file")]
    NoKey(PathBuf),
    /// Something that the database refers to is not there.
    #[error("{0} blobs that the database refers to are not there")]
    Missing(usize),
    /// The server's places cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database cannot be copied.
    #[error("the database cannot be copied")]
    Store(#[from] StoreError),
    /// Blobs can be neither read nor written.
    #[error("the blobs cannot be used")]
    Blobs(#[from] BlobError),
    /// A blob cannot be copied to the archive.
    #[error("a blob cannot be copied")]
    Copy(#[from] WorkspaceError),
    /// Something cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// What.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The archive is damaged, or is none.
    #[error("the archive is damaged: {what}")]
    Damaged {
        /// What is wrong with it.
        what: String,
        /// What reading it said, if that was it.
        #[source]
        source: Option<io::Error>,
    },
    /// A newer version made the archive.
    #[error("a newer version made this archive: its form is {0}")]
    Newer(u32),
    /// Something cannot be written.
    #[error("{path} cannot be written")]
    Unwritable {
        /// What.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl BackupError {
    /// This cannot be written: for `map_err`.
    pub(super) fn unwritable(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::Unwritable { path, source }
    }

    /// This cannot be read: for `map_err`.
    pub(super) fn unreadable_file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::Unreadable { path, source }
    }

    /// The archive says something that it cannot.
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into(), source: None }
    }

    /// Reading the archive failed.
    pub(super) fn unreadable(source: io::Error) -> Self {
        Self::Damaged { what: "it cannot be read to its end".into(), source: Some(source) }
    }
}
