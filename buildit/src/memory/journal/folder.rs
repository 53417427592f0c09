//! The folder itself: its format, its lock, its files' names.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{At, corrupt};
use crate::id::RunId;
use crate::kept;
use crate::store::StoreError;

/// The newest format that is known here. 2 added tenants' shares, runs that are asked to end, and logs that were removed;
/// 3 added tenants' runs and pipelines that are kept. What was written in an earlier one reads as it is.
const FORMAT: u32 = 3;

/// How long the lock is waited for. A process that was killed while it started another one leaves it to that one until
/// its `exec`, which takes a while on a busy machine; whoever restarts it at once must not be told that it still runs.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// What the format's file begins with: the mark of a folder of ours, and what is kept in it.
const TITLE: &str = "buildit-journal ";

/// An open folder. The lock is held as long as this lives.
#[derive(Debug)]
pub(in super::super) struct Folder {
    root: PathBuf,
    _lock: File,
}

impl Folder {
    /// Opens the folder, making it if it is not there.
    pub(in super::super) fn open(root: &Path) -> Result<Self, StoreError> {
        make(root)?;
        // An absolute path, since the program may change its working directory.
        let root = std::path::absolute(root).at("find", root)?;
        let lock = take_lock(&root.join("LOCK"))?;
        check_format(&root)?;
        let folder = Self { root, _lock: lock };
        for name in ["runs", "logs", "blobs", "tmp"] {
            make(&folder.root.join(name))?;
        }
        folder.empty_tmp()?;
        Ok(folder)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    pub(in super::super) fn run(&self, run: RunId) -> PathBuf {
        self.root.join("runs").join(run.to_string())
    }

    pub(in super::super) fn logs(&self, run: RunId) -> PathBuf {
        self.root.join("logs").join(run.to_string())
    }

    /// Removes the files of a run, its record last.
    pub(in super::super) fn remove(&self, run: RunId) -> Result<(), StoreError> {
        let (logs, record) = (self.logs(run), self.run(run));
        let gone = |removed: std::io::Result<()>, path: &Path| match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at("remove", path),
            _ => Ok(()),
        };
        gone(std::fs::remove_dir_all(&logs), &logs)?;
        gone(std::fs::remove_file(&record), &record)?;
        sync_folder(&self.runs())
    }

    fn empty_tmp(&self) -> Result<(), StoreError> {
        let tmp = self.root.join("tmp");
        for entry in std::fs::read_dir(&tmp).at("read", &tmp)? {
            let path = entry.at("read", &tmp)?.path();
            std::fs::remove_file(&path).at("remove", &path)?;
        }
        Ok(())
    }
}

/// Makes a folder, and those above it, that only its owner can enter. One that is there stays as it is.
pub(super) fn make(path: &Path) -> Result<(), StoreError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).at("make the folder", path)
}

/// Options for a file that only its owner can read.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|folder| folder.sync_all()).at("sync the folder", path)
}

/// Writes a file whole or not at all.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let new = path.with_extension("new");
    let mut file = private_file().write(true).create(true).truncate(true).open(&new).at("create", &new)?;
    file.write_all(content).and_then(|()| file.sync_data()).at("write", &new)?;
    std::fs::rename(&new, path).at("put in place", path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn take_lock(path: &Path) -> Result<File, StoreError> {
    let mut file = private_file().read(true).write(true).create(true).truncate(false).open(path).at("open", path)?;
    match lock_within(&file, LOCK_PATIENCE) {
        Ok(()) => {
            let holder = format!("process {}", std::process::id());
            file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())).at("write", path)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // It only makes the message better.
            let _ = file.read_to_string(&mut holder);
            let holder = if holder.is_empty() { "another process".to_owned() } else { holder };
            let place = path.parent().unwrap_or(path).display().to_string();
            Err(StoreError::InUse { place, holder })
        }
        Err(TryLockError::Error(source)) => Err(source).at("lock", path),
    }
}

/// Takes the lock, trying again for a while.
fn lock_within(file: &File, patience: Duration) -> Result<(), TryLockError> {
    const PAUSE: Duration = Duration::from_millis(5);
    let mut left = patience;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if left >= PAUSE => {
                std::thread::sleep(PAUSE);
                left -= PAUSE;
            }
            ended => return ended,
        }
    }
}

fn check_format(root: &Path) -> Result<(), StoreError> {
    let path = root.join(kept::FORMAT);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let number = text.strip_prefix(TITLE).and_then(|number| number.trim().parse().ok());
            match number {
                Some(FORMAT) => Ok(()),
                // From here on a version that knows only the older one would take new entries for damage.
                Some(1 | 2) => write_whole(&path, format!("{TITLE}{FORMAT}\n").as_bytes()),
                Some(found) => Err(StoreError::Newer { found, supported: FORMAT }),
                None => Err(corrupt(&path, 0, "this is no journal")),
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if root.join("runs").exists() {
                return Err(corrupt(&path, 0, "the file is missing"));
            }
            write_whole(&path, format!("{TITLE}{FORMAT}\n").as_bytes())
        }
        Err(error) => Err(error).at("read", &path),
    }
}
