//! Removing what a job left: any tree, however deep or wide, in bounded memory and with few descriptors.
//!
//! What lies deeper than a path may be long is reached by descriptors, and what lies deeper than descriptors should
//! be held is moved up first, beside the entries of the top. No link is followed.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, chmod, fchmod, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

/// How many folders, one within the other, are open at once.
const DEEPEST: usize = 32;

/// How often a folder is emptied that others fill.
const ROUNDS: usize = 16;

/// Removes a file, or a folder with all in it, even where a folder forbids its owner to change it. What is gone is
/// fine.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    let removed = match unlinkat(CWD, path, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => remove_folder(path),
        removed => gone(removed),
    };
    Ok(removed?)
}

fn remove_folder(path: &Path) -> Result<(), Errno> {
    let name = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| Errno::INVAL)?;
    for _ in 0..ROUNDS {
        match open_folder(CWD, &name) {
            Ok(folder) => Removal { open: vec![Open::new(folder, name.clone())?], moved: 0, seen: 0 }.empty()?,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error),
        }
        match unlinkat(CWD, &*name, AtFlags::REMOVEDIR) {
            // Somebody still writes.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            removed => return gone(removed),
        }
    }
    Err(Errno::NOTEMPTY)
}

/// A folder that is being emptied.
struct Open {
    entries: Dir,
    /// Its name in the folder around it.
    name: CString,
    rounds: usize,
}

impl Open {
    fn new(folder: OwnedFd, name: CString) -> Result<Self, Errno> {
        Ok(Self { entries: Dir::new(folder)?, name, rounds: 0 })
    }

    fn folder(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.entries.fd()
    }
}

/// The folders from the top to the one at work.
struct Removal {
    open: Vec<Open>,
    /// How many folders were moved up.
    moved: usize,
    /// How many of these were moved when the top was last read from its beginning.
    seen: usize,
}

impl Removal {
    /// Empties the top folder.
    fn empty(mut self) -> Result<(), Errno> {
        while let Some(deepest) = self.open.last_mut() {
            let Some(entry) = deepest.entries.read() else {
                self.close()?;
                continue;
            };
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let folder = deepest.folder()?;
            let is_folder = match entry.file_type() {
                FileType::Unknown => statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory),
                known => known == FileType::Directory,
            };
            if is_folder {
                self.enter(name)?;
            } else {
                gone(permitted(folder, || unlinkat(folder, name, AtFlags::empty())))?;
            }
        }
        Ok(())
    }

    /// Goes on with a folder within the deepest one.
    fn enter(&mut self, name: &CStr) -> Result<(), Errno> {
        let (top, deepest) = (self.open.first().ok_or(Errno::INVAL)?, self.open.last().ok_or(Errno::INVAL)?);
        let folder = match open_folder(deepest.folder()?, name) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error),
        };
        if self.open.len() < DEEPEST {
            self.open.push(Open::new(folder, name.to_owned())?);
            return Ok(());
        }
        // The one that moves is changed as well: its `..` is another one.
        fchmod(&folder, Mode::RWXU)?;
        let (from, to) = (deepest.folder()?, top.folder()?);
        loop {
            self.moved += 1;
            let place = CString::new(format!(".{}", self.moved)).map_err(|_| Errno::INVAL)?;
            match permitted(from, || permitted(to, || renameat(from, name, to, &*place))) {
                // The name is taken.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                moved => return gone(moved),
            }
        }
    }

    /// Leaves the deepest folder, which was read to its end, and removes it. The top itself stays.
    fn close(&mut self) -> Result<(), Errno> {
        let Some(mut left) = self.open.pop() else { return Ok(()) };
        let Some(around) = self.open.last() else {
            if self.seen < self.moved {
                self.seen = self.moved;
                left.entries.rewind();
                self.open.push(left);
            }
            return Ok(());
        };
        let around = around.folder()?;
        match permitted(around, || unlinkat(around, &*left.name, AtFlags::REMOVEDIR)) {
            // Some file systems pass entries over while others are removed.
            Err(Errno::NOTEMPTY | Errno::EXIST) if left.rounds < ROUNDS => {
                left.rounds += 1;
                left.entries.rewind();
                self.open.push(left);
                Ok(())
            }
            removed => gone(removed),
        }
    }
}

