//! [`SqliteStore`].

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use buildit::artifact::BlobStore;
use buildit::store::StoreError;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::Notify;

use super::error::failed;
use super::session::Session;
use super::writer::{Write, Writer};
use crate::sql::{Definitions, migrate};

static SCHEMA: Migrator = sqlx::migrate!("migrations/sqlite");

/// How many connections read at once.
const READERS: u32 = 4;

/// How long another process's write is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Keeps runs, logs, the queue, secrets, accounts and the index of caches and results in one file.
/// Clones are the same store.
///
/// Several processes may have the file open. The leases of one that has ended, however it ended, are void when
/// another opens the file, and for whoever takes up the run by itself; a claim of the queue waits for their time.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    inner: Arc<Inner>,
    blobs: Option<Arc<dyn BlobStore>>,
}

#[derive(Debug)]
struct Inner {
    reads: SqlitePool,
    writer: Writer,
    session: Arc<Session>,
    /// Told when there may be something new in the queue.
    changed: Notify,
    /// Told when something is asked of a run.
    asked: Notify,
    definitions: Definitions,
    file: PathBuf,
}

impl SqliteStore {
    /// Opens the store in this file, which is made, for its owner alone, if it is not there; the schema of an earlier
    /// version is brought up to date.
    ///
    /// # Errors
    ///
    /// [`StoreError::Newer`] when a newer version wrote it, [`StoreError::Corrupt`] when it is damaged or something
    /// else: then nothing in it is changed. Any other [`StoreError`] when it can be neither opened nor made.
    pub async fn open(file: impl AsRef<Path>) -> Result<Self, StoreError> {
        let file = file.as_ref();
        make_private(file).map_err(|error| StoreError::backend("sqlite", error))?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            .statement_cache_capacity(256)
            .synchronous(SqliteSynchronous::Full);
        // Looked at first: what is no database of ours is not turned into one.
        check(&options).await?;
        let options = options.journal_mode(SqliteJournalMode::Wal);
        // A schema that makes a table anew drops the old one, which must not take along what refers to it.
        let mut connection =
            SqliteConnection::connect_with(&options.clone().foreign_keys(false)).await.map_err(failed)?;
        migrate(&SCHEMA, &mut connection, failed).await?;
        connection.close().await.map_err(failed)?;
        let connection = SqliteConnection::connect_with(&options).await.map_err(failed)?;
        let session = Arc::new(Session::begin(file).map_err(|error| StoreError::backend("sqlite", error))?);
        // A file does not hang up: nobody need ask whether it is still there before each statement.
        let reads = SqlitePoolOptions::new().max_connections(READERS).test_before_acquire(false);
        let reads = reads.connect_lazy_with(options.clone().read_only(true).pragma("query_only", "on"));
        let (writer, changed, asked) = (Writer::start(connection, options), Notify::new(), Notify::new());
        let (definitions, file) = (Definitions::default(), file.to_owned());
        let inner = Inner { reads, writer, session, changed, asked, definitions, file };
        let store = Self { inner: Arc::new(inner), blobs: None };
        store.end_leases_of_the_dead().await?;
        Ok(store)
    }

    /// The same store, which moves the logs of closed runs to this blob store and reads them there. Without one they stay
    /// in the file, and those that were moved cannot be read.
    #[must_use]
    pub fn with_blobs(self, blobs: Arc<dyn BlobStore>) -> Self {
        Self { blobs: Some(blobs), ..self }
    }

    /// The file that it is in.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.inner.file
    }

    pub(super) fn reads(&self) -> &SqlitePool {
        &self.inner.reads
    }

    pub(super) fn blobs(&self) -> Option<&Arc<dyn BlobStore>> {
        self.blobs.as_ref()
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.inner.session
    }

    pub(super) fn definitions(&self) -> &Definitions {
        &self.inner.definitions
    }

    pub(super) fn changed(&self) -> &Notify {
        &self.inner.changed
    }

    pub(super) fn asked(&self) -> &Notify {
        &self.inner.asked
    }

    pub(super) async fn write<W: Write>(&self, change: W) -> Result<W::Answer, StoreError> {
        self.inner.writer.write(change).await
    }

    pub(super) async fn post<W: Write>(&self, change: W) -> Result<(), StoreError> {
        self.inner.writer.post(change).await
    }
}

/// Makes the file if it is not there, with the folders above it.
pub(super) fn make_private(file: &Path) -> std::io::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(drop)
}

/// Refuses a database that is not ours: one with tables, but without the record of our migrations. Says how many tables it
/// has.
pub(super) async fn check(options: &SqliteConnectOptions) -> Result<i64, StoreError> {
    let mut connection = SqliteConnection::connect_with(&options.clone().read_only(true)).await.map_err(failed)?;
    let tables =
        "SELECT count(*), count(*) FILTER (WHERE name = '_sqlx_migrations') FROM sqlite_schema WHERE type = 'table'";
    let (tables, ours): (i64, i64) = sqlx::query_as(tables).fetch_one(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    if tables > 0 && ours == 0 {
        return Err(StoreError::Corrupt("it is a database of something else".into()));
    }
    Ok(tables)
}
