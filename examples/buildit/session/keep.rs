//! Where the record of a run is kept.

use std::fs::{DirBuilder, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use buildit::artifact::{BlobStore, CacheStore};
use buildit::kept;
use buildit::memory::MemoryStore;
use buildit::store::{Store, StoreError};
use buildit_storage::ObjectBlobs;
use buildit_storage::sqlite::SqliteStore;
use tempfile::TempDir;

use crate::exit::Failure;

/// What the name of a record begins with that goes with its process.
pub(super) const PREFIX: &str = "run-";

/// The form of the state folder: `jobs`, and a record for each run without a journal.
const STATE_FORM: u32 = 1;

/// What an engine keeps, wherever that is. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) caches: Arc<dyn CacheStore>,
}

impl From<MemoryStore> for Stores {
    fn from(store: MemoryStore) -> Self {
        let store = Arc::new(store);
        Self { store: store.clone(), blobs: store.clone(), caches: store }
    }
}

/// Where the record of a run is kept: in a store or a journal that stays, or in a folder that goes with this process.
/// Memory alone would do for events, but not for a source of gigabytes or a log that never ends.
#[derive(Debug)]
pub(crate) struct Keep {
    /// The stores.
    pub(crate) stores: Stores,
    /// What of them lies on this machine, which is no part of a source.
    pub(crate) places: Vec<PathBuf>,
    /// Removed when it is dropped.
    _folder: Option<TempDir>,
}

impl Keep {
    /// A store at this address, one in this journal, or else one in a folder of its own below `state`. Jobs are kept
    /// there in any case.
    pub(crate) async fn open(store: Option<&str>, journal: Option<&Path>, state: &Path) -> Result<Self, Failure> {
        let broken = |error: io::Error| unusable(state, &error);
        make(state).map_err(broken)?;
        if let Some(address) = store {
            return Self::at(address).await;
        }
        if let Some(journal) = journal {
            let store = MemoryStore::journaled(journal).map_err(|error| match error {
                StoreError::InUse { .. } => Failure::refused(error),
                other => Failure::backend(other),
            })?;
            return Ok(Self { stores: store.into(), places: vec![journal.to_owned()], _folder: None });
        }
        let _making = exclusively(state).map_err(broken)?;
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(state).map_err(broken)?;
        let store = MemoryStore::journaled(folder.path()).map_err(|error| unusable(state, &error))?;
        Ok(Self { stores: store.into(), places: Vec::new(), _folder: Some(folder) })
    }

    /// The store at this address: `sqlite:FILE`, or a file by itself.
    pub(crate) async fn at(address: &str) -> Result<Self, Failure> {
        let file = match address.split_once(':') {
            Some(("sqlite", file)) => Path::new(file.strip_prefix("//").unwrap_or(file)),
            Some((scheme, _)) if scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_lowercase()) => {
                return Err(Failure::usage(format!("no store of the kind `{scheme}:`; there is `sqlite:FILE`")));
            }
            _ => Path::new(address),
        };
        let broken = |error: StoreError| {
            Failure::Backend(anyhow::Error::new(error).context(format!("the store {} cannot be used", file.display())))
        };
        let store = Arc::new(SqliteStore::open(file).await.map_err(broken)?);
        let beside = |suffix: &str| {
            let mut path = file.as_os_str().to_owned();
            path.push(suffix);
            PathBuf::from(path)
        };
        let blobs = ObjectBlobs::open(&beside(".blobs")).map_err(Failure::backend)?;
        let stores = Stores { store: store.clone(), blobs: Arc::new(blobs), caches: store };
        let places = ["", "-wal", "-shm", ".sessions", ".blobs"].map(beside).to_vec();
        Ok(Self { stores, places, _folder: None })
    }

    /// The store of this address, or else that of the state folder.
    pub(crate) async fn kept(address: Option<&str>) -> Result<Self, Failure> {
        if let Some(address) = address {
            return Self::at(address).await;
        }
        let state = super::state::folder()?;
        make(&state).map_err(|error| unusable(&state, &error))?;
        Self::at(&format!("sqlite:{}", state.join("runs.db").display())).await
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