/// Opens a folder to be emptied; where its owner may not read it, that is changed.
fn open_folder(around: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(around, name, flags | OFlags::RDONLY, Mode::empty()) {
        Err(Errno::ACCESS) => {
            // By its descriptor: the name could mean a link by now.
            let found = permitted(around, || openat(around, name, flags | OFlags::PATH, Mode::empty()))?;
            chmod(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&found)), Mode::RWXU)?;
            openat(around, name, flags | OFlags::RDONLY, Mode::empty())
        }
        opened => opened,
    }
}

/// Does something to the entries of a folder; where its owner may not change it, that is changed.
fn permitted<T>(folder: impl AsFd, action: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
    match action() {
        Err(Errno::ACCESS) => {
            fchmod(folder, Mode::RWXU)?;
            action()
        }
        done => done,
    }
}

fn gone(removed: Result<(), Errno>) -> Result<(), Errno> {
    match removed {
        Err(Errno::NOENT) => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::fs::mkdirat;

    use super::*;

    /// Makes folders one within the other, each with a file and a few of them read-only, deeper than a path can be long.
    fn nest(top: &Path, depth: usize) {
        let mut folder = open_folder(CWD, &CString::new(top.as_os_str().as_encoded_bytes()).unwrap()).unwrap();
        let mut last = None;
        for level in 0..depth {
            mkdirat(&folder, c"sub", Mode::RWXU).unwrap();
            openat(&folder, c"file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
            let inner = open_folder(folder.as_fd(), c"sub").unwrap();
            if let Some(before) = last.replace(std::mem::replace(&mut folder, inner)).filter(|_| level % 50 == 1) {
                fchmod(before, Mode::RUSR | Mode::XUSR).unwrap();
            }
        }
    }

    /// In a thread of 128 KiB, where nothing that recurses would come far.
    fn removed(path: &Path) {
        let path = path.to_owned();
        let removed = std::thread::Builder::new().stack_size(128 * 1024).spawn(move || {
            remove_tree(&path).unwrap();
            assert!(fs::symlink_metadata(path).is_err());
        });
        removed.unwrap().join().unwrap();
    }

    #[test]
    fn twenty_thousand_folders_one_within_the_other_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("top");
        fs::create_dir(&top).unwrap();
        nest(&top, 20_000);
        removed(&top);
    }

    #[test]
    fn a_wide_tree_is_removed_with_what_forbids_it() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("top");
        for outer in 0..40 {
            let outer = top.join(outer.to_string());
            fs::create_dir_all(&outer).unwrap();
            (0..200).for_each(|file| fs::write(outer.join(file.to_string()), b"").unwrap());
        }
        fs::set_permissions(top.join("7"), fs::Permissions::from_mode(0o500)).unwrap();
        fs::set_permissions(top.join("8"), fs::Permissions::from_mode(0o000)).unwrap();
        removed(&top);
    }

    #[test]
    fn a_link_goes_and_what_it_means_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (top, other) = (folder.path().join("top"), folder.path().join("other"));
        fs::create_dir(&top).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("file"), b"kept").unwrap();
        symlink(&other, top.join("folder")).unwrap();
        symlink("nowhere", top.join("nowhere")).unwrap();
        removed(&top);
        let link = folder.path().join("link");
        symlink(&other, &link).unwrap();
        removed(&link);
        assert_eq!(fs::read(other.join("file")).unwrap(), b"kept");
        // What is not there is fine.
        remove_tree(&link).unwrap();
    }
}
