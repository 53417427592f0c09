//! [`PostgresStore`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use buildit::artifact::BlobStore;
use buildit::store::StoreError;
use jiff::Timestamp;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection};

use super::clock::{Look, Moment, Offset, Shift};
use super::error::{backend, failed};
use super::listen::News;
use crate::sql::{Definitions, migrate};

static SCHEMA: Migrator = sqlx::migrate!("migrations/postgres");

/// How many connections a store has, beside the one that listens: enough to keep a server of a few cores busy, and
/// few enough for a dozen engines under the server's usual limit of 100.
pub(super) const CONNECTIONS: u32 = 8;

/// How long a connection is waited for: a server is restarted in less.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How long the pool tries to connect before it begins anew. It waits for a server that is down twice as long each time,
/// up to a fifth of this: so long after the server is back nobody may be connected yet.
const POOL_PATIENCE: Duration = Duration::from_secs(3);

/// What each connection asks of its server: an engine that stops in the middle of a transaction must not hold its locks
/// for longer than a lease, and nobody waits for a lock for longer than that. A statement outside of a transaction sees
/// what was committed before it, whatever the server's default is.
///
/// Every statement here finds its rows by keys, and a queue is full at one moment and empty at the next: plans that follow
/// the statistics of either read whole tables at the other, and to plan a claim anew takes as long as to make it.
const SETTINGS: [(&str, &str); 6] = [
    ("idle_in_transaction_session_timeout", "20s"),
    ("lock_timeout", "30s"),
    ("default_transaction_isolation", "read committed"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    // What is left of whole tables to read looks so dear now that it would be compiled first.
    ("jit", "off"),
];

/// Keeps runs, logs, the queue, secrets, accounts and the index of caches in a PostgreSQL database, which any number of
/// engines share. Clones are the same store.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    inner: Arc<Inner>,
    blobs: Option<Arc<dyn BlobStore>>,
}

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    news: News,
    /// Claims go one after another: two at once would each step over what the other is about to take.
    claims: tokio::sync::Mutex<()>,
    offset: Mutex<Offset>,
    definitions: Definitions,
    now: fn() -> Timestamp,
}

impl PostgresStore {
    /// Connects to the database of this URL (`postgres://user:password@host/database?sslmode=verify-full`) and brings
    /// its schema up to date; an empty one gets it.
    ///
    /// ```no_run
    /// # async fn connect() -> Result<(), buildit::store::StoreError> {
    /// let store = buildit_storage::postgres::PostgresStore::connect("postgres://ada@localhost/buildit").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Newer`] when a newer version made its schema, [`StoreError::Corrupt`] when it is a database of
    /// something else or one that is not in UTF-8: then nothing in it is changed. [`StoreError::Backend`] when it
    /// cannot be connected to; no error holds the password.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_by(url, Timestamp::now).await
    }

    /// The same, for an engine whose clock is not the system's.
    ///
    /// # Errors
    ///
    /// As of [`connect`](Self::connect).
    pub async fn connect_by(url: &str, now: fn() -> Timestamp) -> Result<Self, StoreError> {
        let options = parse(url)?;
        let connection = tokio::time::timeout(PATIENCE, PgConnection::connect_with(&options));
        let mut connection = connection.await.map_err(backend)?.map_err(failed)?;
        // Looked at first: what is no database of ours is not turned into one.
        check(&mut connection).await?;
        migrate(&SCHEMA, &mut connection, failed).await?;
        connection.close().await.map_err(failed)?;
        // Each use of a connection begins with a test of its own.
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(POOL_PATIENCE);
        let pool = pool.test_before_acquire(false).connect_lazy_with(options.clone().options(SETTINGS));
        let (news, definitions) = (News::new(options), Definitions::default());
        let inner = Inner { pool, news, claims: Default::default(), offset: Mutex::default(), definitions, now };
        let store = Self { inner: Arc::new(inner), blobs: None };
        store.shift().await?;
        Ok(store)
    }

    /// The same store, which moves the logs of closed runs to this blob store and reads them there. Without one they stay
    /// in the database, and those that were moved cannot be read. All engines of a database need the same.
    #[must_use]
    pub fn with_blobs(self, blobs: Arc<dyn BlobStore>) -> Self {
        Self { blobs: Some(blobs), ..self }
    }

    /// Closes its connections, when what is under way has ended. Later calls fail, those of clones too.
    pub async fn close(&self) {
        self.inner.news.stop();
        self.inner.pool.close().await;
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.inner.pool
    }

    pub(super) fn blobs(&self) -> Option<&Arc<dyn BlobStore>> {
        self.blobs.as_ref()
    }

    /// Nobody else of this process claims, as long as this is held.
    pub(super) async fn claims(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.claims.lock().await
    }

    pub(super) fn definitions(&self) -> &Definitions {
        &self.inner.definitions
    }

    pub(super) fn news(&self) -> &News {
        &self.inner.news
    }

    /// What leads from this process's clock to the database's, measured a minute ago at most.
    pub(super) async fn shift(&self) -> Result<Shift, StoreError> {
        let offset = || self.inner.offset.lock().unwrap_or_else(PoisonError::into_inner);
        let known = offset().at(self.moment());
        if let Some(shift) = known {
            return Ok(shift);
        }
        let mut connection = self.reads().await?;
        let before = (self.inner.now)();
        let there = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&mut *connection).await;
        let there: jiff_sqlx::Timestamp = there.map_err(failed)?;
        let now = self.moment();
        Ok(offset().look(Look { before, there: there.to_jiff(), after: now.time }, now))
    }

    fn moment(&self) -> Moment {
        Moment { instant: Instant::now(), time: (self.inner.now)() }
    }
}

fn parse(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options: PgConnectOptions = url.parse().map_err(failed)?;
    // It would stand in the server's complaint that there is no such database.
    if options.get_database().is_some_and(|name| name.contains('@')) {
        let what =
            "the name of the database holds an `@`: write `/`, `?`, `#` and `@` of a password as %2F, %3F, %23, %40";
        return Err(backend(what));
    }
    Ok(match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("buildit"),
    })
}

/// Refuses a database that is not ours, one with tables but without the record of our migrations, and one that cannot
/// hold every text.
async fn check(connection: &mut PgConnection) -> Result<(), StoreError> {
    let tables =
        "SELECT count(*), count(*) FILTER (WHERE relname = '_sqlx_migrations'), current_setting('server_encoding')
         FROM pg_class
         WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relkind IN ('r', 'p')
             AND NOT EXISTS (SELECT FROM pg_depend
                 WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')";
    let (tables, ours, encoding): (i64, i64, String) =
        sqlx::query_as(tables).fetch_one(connection).await.map_err(failed)?;
    if tables > 0 && ours == 0 {
        return Err(StoreError::Corrupt("it is a database of something else".into()));
    }
    if encoding != "UTF8" {
        return Err(StoreError::Corrupt(format!("it is in {encoding}, not in UTF8")));
    }
    Ok(())
}
