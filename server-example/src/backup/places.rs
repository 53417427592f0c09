//! Where a server keeps what a backup is of.

use std::io;
use std::path::{Path, PathBuf};

use super::error::BackupError;
use super::mark;
use crate::open::{BLOBS, KEY, OpenError, data_folder, store_url};
use crate::settings::Settings;

/// What `SQLite` and its sessions have beside the database.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", ".sessions"];

/// Where a server keeps what a backup is of.
pub(super) struct Places {
    pub(super) data: PathBuf,
    pub(super) blobs: PathBuf,
    pub(super) key: PathBuf,
    store: String,
}

impl Places {
    /// Those of a server that there is.
    pub(super) fn there(settings: &Settings) -> Result<Self, BackupError> {
        // Nothing is made where somebody looks for something.
        settings.data.canonicalize().map_err(OpenError::Data)?;
        Ok(Self::of(settings, data_folder(settings)?))
    }

    /// Those of a server that is to be.
    pub(super) fn made(settings: &Settings) -> Result<Self, BackupError> {
        std::fs::create_dir_all(&settings.data).map_err(OpenError::Data)?;
        Ok(Self::of(settings, settings.data.canonicalize().map_err(OpenError::Data)?))
    }

    fn of(settings: &Settings, data: PathBuf) -> Self {
        let store = store_url(settings, &data);
        Self { blobs: data.join(BLOBS), key: data.join(KEY), data, store }
    }

    /// The file of the database.
    pub(super) fn database(&self) -> Result<PathBuf, BackupError> {
        match self.store.split_once(':') {
            Some(("sqlite", file)) => Ok(file.into()),
            Some(("postgres" | "postgresql", _)) => Err(BackupError::Elsewhere),
            _ => Err(OpenError::unknown(&self.store).into()),
        }
    }

    /// Marks the data folder, in which nothing is, as one that is being restored to.
    pub(super) fn begin(&self) -> Result<(), BackupError> {
        let unreadable = || BackupError::unreadable_file(&self.data);
        if std::fs::read_dir(&self.data).map_err(unreadable())?.next().is_some() {
            return Err(BackupError::NotEmpty(self.data.clone()));
        }
        match mark::set(&self.data) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(BackupError::NotEmpty(self.data.clone())),
            set => set.map_err(BackupError::unwritable(&self.data)),
        }
    }

    /// Removes what was restored, and then the mark.
    pub(super) fn clear(&self, database: &Path) -> io::Result<()> {
        for suffix in BESIDE {
            let mut path = database.as_os_str().to_owned();
            path.push(suffix);
            remove(Path::new(&path))?;
        }
        remove(&self.key)?;
        remove(&self.blobs)?;
        mark::clear(&self.data)
    }
}

/// Removes a file or a folder, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
