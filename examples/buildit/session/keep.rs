//! Where the record of a run is kept.

use std::path::Path;

use buildit::memory::MemoryStore;
use buildit::store::StoreError;
use tempfile::TempDir;

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
        if let Some(journal) = journal {
            return Ok(Self { store: MemoryStore::journaled(journal)?, _folder: None });
        }
        let broken = |source: std::io::Error| StoreError::Backend { name: "journal", source: source.into() };
        std::fs::create_dir_all(state).map_err(broken)?;
        let folder = tempfile::Builder::new().prefix("run-").tempdir_in(state).map_err(broken)?;
        Ok(Self { store: MemoryStore::journaled(folder.path())?, _folder: Some(folder) })
    }
}
