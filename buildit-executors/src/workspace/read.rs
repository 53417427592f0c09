//! Reading an archive of unknown origin, entry by entry, with every guard applied.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tar::EntryType;

use super::guard::{link_stays_inside, safe_path};
use super::{ArchiveError, Links, WorkspaceError};

/// What an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many entries.
    pub entries: u64,
    /// How many bytes of content in all.
    pub bytes: u64,
    /// Links that lead out of the tree.
    pub links: Links,
}

impl Limits {
    /// For what other stages left: ten million entries and a tebibyte, which no honest archive reaches and any disk
    /// feels, and no link out of the tree.
    #[must_use]
    pub fn strict() -> Self {
        Self { entries: 10_000_000, bytes: 1 << 40, links: Links::Inside }
    }

    /// The same for a source tree or a cache, which may hold links to anywhere.
    #[must_use]
    pub fn with_links_anywhere(self) -> Self {
        Self { links: Links::Anywhere, ..self }
    }
}

/// Long names and extended headers beyond this are refused: it is 16 times the longest path of Linux.
const MAX_HEADER: u64 = 64 * 1024;

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A plain file of this many bytes.
    File(u64),
    /// A folder.
    Folder,
    /// A symbolic link to this target.
    Link(PathBuf),
    /// Another name of the file at this path, which came before in the archive.
    Same(PathBuf),
}

/// An entry that passed the guards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the root, without `.` and `..`; empty for the root itself.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Permissions: the lowest nine bits only, never setuid.
    pub mode: u32,
    /// When it was changed, in seconds since 1970; 0 when the archive does not say.
    pub mtime: u64,
}

/// Reads an archive and passes each entry on with its content.
///
/// # Errors
///
/// [`ArchiveError`] at the first entry that is refused; entries before it were passed on already. Else what `take`
/// gives.
pub fn read_archive(
    archive: impl Read,
    limits: Limits,
    mut take: impl FnMut(Entry, &mut dyn Read) -> Result<(), WorkspaceError>,
) -> Result<(), WorkspaceError> {
    let mut archive = tar::Archive::new(archive);
    let mut long = Extended::default();
    let (mut entries, mut bytes) = (0_u64, 0_u64);
    // Raw: the crate would otherwise read long names of any size into memory and spread sparse files out.
    for raw in archive.entries().map_err(ArchiveError::Corrupt)?.raw(true) {
        let mut raw = raw.map_err(ArchiveError::Corrupt)?;
        entries += 1;
        if entries > limits.entries {
            return Err(ArchiveError::TooMany(limits.entries).into());
        }
        let kind = raw.header().entry_type();
        if long.take(kind, &mut raw)? {
            continue;
        }
        let size = raw.size();
        let entry = long.finish(raw.header(), size, limits.links)?;
        if let Kind::File(size) = entry.kind {
            bytes = bytes.saturating_add(size);
            if bytes > limits.bytes {
                return Err(ArchiveError::TooLarge(limits.bytes).into());
            }
        }
        take(entry, &mut Body { inner: raw, left: size })?;
    }
    Ok(())
}

/// The content of an entry, which ends in an error when the archive is cut off before the content does.
struct Body<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Body<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        if read == 0 && self.left > 0 && !into.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

/// What extended headers say about the entry that follows them.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    mtime: Option<u64>,
    other_size: Option<u64>,
    sparse: bool,
}

impl Extended {
    /// Whether this was an extended header.
    fn take(&mut self, kind: EntryType, entry: &mut impl Read) -> Result<bool, ArchiveError> {
        let trimmed = |mut bytes: Vec<u8>| {
            bytes.truncate(bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len()));
            bytes
        };
        match kind {
            EntryType::GNULongName => self.path = Some(trimmed(read_header(entry)?)),
            EntryType::GNULongLink => self.link = Some(trimmed(read_header(entry)?)),
            EntryType::XGlobalHeader => drop(read_header(entry)?),
            EntryType::XHeader => {
                let bytes = read_header(entry)?;
                for extension in tar::PaxExtensions::new(&bytes) {
                    let extension = extension.map_err(ArchiveError::Corrupt)?;
                    let text = String::from_utf8_lossy(extension.value_bytes());
                    match extension.key_bytes() {
                        b"path" => self.path = Some(extension.value_bytes().to_vec()),
                        b"linkpath" => self.link = Some(extension.value_bytes().to_vec()),
                        b"mtime" => self.mtime = text.split('.').next().and_then(|seconds| seconds.parse().ok()),
                        b"size" => self.other_size = text.parse().ok(),
                        key => self.sparse |= key.starts_with(b"GNU.sparse"),
                    }
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The entry that the header and what came before it describe.
    fn finish(&mut self, header: &tar::Header, size: u64, links: Links) -> Result<Entry, ArchiveError> {
        let long = std::mem::take(self);
        let raw = long.path.map_or_else(|| to_path(&header.path_bytes()), |bytes| to_path(&bytes));
        let path = safe_path(&raw)?;
        let refuse = |kind| Err(ArchiveError::Kind { path: raw.clone(), kind });
        let target = || {
            let bytes = long.link.clone().or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
            bytes.map(|bytes| to_path(&bytes)).unwrap_or_default()
        };
        if long.sparse {
            return refuse("a sparse file");
        }
        if long.other_size.is_some_and(|other| other != size) {
            return refuse("larger than its header says");
        }
        let kind = match header.entry_type() {
            // Old archives mark a folder by nothing but the slash at its end.
            EntryType::Regular if raw.as_os_str().as_encoded_bytes().ends_with(b"/") => Kind::Folder,
            EntryType::Regular | EntryType::Continuous if path.as_os_str().is_empty() => return refuse("the root"),
            EntryType::Regular | EntryType::Continuous => Kind::File(size),
            EntryType::Directory => Kind::Folder,
            EntryType::Symlink => {
                let target = target();
                let anywhere = links == Links::Anywhere && !target.as_os_str().is_empty();
                if path.as_os_str().is_empty() || !(anywhere || link_stays_inside(&path, &target)) {
                    return Err(ArchiveError::Link { path: raw, target });
                }
                Kind::Link(target)
            }
            EntryType::Link => {
                let target = target();
                match safe_path(&target) {
                    Ok(safe) if !safe.as_os_str().is_empty() && !path.as_os_str().is_empty() => Kind::Same(safe),
                    _ => return Err(ArchiveError::Link { path: raw, target }),
                }
            }
            EntryType::Block | EntryType::Char => return refuse("a device"),
            EntryType::Fifo => return refuse("a fifo"),
            EntryType::GNUSparse => return refuse("a sparse file"),
            _ => return refuse("of an unknown kind"),
        };
        let mode = header.mode().map_err(ArchiveError::Corrupt)? & 0o777;
        let mtime = long.mtime.unwrap_or_else(|| header.mtime().unwrap_or(0));
        Ok(Entry { path, kind, mode, mtime })
    }
}

fn read_header(entry: &mut impl Read) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = Vec::new();
    entry.take(MAX_HEADER + 1).read_to_end(&mut bytes).map_err(ArchiveError::Corrupt)?;
    if bytes.len() as u64 > MAX_HEADER { Err(ArchiveError::HeaderTooLarge(MAX_HEADER)) } else { Ok(bytes) }
}

#[cfg(unix)]
fn to_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(bytes)).to_owned()
}

#[cfg(not(unix))]
fn to_path(bytes: &[u8]) -> PathBuf {
    Path::new(&*String::from_utf8_lossy(bytes)).to_owned()
}
