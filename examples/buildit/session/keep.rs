//! Where the record of a run is kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use buildit::artifact::{BlobStore, CacheStore};
use buildit::cached::ResultStore;
use buildit::memory::MemoryStore;
use buildit::store::{Store, StoreError};
use buildit_storage::ObjectBlobs;
use buildit_storage::sqlite::SqliteStore;

use crate::exit::Failure;

/// What an engine keeps, wherever that is. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) caches: Arc<dyn CacheStore>,
    pub(crate) results: Arc<dyn ResultStore>,
}

impl From<MemoryStore> for Stores {
    fn from(store: MemoryStore) -> Self {
        let store = Arc::new(store);
        Self { store: store.clone(), blobs: store.clone(), caches: store.clone(), results: store }
    }
}

/// Where runs are kept: in a store, which is of many, or in a journal, which is of one after the other.
#[derive(Debug)]
pub(crate) struct Keep {
    /// The stores.
    pub(crate) stores: Stores,
    /// What of them lies on this machine, which is no part of a source.
    pub(crate) places: Vec<PathBuf>,
}

impl Keep {
    /// The journal in this folder.
    pub(crate) fn journal(folder: &Path) -> Result<Self, Failure> {
        let store = MemoryStore::journaled(folder).map_err(|error| match error {
            StoreError::InUse { .. } => Failure::refused(error),
            other => Failure::backend(other),
        })?;
        Ok(Self { stores: store.into(), places: vec![folder.to_owned()] })
    }

    /// The store at this address: `sqlite:FILE`, or a file by itself.
    async fn at(address: &str) -> Result<Self, Failure> {
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
        let (caches, results) = (store.clone(), store.clone());
        let stores = Stores { store, blobs: Arc::new(blobs), caches, results };
        let places = ["", "-wal", "-shm", ".sessions", ".blobs"].map(beside).to_vec();
        Ok(Self { stores, places })
    }

    /// The store at this address, or else that of the state folder.
    pub(crate) async fn store(address: Option<&str>) -> Result<Self, Failure> {
        if let Some(address) = address {
            return Self::at(address).await;
        }
        let state = super::state::folder()?;
        Self::at(&format!("sqlite:{}", state.join("runs.db").display())).await
    }
}
