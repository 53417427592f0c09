//! Laying an archive out in a folder.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use buildit::cached::InputGlobs;

use super::read::{Entry, Kind, Limits, read_archive};
use super::{ArchiveError, WorkspaceError};

/// Lays an archive out under `root`, which is there. Files and links that are in the way are replaced, folders are
/// joined. Nothing is ever written through a link below the root. An entry without a time gets the present one.
///
/// # Errors
///
/// [`ArchiveError`] when the archive is refused, which may leave a part of it behind: the folder must not be used.
pub fn unpack(archive: impl Read, root: &Path, limits: Limits) -> Result<(), WorkspaceError> {
    unpack_seen(archive, root, limits, None)
}

/// The same with nothing but what is seen.
pub(super) fn unpack_seen(
    archive: impl Read,
    root: &Path,
    limits: Limits,
    seen: Option<&InputGlobs>,
) -> Result<(), WorkspaceError> {
    let mut tree = Tree::new(root);
    read_archive(archive, limits, |entry, content| match seen {
        Some(seen) if !seen.is_match(&entry.path) => Ok(()),
        _ => tree.put(entry, content),
    })
}

/// A folder that is being filled. Remembers which folders below it are real, so that each is looked at once.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    folders: HashSet<PathBuf>,
}

impl Tree {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), folders: HashSet::from([PathBuf::new()]) }
    }

    pub(super) fn put(&mut self, entry: Entry, content: &mut dyn Read) -> Result<(), WorkspaceError> {
        let Entry { path, kind, mode, mtime } = entry;
        if let Kind::Folder = kind {
            return self.folder(&path);
        }
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        let place = self.root.join(&path);
        let failed = |source| WorkspaceError::File { action: "write", path: place.clone(), source };
        match kind {
            Kind::File(_) => {
                let mut file = self.replace(&path, || create(&place, mode)).map_err(failed)?;
                io::copy(content, &mut file).map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => ArchiveError::Corrupt(error).into(),
                    _ => failed(error),
                })?;
                if mtime > 0 {
                    // A time beyond what the system can hold is not worth failing for.
                    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(mtime));
                    let _ = time.map(|time| file.set_modified(time));
                }
                Ok(())
            }
            Kind::Link(target) => self.replace(&path, || symlink(&target, &place)).map_err(failed),
            Kind::Same(other) => {
                if let Some(parent) = other.parent() {
                    self.folder(parent)?;
                }
                let target = self.root.join(&other);
                if !fs::symlink_metadata(&target).is_ok_and(|found| found.is_file()) {
                    return Err(ArchiveError::Link { path, target: other }.into());
                }
                if target == place {
                    return Ok(());
                }
                self.replace(&path, || fs::hard_link(&target, &place)).map_err(failed)
            }
            Kind::Folder => Ok(()),
        }
    }

    /// Makes what takes the place of `path`, once with nothing in the way and once more after removing what is.
    fn replace<T>(&mut self, path: &Path, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(self.root.join(path))?;
                make()
            }
            done => done,
        }
    }

    /// Sees to it that this path below the root is a real folder, and every one above it.
    fn folder(&mut self, path: &Path) -> Result<(), WorkspaceError> {
        if self.folders.contains(path) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        let place = self.root.join(path);
        match fs::create_dir(&place) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let found = fs::symlink_metadata(&place).map_err(WorkspaceError::file("look at", &place))?;
                if !found.is_dir() {
                    return Err(ArchiveError::Through(path.to_owned()).into());
                }
            }
            Err(error) => return Err(WorkspaceError::file("make", place)(error)),
        }
        self.folders.insert(path.to_owned());
        Ok(())
    }
}

#[cfg(unix)]
fn create(place: &Path, mode: u32) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    // The owner can always read and write: a workspace that nobody can remove helps nobody.
    OpenOptions::new().write(true).create_new(true).mode(mode | 0o600).open(place)
}

#[cfg(not(unix))]
fn create(place: &Path, _: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(place)
}

#[cfg(unix)]
fn symlink(target: &Path, place: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, place)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
