//! [`Source`].

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use buildit::artifact::BlobStore;
use buildit::id::Digest;
use buildit::pipeline::{CheckoutSpec, GitContext};
use indexmap::IndexMap;

use super::files::{LIST, Listing, to_path};
use super::history::{LOG, STATUS, context};
use super::repository::{Item, Repository};
use super::{Git, GitCli, SourceError, checksum};
use crate::workspace::{Packer, Times, WorkspaceError, slashed, store_archive};

/// A source as it is now: the list of its files, and the commit that it is of. Their contents are read when the
/// archive is made.
#[derive(Clone, Debug)]
pub struct Source {
    folder: PathBuf,
    excluded: Vec<PathBuf>,
    git: Option<Arc<dyn Git>>,
    listing: Arc<Listing>,
    context: GitContext,
    repository: Option<Repository>,
}

/// What a source is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// The branch that a pull request is to be merged into: where this source has left it counts.
    Branch(String),
    /// A commit, or anything that `git` knows by name: the previous head of the branch.
    Commit(String),
    /// What the branch follows at its remote, if it follows one: for a working tree, what was pushed last.
    Upstream,
}

impl Source {
    /// Looks at a folder. What lies below one of `excluded` is no part of the source. `git` is asked three questions
    /// at once, and none outside of a repository.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when the folder cannot be read or `git` refuses to read its repository.
    pub async fn open(folder: impl AsRef<Path>, excluded: &[PathBuf]) -> Result<Self, SourceError> {
        Self::open_with(folder, excluded, Arc::new(GitCli::default())).await
    }

