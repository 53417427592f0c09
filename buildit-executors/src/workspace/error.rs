//! What can go wrong with a workspace.

use std::io;
use std::path::PathBuf;

use buildit::artifact::BlobError;

/// A workspace could not be laid out or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkspaceError {
    /// An archive holds what no archive of ours may hold.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A glob cannot be read.
    #[error("bad glob `{glob}`")]
    Glob {
        /// The glob.
        glob: String,
        /// What is wrong with it.
        #[source]
        source: globset::Error,
    },
    /// A glob of the stage's `inputs` cannot be read.
    #[error(transparent)]
    Inputs(#[from] buildit::condition::GlobError),
    /// Two stages bring the same path.
    #[error("`{path}` comes from both `{first}` and `{second}`")]
    Conflict {
        /// The path.
        path: String,
        /// One artifact, as `stage: name`.
        first: String,
        /// The other.
        second: String,
    },
    /// Reading or writing a file failed.
    #[error("cannot {action} `{}`", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The blob store failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Reading or writing a stream failed.
    #[error("cannot read or write an archive")]
    Io(#[from] io::Error),
}

impl WorkspaceError {
    /// That an action on a path failed: for `map_err`.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// Whether what people wrote (an archive, a glob, two artifacts of one path) is to blame, rather than this
    /// machine.
    #[must_use]
    pub fn is_of_the_job(&self) -> bool {
        matches!(self, Self::Archive(_) | Self::Glob { .. } | Self::Inputs(_) | Self::Conflict { .. })
    }
}

/// Why an archive is refused. Nothing of a refused archive may be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// A path that is absolute, empty or has `..` in it.
    #[error("the archive holds the path `{}`, which leads out of the tree", .0.display())]
    Path(PathBuf),
    /// A link whose target lies outside of the tree.
    #[error("the archive holds the link `{}` to `{}`, which leads out of the tree", .path.display(), .target.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// A path that goes through something that is no folder, as a link is.
    #[error("`{}` of the archive lies behind something that is no folder", .0.display())]
    Through(PathBuf),
    /// A device, a fifo, a sparse file, or something unknown.
    #[error("the archive holds `{}`, which is {kind}", .path.display())]
    Kind {
        /// The entry.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// More entries than allowed.
    #[error("the archive holds more than {0} entries")]
    TooMany(u64),
    /// More bytes than allowed.
    #[error("the archive holds more than {0} bytes")]
    TooLarge(u64),
    /// Names or headers longer than allowed.
    #[error("the archive holds a header of more than {0} bytes")]
    HeaderTooLarge(u64),
    /// It is no archive, or is cut off.
    #[error("the archive cannot be read")]
    Corrupt(#[source] io::Error),
}
