//! Which files are part of a source.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use buildit::kept;

/// What to ask for the files below a folder: a letter, a blank, the path, a NUL each.
pub(super) const LIST: [&str; 7] =
    ["ls-files", "-z", "-t", "--cached", "--others", "--exclude-standard", "--deduplicate"];

/// The files of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// Paths relative to the folder, sorted, each once.
    pub(super) paths: Vec<PathBuf>,
    /// Those that are not tracked.
    pub(super) untracked: Vec<PathBuf>,
}

impl Listing {
    /// Reads what `git` printed.
    pub(super) fn parse(printed: &[u8]) -> Self {
        let mut listing = Self::default();
        for entry in printed.split(|&byte| byte == 0) {
            let (Some(letter), Some(path)) = (entry.first(), entry.get(2..)) else { continue };
            let path = to_path(path);
            if *letter == b'?' {
                listing.untracked.push(path.clone());
            }
            listing.paths.push(path);
        }
        listing.paths.sort_unstable();
        listing.paths.dedup();
        listing
    }

    /// All files and links below a folder, but for what lies below one of `excluded` or in a folder that BuildIt keeps.
    pub(super) fn walk(folder: &Path, excluded: &[PathBuf]) -> io::Result<Self> {
        let mut paths = Vec::new();
        let walk = walkdir::WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter();
        for entry in walk.filter_entry(|entry| !is_excluded(entry.path(), excluded) && !is_ours(entry)) {
            let entry = entry?;
            if !entry.file_type().is_dir() {
                paths.push(entry.path().strip_prefix(folder).unwrap_or(entry.path()).to_owned());
            }
        }
        paths.sort_unstable();
        Ok(Self { paths, untracked: Vec::new() })
    }

    /// Takes away what lies below one of `excluded` or in a folder that BuildIt keeps.
    pub(super) fn exclude(&mut self, folder: &Path, excluded: &[PathBuf]) {
        let mut excluded = excluded.to_vec();
        excluded.extend(self.ours(folder));
        if !excluded.is_empty() {
            self.paths.retain(|path| !is_excluded(&folder.join(path), &excluded));
            self.untracked.retain(|path| !is_excluded(&folder.join(path), &excluded));
        }
    }

    /// The folders in the tree in which BuildIt keeps something: those whose mark is listed, and any that hold what is
    /// not tracked, since the mark alone may be ignored. To look into each folder of a large tree would take long.
    fn ours(&self, folder: &Path) -> Vec<PathBuf> {
        let marks = self.paths.iter().filter(|path| path.file_name().is_some_and(|name| name == kept::FORMAT));
        let mut folders: BTreeSet<&Path> = marks.filter_map(|mark| mark.parent()).collect();
        folders.extend(self.untracked.iter().flat_map(|path| path.ancestors().skip(1)));
        // The source itself is what was asked for, whatever it is.
        folders.remove(Path::new(""));
        folders.into_iter().map(|inner| folder.join(inner)).filter(|place| kept::is_marked(place)).collect()
    }
}

/// Whether BuildIt keeps something in this folder.
pub(super) fn is_ours(entry: &walkdir::DirEntry) -> bool {
    entry.depth() > 0 && entry.file_type().is_dir() && kept::is_marked(entry.path())
}

fn is_excluded(path: &Path, excluded: &[PathBuf]) -> bool {
    excluded.iter().any(|excluded| path.starts_with(excluded))
}

#[cfg(unix)]
pub(super) fn to_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).into()
}

#[cfg(not(unix))]
pub(super) fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_tell_what_is_tracked() {
        let mut listing = Listing::parse(b"? new file\0H src/b\0H a\0M src/b\0? state/journal\0");
        assert_eq!(listing.paths, ["a", "new file", "src/b", "state/journal"].map(PathBuf::from));
        listing.exclude(Path::new("/repo"), &["/repo/state".into()]);
        assert_eq!(listing.untracked, [PathBuf::from("new file")]);
    }
}
