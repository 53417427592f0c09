//! Where the record of a run is kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use buildit::artifact::{EvictCaches, RemoveBlobs};
use buildit::cached::ResultStore;
use buildit::memory::MemoryStore;
use buildit::store::{LogKeep, ReferenceStore, SecretStore, Store, StoreError};
use buildit_storage::ObjectBlobs;
use buildit_storage::sqlite::SqliteStore;

use crate::args::StoreArgs;
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

impl Stores {
    /// All that one store keeps, and these blobs.
    pub(crate) fn new<S>(store: Arc<S>, blobs: Arc<dyn RemoveBlobs>) -> Self
    where
        S: Store + EvictCaches + ResultStore + ReferenceStore + SecretStore + LogKeep,
    {
        Self {
            store: store.clone(),
            blobs,
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
    /// The store in a file, which whoever uses it looks after.
    pub(crate) local: Option<Local>,
}

/// A store in a file of this machine.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) store: Arc<SqliteStore>,
    /// Its time is that of the last upkeep.
    pub(crate) mark: PathBuf,
}

impl Keep {
    /// The journal in this folder.
    pub(crate) fn journal(folder: &Path) -> Result<Self, Failure> {
        let store = MemoryStore::journaled(folder).map_err(|error| match error {
            StoreError::InUse { .. } => Failure::refused(error),
            other => Failure::backend(other),
        })?;
        let store = Arc::new(store);
        Ok(Self { stores: Stores::new(store.clone(), store), places: vec![folder.to_owned()], local: None })
    }

    /// The store that is asked for, or else that of the state folder.
    pub(crate) async fn store(args: &StoreArgs) -> Result<Self, Failure> {
        let asked = |given: &Option<String>, variable: &str| {
            given.clone().or_else(|| std::env::var(variable).ok().filter(|value| !value.is_empty()))
        };
        let blobs = asked(&args.blobs, "BUILDIT_BLOBS");
        match asked(&args.store, "BUILDIT_STORE") {
            Some(address) => Self::at(&address, blobs.as_deref()).await,
            None => Self::file(&super::state::folder()?.join("runs.db"), blobs.as_deref()).await,
        }
    }

    /// The store at this address: `sqlite:FILE`, or a file by itself, or a server.
    async fn at(address: &str, blobs: Option<&str>) -> Result<Self, Failure> {
        match address.split_once(':') {
            Some(("sqlite", file)) => Self::file(Path::new(file.strip_prefix("//").unwrap_or(file)), blobs).await,
            Some(("postgres" | "postgresql", _)) => Self::server(address, blobs).await,
            Some((scheme, _)) if scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_lowercase()) => {
                let kinds = "there are `sqlite:FILE` and `postgres://…`";
                Err(Failure::usage(format!("no store of the kind `{scheme}:`; {kinds}")))
            }
            _ => Self::file(Path::new(address), blobs).await,
        }
    }

    async fn file(file: &Path, blobs: Option<&str>) -> Result<Self, Failure> {
        let broken = |error: StoreError| {
            Failure::Backend(anyhow::Error::new(error).context(format!("the store {} cannot be used", file.display())))
        };
        let store = SqliteStore::open(file).await.map_err(broken)?;
        let beside = |suffix: &str| {
            let mut path = file.as_os_str().to_owned();
            path.push(suffix);
            PathBuf::from(path)
        };
        let blobs = open_blobs(blobs, || Ok(beside(".blobs")))?;
        let store = Arc::new(store.with_blobs(blobs.clone()));
        let mark = beside(".upkeep");
        let mut places = ["", "-wal", "-shm", ".sessions", ".blobs"].map(beside).to_vec();
        places.push(mark.clone());
        let local = Some(Local { store: store.clone(), mark });
        Ok(Self { stores: Stores::new(store, blobs), places, local })
    }

    #[cfg(feature = "postgres")]
    async fn server(address: &str, blobs: Option<&str>) -> Result<Self, Failure> {
        let broken = |error: StoreError| {
            // The address may hold a password.
            Failure::Backend(anyhow::Error::new(error).context("the store on the PostgreSQL server cannot be used"))
        };
        let store = buildit_storage::postgres::PostgresStore::connect(address).await.map_err(broken)?;
        let state = || Ok(super::state::folder()?.join("blobs"));
        let blobs = open_blobs(blobs, state)?;
        let store = Arc::new(store.with_blobs(blobs.clone()));
        Ok(Self { stores: Stores::new(store, blobs), places: Vec::new(), local: None })
    }

    #[cfg(not(feature = "postgres"))]
    async fn server(_: &str, _: Option<&str>) -> Result<Self, Failure> {
        Err(Failure::usage("this `buildit` was built without PostgreSQL: it needs the feature `postgres`"))
    }
}

/// The blobs at this URL, or else in this folder.
fn open_blobs(
    url: Option<&str>,
    folder: impl FnOnce() -> Result<PathBuf, Failure>,
) -> Result<Arc<ObjectBlobs>, Failure> {
    let blobs = match url {
        // It may be of no known kind, which somebody typed.
        Some(url) => ObjectBlobs::connect(url).map_err(Failure::refused)?,
        None => ObjectBlobs::open(&folder()?).map_err(Failure::backend)?,
    };
    Ok(Arc::new(blobs))
}
