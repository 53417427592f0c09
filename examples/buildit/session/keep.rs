//! Where the record of a run is kept.

use std::fs::{DirBuilder, File};
use std::io;
use std::path::Path;

use buildit::kept;
use buildit::memory::MemoryStore;
use buildit::store::StoreError;
use tempfile::TempDir;

use crate::exit::Failure;

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
    /// A store in this journal, or else in a folder of its own below `state`. Jobs are kept there in any case.
    pub(crate) fn open(journal: Option<&Path>, state: &Path) -> Result<Self, Failure> {
        let broken = |error: io::Error| unusable(state, &error);
        make(state).map_err(broken)?;
        if let Some(journal) = journal {
            let store = MemoryStore::journaled(journal).map_err(|error| match error {
                StoreError::InUse { .. } => Failure::refused(error),
                other => Failure::backend(other),
            })?;
            return Ok(Self { store, _folder: None });
        }
        let _making = exclusively(state).map_err(broken)?;
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(state).map_err(broken)?;
        let store = MemoryStore::journaled(folder.path()).map_err(|error| unusable(state, &error))?;
        Ok(Self { store, _folder: Some(folder) })
    }
}

/// The person named no folder: what is said has to.
fn unusable(state: &Path, error: &dyn std::error::Error) -> Failure {
    let place = state.display();
    Failure::Backend(anyhow::anyhow!(
        "cannot keep what a run needs in {place}: {error}; set XDG_STATE_HOME to a folder that can be written to"
    ))
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
