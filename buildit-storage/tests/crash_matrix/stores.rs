//! The stores under test.

use std::path::Path;
use std::sync::Arc;

use buildit::artifact::{BlobStore, CacheStore};
use buildit::memory::MemoryStore;
use buildit::store::Store;
use buildit_storage::ObjectBlobs;
#[cfg(feature = "postgres")]
use buildit_storage::postgres::PostgresStore;
use buildit_storage::sqlite::SqliteStore;
#[cfg(feature = "postgres")]
use sqlx::Connection;

/// Where runs are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Keep {
    Journal,
    Sqlite,
    #[cfg(feature = "postgres")]
    /// In a database of its own on the server that `BUILDIT_TEST_POSTGRES` names to an administrator.
    Postgres,
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
        #[cfg(feature = "postgres")]
        Keep::Postgres => {
            let name = database(folder);
            let made = administer(&format!("CREATE DATABASE {name}")).await;
            let is_there = |error: &sqlx::Error| {
                error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "42P04")
            };
            assert!(made.as_ref().err().is_none_or(is_there), "{made:?}");
            let url = server();
            let (server, _) = url.rsplit_once('/').expect("a URL with a database");
            let store = PostgresStore::connect(&format!("{server}/{name}")).await.expect("the database opens");
            let store = Arc::new(store);
            let blobs = ObjectBlobs::open(&folder.join("blobs")).expect("the folder is ours");
            Kept { store: store.clone(), blobs: Arc::new(blobs), caches: store }
        }
    }
}

#[cfg(feature = "postgres")]
fn server() -> String {
    std::env::var("BUILDIT_TEST_POSTGRES").expect("BUILDIT_TEST_POSTGRES names a server")
}

#[cfg(feature = "postgres")]
/// The name of this folder's database.
fn database(folder: &Path) -> String {
    let name = folder.to_string_lossy();
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("buildit_crash_{hash:016x}")
}

#[cfg(feature = "postgres")]
async fn administer(statement: &str) -> Result<(), sqlx::Error> {
    let mut connection = sqlx::PgConnection::connect(&server()).await?;
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
    connection.close().await
}

/// Cuts the connections of an engine to its database.
#[derive(Debug)]
pub(crate) struct Cut(Option<String>);

impl Cut {
    pub(crate) fn new(keep: Keep, folder: &Path) -> Self {
        let _ = (keep, folder);
        #[cfg(feature = "postgres")]
        if keep == Keep::Postgres {
            return Self(Some(database(folder)));
        }
        Self(None)
    }

    /// Does so, and waits for it. The database of a world has no other connections.
    pub(crate) fn connections(&self) {
        let _database = self.0.as_deref().expect("only a server has connections");
        #[cfg(feature = "postgres")]
        {
            let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{_database}'");
            // By itself: the engine's own runtime is in the middle of something.
            let cutting = std::thread::spawn(move || {
                tokio::runtime::Runtime::new().expect("a runtime").block_on(administer(&cut)).expect("we may");
            });
            cutting.join().expect("it is cut");
        }
    }
}

/// Removes what lies outside of the folder.
pub(crate) fn remove(keep: Keep, folder: &Path) {
    let _ = (keep, folder);
    #[cfg(feature = "postgres")]
    if keep == Keep::Postgres {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let gone = runtime.block_on(administer(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", database(folder))));
        gone.expect("the database is ours");
    }
}
