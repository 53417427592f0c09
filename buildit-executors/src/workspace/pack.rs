//! Making archives: the same files give the same bytes, wherever and whenever they are packed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use tar::{EntryType, Header};

use super::read::{Entry, Kind, Limits};
use super::{ArchiveError, WorkspaceError};

/// Whether an archive keeps when its files were changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// No: the archive's address then depends on names, contents and permissions alone.
    Dropped,
    /// Yes: for caches, whose tools compare times.
    Kept,
}

/// Writes an archive. Owners are dropped, permissions are the lowest nine bits; the order is that of the calls. It holds
/// no more than [`Limits::strict`], or nobody could read it: a sparse file costs a job nothing.
pub struct Packer<W: Write> {
    tar: tar::Builder<W>,
    times: Times,
    owner: (u64, u64),
    left: Limits,
}

impl<W: Write> std::fmt::Debug for Packer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packer").field("times", &self.times).finish_non_exhaustive()
    }
}

impl<W: Write> Packer<W> {
    /// An archive that is written to `to`.
    pub fn new(to: W, times: Times) -> Self {
        Self { tar: tar::Builder::new(to), times, owner: (0, 0), left: Limits::strict() }
    }

    /// The same, with everything owned by this user and this group, for an archive that is laid out in a container.
    #[must_use]
    pub fn owned_by(self, uid: u64, gid: u64) -> Self {
        Self { owner: (uid, gid), ..self }
    }

    /// Adds one entry with this content, which must be as long as a file's entry says.
    ///
    /// # Errors
    ///
    /// [`WorkspaceError::Archive`] when it would hold more than can be read, [`WorkspaceError::Io`] when it cannot be
    /// written.
    pub fn add(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), WorkspaceError> {
        let most = Limits::strict();
        let size = if let Kind::File(size) = entry.kind { size } else { 0 };
        self.left.entries = self.left.entries.checked_sub(1).ok_or(ArchiveError::TooMany(most.entries))?;
        self.left.bytes = self.left.bytes.checked_sub(size).ok_or(ArchiveError::TooLarge(most.bytes))?;
        let mut header = Header::new_gnu();
        header.set_mode(entry.mode & 0o777);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(if self.times == Times::Kept { entry.mtime } else { 0 });
        header.set_size(0);
        match &entry.kind {
            Kind::File(size) => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(*size);
                self.tar.append_data(&mut header, &entry.path, content)?;
            }
            Kind::Folder => {
                header.set_entry_type(EntryType::Directory);
                self.tar.append_data(&mut header, &entry.path, io::empty())?;
            }
            Kind::Link(target) => {
                header.set_entry_type(EntryType::Symlink);
                self.tar.append_link(&mut header, &entry.path, target)?;
            }
            Kind::Same(other) => {
                header.set_entry_type(EntryType::Link);
                self.tar.append_link(&mut header, &entry.path, other)?;
            }
        }
        Ok(())
    }

    /// Adds the bytes as a file that only has to be there.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn add_bytes(&mut self, path: &Path, mode: u32, bytes: &[u8]) -> Result<(), WorkspaceError> {
        let entry = Entry { path: path.to_owned(), kind: Kind::File(bytes.len() as u64), mode, mtime: 0 };
        self.add(&entry, &mut &*bytes)
    }

    /// Adds the file, link or folder (without what is in it) at `place` under the name `path`, and says whether it
    /// did: what is neither is passed over, and so is what is gone.
    ///
    /// # Errors
    ///
    /// [`WorkspaceError`] when it cannot be read or the archive cannot be written.
    pub fn add_place(&mut self, path: &Path, place: &Path) -> Result<bool, WorkspaceError> {
        self.add_place_with(path, place, |mode| mode)
    }

    /// The same, with the permissions that `mode` makes of those of the file.
    ///
    /// # Errors
    ///
    /// As [`add_place`](Self::add_place).
    pub fn add_place_with(
        &mut self,
        path: &Path,
        place: &Path,
        mode: impl Fn(u32) -> u32,
    ) -> Result<bool, WorkspaceError> {
        let found = match fs::symlink_metadata(place) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(WorkspaceError::file("look at", place)(error)),
        };
        let path = path.to_owned();
        let mtime = mtime(&found);
        if found.is_symlink() {
            let target = fs::read_link(place).map_err(WorkspaceError::file("read", place))?;
            self.add(&Entry { path, kind: Kind::Link(target), mode: 0o777, mtime }, &mut io::empty())?;
        } else if found.is_dir() {
            let entry = Entry { path, kind: Kind::Folder, mode: mode(permissions(&found)), mtime };
            self.add(&entry, &mut io::empty())?;
        } else if found.is_file() {
            let file = open_plain(place).map_err(WorkspaceError::file("read", place))?;
            // The size is that of the opened file: what is written while it is packed does not break the archive.
            let found = file.metadata().map_err(WorkspaceError::file("look at", place))?;
            if !found.is_file() {
                return Ok(false);
            }
            let entry = Entry { path, kind: Kind::File(found.len()), mode: mode(permissions(&found)), mtime };
            self.add(&entry, &mut Exactly { inner: file, left: found.len() })?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Ends the archive and gives back where it was written to.
    ///
    /// # Errors
    ///
    /// [`WorkspaceError::Io`] when its end cannot be written.
    pub fn finish(self) -> Result<W, WorkspaceError> {
        Ok(self.tar.into_inner()?)
    }
}

/// A file of a promised length: cut when it grew, filled up with zeros when it shrank, as tar itself does.
struct Exactly {
    inner: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let want = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let Some(into) = into.get_mut(..want).filter(|into| !into.is_empty()) else { return Ok(0) };
        let read = match self.inner.read(into)? {
            0 => {
                into.fill(0);
                want
            }
            read => read,
        };
        self.left -= read as u64;
        Ok(read)
    }
}

/// Opens a file that was just seen to be no link, and does not follow one that has taken its place since, nor wait
/// for the writer of a fifo.
#[cfg(unix)]
pub(crate) fn open_plain(place: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    use nix::fcntl::OFlag;
    fs::OpenOptions::new().read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(place)
}

#[cfg(not(unix))]
pub(crate) fn open_plain(place: &Path) -> io::Result<File> {
    File::open(place)
}

#[cfg(unix)]
fn permissions(found: &fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    found.permissions().mode() & 0o777
}

#[cfg(not(unix))]
fn permissions(found: &fs::Metadata) -> u32 {
    if found.permissions().readonly() { 0o444 } else { 0o644 }
}

fn mtime(found: &fs::Metadata) -> u64 {
    let since = found.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}
