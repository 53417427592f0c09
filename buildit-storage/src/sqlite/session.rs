//! Open stores: who lives, and whose leases have ended with them.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// This open store: a file that is locked as long as it is.
#[derive(Debug)]
pub(super) struct Session {
    id: String,
    folder: PathBuf,
    /// Holds the lock.
    _file: File,
}

impl Session {
    /// Begins one beside the database.
    pub(super) fn begin(database: &Path) -> io::Result<Self> {
        let mut folder = database.as_os_str().to_owned();
        folder.push(".sessions");
        let folder = PathBuf::from(folder);
        fs::create_dir_all(&folder)?;
        // Locked before it has its name: nobody finds it free.
        let file = tempfile::NamedTempFile::new_in(&folder)?;
        file.as_file().lock()?;
        let id = Uuid::now_v7().to_string();
        let file = file.persist(folder.join(&id))?;
        Ok(Self { id, folder, _file: file })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether the one of this id is over. Its file, if there is one, is left for [`sweep`](Self::sweep).
    pub(super) fn is_over(&self, id: &str) -> bool {
        if id == self.id {
            return false;
        }
        match File::open(self.folder.join(id)) {
            Ok(file) => file.try_lock_shared().is_ok(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Removes the files of sessions that are over.
    pub(super) fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            // One that is being made has another kind of name.
            let is_session = path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name != self.id && Uuid::try_parse(name).is_ok());
            if !is_session {
                continue;
            }
            match File::open(&path).map(|file| file.try_lock()) {
                Ok(Ok(())) => drop(fs::remove_file(&path)),
                Ok(Err(TryLockError::WouldBlock)) | Err(_) => {}
                Ok(Err(TryLockError::Error(error))) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.folder.join(&self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_over_when_its_holder_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("db");
        let (mine, other) = (Session::begin(&database).unwrap(), Session::begin(&database).unwrap());
        assert!(!mine.is_over(other.id()) && !mine.is_over(mine.id()));
        assert!(mine.is_over(&Uuid::now_v7().to_string()), "one without a file");
        let gone = other.id().to_owned();
        // As a kill does it: the lock goes, the file stays.
        let path = other.folder.join(&gone);
        drop(other);
        fs::write(&path, "").unwrap();
        assert!(mine.is_over(&gone));
        mine.sweep().unwrap();
        assert!(!path.exists());
        assert!(mine.folder.join(mine.id()).exists());
    }
}
