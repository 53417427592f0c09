//! The source of a run: what a working tree or a plain folder holds now, the commit that it is of, what changed.
//!
//! In a repository the source is what is tracked and what is untracked and not ignored, as it is in the working tree,
//! with `.git`: its history, its configuration and its index, without hooks and reflogs. So a stage can ask `git` for
//! anything that it could ask in the tree itself. It also holds
//!
//! - in a linked worktree (`.git` is a file): a whole `.git` of its own, put together from both places;
//! - in a clone that borrows objects of another (`--shared`, `--reference`): those objects;
//! - for a submodule: an empty folder, as a fresh clone has, or its files when the pipeline's `checkout` asks for
//!   submodules;
//! - for an untracked repository in the tree: its files without its `.git`.
//!
//! A folder inside of a repository that is not its top is a source without `.git`; its variables are still those of
//! the repository around it. A folder outside of any repository is taken whole. What BuildIt itself keeps (a
//! journal, the folders of jobs) is never part of a source, wherever it lies in it: such folders carry a
//! [mark](buildit::kept).
//!
//! `checkout depth` and `lfs` say how a source is fetched from elsewhere; a working tree is taken as it is.

mod checksum;
mod error;
mod files;
mod git;
mod history;
mod index;
mod repository;
mod snapshot;

pub use error::SourceError;
pub use git::{Git, GitCli};
pub use index::ArchiveIndexer;
pub use snapshot::{Base, Source};
