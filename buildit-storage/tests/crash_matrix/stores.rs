//! The stores under test.

use std::path::{Path, PathBuf};
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

/// Where a world keeps what its engines store, but for what is in a server.
pub(crate) fn kept(world: &Path) -> PathBuf {
    world.join("kept")
}

/// The store of this world.
pub(crate) async fn open(keep: Keep, world: &Path) -> Kept {
    let folder = kept(world);
    std::fs::create_dir_all(&folder).expect("the folder is ours");
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
            let name = database(world);
            let made = administer(world, &format!("CREATE DATABASE {name}")).await;
            let is_there = |error: &sqlx::Error| {
                error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "42P04")
            };
            assert!(made.as_ref().err().is_none_or(is_there), "{made:?}");
            let store = PostgresStore::connect(&url(world, &name)).await.expect("the database opens");
            let store = Arc::new(store);
            let blobs = ObjectBlobs::open(&folder.join("blobs")).expect("the folder is ours");
            Kept { store: store.clone(), blobs: Arc::new(blobs), caches: store }
        }
    }
}

#[cfg(feature = "postgres")]
/// Names the folder of a world's own server.
const SERVER: &str = "server";

/// Has this world use the server whose socket is in this folder.
#[cfg(feature = "postgres")]
pub(crate) fn use_server(world: &Path, socket: &Path) {
    std::fs::write(world.join(SERVER), socket.as_os_str().as_encoded_bytes()).expect("the folder is ours");
}

/// The folder of this world's own server, if it has one.
#[cfg(feature = "postgres")]
fn own_server(world: &Path) -> Option<PathBuf> {
    std::fs::read_to_string(world.join(SERVER)).ok().map(PathBuf::from)
}

/// A database of this name.
#[cfg(feature = "postgres")]
fn url(world: &Path, database: &str) -> String {
    if let Some(socket) = own_server(world) {
        return format!("postgres://buildit@localhost/{database}?host={}", socket.display());
    }
    let url = std::env::var("BUILDIT_TEST_POSTGRES").expect("BUILDIT_TEST_POSTGRES names a server");
    let (server, _) = url.rsplit_once('/').expect("a URL with a database");
    format!("{server}/{database}")
}

/// Leaves the tables and what their migrations put there, and asks for no order. A new database for each world would be
/// most of what a server with `fsync` writes.
#[cfg(feature = "postgres")]
const WIPE: &str = "DO $$ DECLARE name text; BEGIN
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename NOT IN ('_sqlx_migrations', 'result_salt', 'installation') LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
END $$";

#[cfg(feature = "postgres")]
/// The name of this world's database. On a server of its own it is that of the world before.
fn database(world: &Path) -> String {
    if own_server(world).is_some() {
        return "worlds".to_owned();
    }
    let name = world.to_string_lossy();
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("buildit_crash_{hash:016x}")
}

#[cfg(feature = "postgres")]
async fn administer(world: &Path, statement: &str) -> Result<(), sqlx::Error> {
    ask(&url(world, "postgres"), statement).await
}

#[cfg(feature = "postgres")]
async fn ask(url: &str, statement: &str) -> Result<(), sqlx::Error> {
    let mut connection = sqlx::PgConnection::connect(url).await?;
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
    connection.close().await
}

/// Cuts all connections to the database of a world, and waits for it. They are those of its engine.
#[cfg(feature = "postgres")]
pub(crate) fn cut(world: &Path) {
    let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", database(world));
    apart(|| async { administer(world, &cut).await.expect("we may") });
}

/// Kills each process of the server of a world.
#[cfg(feature = "postgres")]
pub(crate) fn kill_server(world: &Path) {
    super::server::kill_all(&own_server(world).expect("it has a server of its own"));
}

/// On a thread by itself: the engine's own runtime may be in the middle of something.
#[cfg(feature = "postgres")]
fn apart<F: Future<Output = ()>>(what: impl FnOnce() -> F + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| tokio::runtime::Runtime::new().expect("a runtime").block_on(what()));
    });
}

/// Removes what lies outside of the folder.
pub(crate) fn remove(keep: Keep, world: &Path) {
    let _ = (keep, world);
    #[cfg(feature = "postgres")]
    if keep == Keep::Postgres {
        let database = database(world);
        let (place, remove) = match own_server(world) {
            Some(_) => (url(world, &database), WIPE.to_owned()),
            None => (url(world, "postgres"), format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")),
        };
        apart(|| async { ask(&place, &remove).await.expect("the database is ours") });
    }
}
