//! The stores under test.

use std::path::Path;
use std::sync::Arc;

use buildit::artifact::{BlobStore, CacheStore};
use buildit::memory::MemoryStore;
use buildit::store::Store;
use buildit_storage::ObjectBlobs;
use buildit_storage::sqlite::SqliteStore;

/// Where runs are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Keep {
    Journal,
    Sqlite,
}

/// What an engine keeps.
pub(crate) struct Kept {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) caches: Arc<dyn CacheStore>,
}

/// The store below this folder.
pub(crate) async fn open(keep: Keep, folder: &Path) -> Kept {
    match keep {
        Keep::Journal => {
            let store = Arc::new(MemoryStore::journaled(folder.join("journal")).expect("the journal opens"));
            Kept { store: store.clone(), blobs: store.clone(), caches: store }
        }
        Keep::Sqlite => {
            let store = Arc::new(SqliteStore::open(folder.join("runs.db")).await.expect("the database opens"));
            let blobs = ObjectBlobs::open(&folder.join("blobs")).expect("the folder is ours");
            Kept { store: store.clone(), blobs: Arc::new(blobs), caches: store }
        }
    }
}