    /// The same with another `git`.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn open_with(
        folder: impl AsRef<Path>,
        excluded: &[PathBuf],
        git: Arc<dyn Git>,
    ) -> Result<Self, SourceError> {
        let folder = folder.as_ref();
        let failed = |source| SourceError::Folder { folder: folder.to_owned(), source };
        let folder = fs::canonicalize(folder).map_err(failed)?;
        // One that does not exist yet cannot hold anything, and one that lies elsewhere does not matter.
        let excluded: Vec<PathBuf> = excluded
            .iter()
            .filter_map(|path| fs::canonicalize(path).ok())
            .filter(|path| path.starts_with(&folder))
            .collect();
        let repository = Repository::at(&folder).map_err(failed)?;
        let within = repository.is_some() || folder.ancestors().any(|above| above.join(".git").exists());
        if !within {
            let listing = walk(&folder, &excluded).await.map_err(failed)?.into();
            return Ok(Self { folder, excluded, git: None, listing, context: GitContext::default(), repository: None });
        }
        let (list, status, log) =
            tokio::join!(git.ask(&folder, &LIST), git.ask(&folder, &STATUS), git.ask(&folder, &LOG));
        let mut listing = Listing::parse(&list?);
        // Without a commit there is no log to show, and the status says so.
        let mut context = context(&status?, &log.unwrap_or_default());
        listing.exclude(&folder, &excluded);
        context.dirty |= !listing.untracked.is_empty();
        if repository.is_none() && listing.paths.is_empty() {
            // The folder itself is ignored by the repository around it.
            listing = walk(&folder, &excluded).await.map_err(failed)?;
        }
        Ok(Self { folder, excluded, git: Some(git), listing: listing.into(), context, repository })
    }

    /// The folder, without links in its path.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The commit; all empty outside of a repository.
    #[must_use]
    pub fn git(&self) -> &GitContext {
        &self.context
    }

    /// The files, relative to the folder, sorted; without `.git`. A tracked file that was deleted is still among them.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.listing.paths
    }

    /// The paths that differ from the base, uncommitted and untracked ones included; `None` when there is no such
    /// base.
    ///
    /// # Errors
    ///
    /// [`SourceError::NoGit`] when `git` cannot be started.
    pub async fn changes(&self, base: &Base) -> Result<Option<Vec<String>>, SourceError> {
        let Some(git) = &self.git else { return Ok(None) };
        let (revisions, how): (Vec<String>, &[&str]) = match base {
            // The remote's branch first: the local one is often old.
            Base::Branch(name) => (vec![format!("refs/remotes/origin/{name}"), name.clone()], &["--merge-base"]),
            Base::Commit(revision) => (vec![revision.clone()], &[]),
            Base::Upstream => (vec!["@{upstream}".into()], &["--merge-base"]),
        };
        for revision in revisions.iter().filter(|revision| !revision.starts_with('-')) {
            let mut question = vec!["diff", "--name-only", "-z", "--no-renames", "--relative"];
            question.extend_from_slice(how);
            question.extend_from_slice(&[revision, "--"]);
            match git.ask(&self.folder, &question).await {
                Ok(printed) => {
                    let changed = printed.split(|&byte| byte == 0).filter(|path| !path.is_empty()).map(to_path);
                    let mut changed: Vec<String> =
                        changed.chain(self.listing.untracked.iter().cloned()).map(|path| slashed(&path)).collect();
                    changed.sort_unstable();
                    changed.dedup();
                    return Ok(Some(changed));
                }
                Err(SourceError::Git { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The digests that `${checksum.GLOB}` stands for, by glob.
    ///
    /// # Errors
    ///
    /// [`SourceError`] for a glob that cannot be read and a file that cannot.
    pub async fn checksums(&self, globs: Vec<String>) -> Result<IndexMap<String, String>, SourceError> {
        if globs.is_empty() {
            return Ok(IndexMap::new());
        }
        let this = self.clone();
        let read = move || {
            let of = |glob: String| {
                checksum::checksum(&this.folder, &this.listing.paths, &glob).map(|digest| (glob, digest))
            };
            globs.into_iter().map(of).collect::<Result<_, _>>()
        };
        Ok(tokio::task::spawn_blocking(read).await.map_err(|error| WorkspaceError::from(io::Error::other(error)))??)
    }

    /// Archives the source into the blob store: the archive's address and size. The same files give the same archive,
    /// but for `.git`, whose index remembers times.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when a file cannot be read or the store fails.
    pub async fn store(
        &self,
        blobs: &Arc<dyn BlobStore>,
        checkout: &CheckoutSpec,
    ) -> Result<(Digest, u64), SourceError> {
        let mut tree = BTreeMap::new();
        self.gather(&self.folder, Path::new(""), &self.listing, checkout.submodules, &mut tree).await?;
        let repository = self.repository.clone();
        let stored = store_archive(blobs, move |to| {
            let mut packer = Packer::new(to, Times::Dropped);
            if let Some(repository) = repository {
                for (path, item) in repository.items()? {
                    let path = Path::new(".git").join(path);
                    match item {
                        Item::Text(text) => packer.add_bytes(&path, 0o644, &text)?,
                        Item::Place(place) | Item::Folder(place) => {
                            packer.add_place_with(&path, &place, as_git_does)?;
                        }
                    }
                }
            }
            for (path, place) in tree {
                packer.add_place_with(&path, &place, as_git_does)?;
            }
            Ok(((), packer.finish()?))
        });
        let (digest, bytes, ()) = stored.await?;
        Ok((digest, bytes))
    }

    /// Adds the files of a listing to the tree; folders among them are other repositories.
    async fn gather(
        &self,
        folder: &Path,
        below: &Path,
        listing: &Listing,
        submodules: bool,
        tree: &mut BTreeMap<PathBuf, PathBuf>,
    ) -> Result<(), SourceError> {
        for path in &listing.paths {
            let place = folder.join(path);
            let inner = below.join(path);
            let is_folder = fs::symlink_metadata(&place).is_ok_and(|found| found.is_dir());
            if is_folder && self.git.is_some() {
                let untracked = listing.untracked.contains(path);
                if submodules || untracked {
                    Box::pin(self.gather_inner(&place, &inner, untracked, submodules, tree)).await?;
                }
            }
            tree.insert(inner, place);
        }
        Ok(())
    }

    async fn gather_inner(
        &self,
        place: &Path,
        inner: &Path,
        untracked: bool,
        submodules: bool,
        tree: &mut BTreeMap<PathBuf, PathBuf>,
    ) -> Result<(), SourceError> {
        let Some(git) = self.git.as_ref().filter(|_| place.join(".git").exists()) else { return Ok(()) };
        let mut listing = Listing::parse(&git.ask(place, &LIST).await?);
        listing.exclude(place, &self.excluded);
        self.gather(place, inner, &listing, submodules, tree).await?;
        if !untracked {
            // A file that names the submodule's folder in our own `.git`, by a relative path.
            tree.insert(inner.join(".git"), place.join(".git"));
        }
        Ok(())
    }
}

/// Walks a folder, which may be large, where nobody waits for it.
async fn walk(folder: &Path, excluded: &[PathBuf]) -> io::Result<Listing> {
    let (folder, excluded) = (folder.to_owned(), excluded.to_vec());
    tokio::task::spawn_blocking(move || Listing::walk(&folder, &excluded)).await.map_err(io::Error::other)?
}

/// The permissions that a commit would keep: whether the owner may execute a file.
fn as_git_does(mode: u32) -> u32 {
    if mode & 0o100 == 0 { 0o644 } else { 0o755 }
}
