//! Where the record of a run is kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use buildit::artifact::{EvictCaches, RemoveBlobs};
use buildit::cached::ResultStore;
use buildit::memory::MemoryStore;
use buildit::store::{LogKeep, ReferenceStore, SecretStore, Store, StoreError};
use buildit_storage::ObjectBlobs;
use buildit_storage::sqlite::SqliteStore;

use crate::exit::Failure;

/// What an engine keeps, wherever that is. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) blobs: Arc<dyn RemoveBlobs>,
    pub(crate) caches: Arc<dyn EvictCaches>,
    pub(crate) results: Arc<dyn ResultStore>,
    /// What of the blobs is needed.
    pub(crate) references: Arc<dyn ReferenceStore>,
    /// Sealed.
    pub(crate) secrets: Arc<dyn SecretStore>,
    /// The logs of closed runs.
    pub(crate) logs: Arc<dyn LogKeep>,
}

impl From<MemoryStore> for Stores {
    fn from(store: MemoryStore) -> Self {
        let store = Arc::new(store);
        Self {
            store: store.clone(),
            blobs: store.clone(),
            caches: store.clone(),
            results: store.clone(),
            references: store.clone(),
            secrets: store.clone(),
            logs: store,
        }
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
        let store = SqliteStore::open(file).await.map_err(broken)?;
        let beside = |suffix: &str| {
            let mut path = file.as_os_str().to_owned();
            path.push(suffix);
            PathBuf::from(path)
        };
        let blobs = Arc::new(ObjectBlobs::open(&beside(".blobs")).map_err(Failure::backend)?);
        let store = Arc::new(store.with_blobs(blobs.clone()));
        let stores = Stores {
            store: store.clone(),
            blobs,
            caches: store.clone(),
            results: store.clone(),
            references: store.clone(),
            secrets: store.clone(),
            logs: store,
        };
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
