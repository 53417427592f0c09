//! Where the record of a run is kept.

use std::fs::{DirBuilder, File};
use std::io;
use std::path::Path;

use buildit::kept;
use buildit::memory::MemoryStore;
use buildit::store::StoreError;
use tempfile::TempDir;

/// What the name of a record begins with that goes with its process.
pub(super) const PREFIX: &str = "run-";

/// The form of the state folder: `jobs`, and a record for each run without a journal.
const STATE_FORM: u32 = 1;

/// Where the record of a run is kept: in a journal that stays, or in a folder that goes with this process. Memory
/// alone would do for events, but not for a source of gigabytes or a log that never ends.
#[derive(Debug)]
pub(crate) struct Keep {
    /// The store.
    pub(crate) store: MemoryStore,
    /// Removed when it is dropped.
    _folder: Option<TempDir>,
}

impl Keep {
    /// A store in this journal, or else in a folder of its own below `state`.
    pub(crate) fn open(journal: Option<&Path>, state: &Path) -> Result<Self, StoreError> {
        let broken = |source: io::Error| StoreError::Backend { name: "journal", source: source.into() };
        if let Some(journal) = journal {
            return Ok(Self { store: MemoryStore::journaled(journal)?, _folder: None });
        }
        make(state).map_err(broken)?;
        let _making = exclusively(state).map_err(broken)?;
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(state).map_err(broken)?;
        Ok(Self { store: MemoryStore::journaled(folder.path())?, _folder: Some(folder) })
    }
}

/// Makes the state folder for this user alone, with its mark.
fn make(state: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(state)?;
    kept::mark(state, "state", STATE_FORM)
}

/// Waits until no other process makes a record in this state folder, or looks for those of the dead: it must take
/// none for dead that is not locked yet. It is over when the file is dropped.
pub(super) fn exclusively(state: &Path) -> io::Result<File> {
    let lock = File::options().read(true).write(true).create(true).truncate(false).open(state.join("LOCK"))?;
    lock.lock()?;
    Ok(lock)
}
