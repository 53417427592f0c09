//! The folder that a backup is made in, beside the place where it will be: of one that was killed, the next one removes it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use tempfile::TempDir;

/// How such folders begin.
const PREFIX: &str = ".buildit-backup-";

/// In each of them: locked by whoever works in it, so that the lock ends with them however they end.
const LOCK: &str = "lock";

/// A folder of one's own, which is gone with this.
#[derive(Debug)]
pub(super) struct Staging {
    folder: TempDir,
    _lock: File,
}

impl Staging {
    /// A new one in this folder, where nothing is left then of those whose makers have died.
    pub(super) fn new(beside: &Path) -> io::Result<Self> {
        sweep(beside)?;
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(beside)?;
        let lock = File::create_new(folder.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { folder, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn sweep(beside: &Path) -> io::Result<()> {
    for entry in fs::read_dir(beside)? {
        let entry = entry?;
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if is_ours && entry.file_type()?.is_dir() && is_left(&entry.path()) {
            // Two may find it.
            match fs::remove_dir_all(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Whether its maker has died. One that has no lock yet is being made.
fn is_left(folder: &Path) -> bool {
    match File::open(folder.join(LOCK)).map(|lock| lock.try_lock()) {
        Ok(Ok(())) => true,
        Ok(Err(TryLockError::WouldBlock | TryLockError::Error(_))) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_one_has_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let names = || {
            let mut names: Vec<_> =
                fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let left = folder.path().join(format!("{PREFIX}left"));
        for name in [&*left, &folder.path().join(format!("{PREFIX}begun")), &folder.path().join("else")] {
            fs::create_dir(name).unwrap();
        }
        fs::write(left.join(LOCK), "").unwrap();
        fs::write(left.join("buildit.db"), "much").unwrap();
        fs::write(folder.path().join(format!("{PREFIX}file")), "").unwrap();
        let working = Staging::new(folder.path()).unwrap();
        let mut expected = vec![working.path().file_name().unwrap().to_owned()];
        expected.extend(["begun", "file"].map(|name| format!("{PREFIX}{name}").into()));
        expected.push("else".into());
        expected.sort();
        assert_eq!(names(), expected);
        drop(Staging::new(folder.path()).unwrap());
        assert_eq!(names(), expected, "somebody works in it");
        drop(working);
        assert_eq!(names().len(), expected.len() - 1);
    }
}
