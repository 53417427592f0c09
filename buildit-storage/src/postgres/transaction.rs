//! Reads and writes on a connection that works.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use buildit::store::StoreError;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, Postgres};

use super::PostgresStore;
use super::error::{Again, backend, failed, is_cut, is_undone};
use super::store::{CONNECTIONS, PATIENCE};

/// How often a write is tried: more often than there are connections that a restart of the server may have cut.
pub(super) const TRIES: u32 = 2 * CONNECTIONS;

/// How long a write may take; the connection is given up then, for its server may be gone without a word.
const LONGEST: Duration = Duration::from_secs(120);

/// How long a connection may take to show that it works.
const ANSWER: Duration = Duration::from_secs(10);

/// How long after it cut a new connection the server is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// Whatever the server's default is: each statement sees what was committed before it, locks included.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// A change of the database, all or nothing. It may be tried several times, so it keeps nothing of a try.
#[async_trait]
pub(super) trait Write: Debug + Send + Sync {
    /// What it gives back.
    type Answer: Send;

    /// Makes the change within a transaction, of which nothing stays when it fails.
    async fn write(&self, to: &mut PgConnection) -> Result<Self::Answer, StoreError>;
}

impl PostgresStore {
    /// A connection that has just answered.
    pub(super) async fn reads(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        for _ in 0..TRIES {
            let mut connection = self.acquire().await?;
            match tokio::time::timeout(ANSWER, connection.ping()).await {
                Ok(Ok(())) => return Ok(connection),
                Ok(Err(error)) => tracing::debug!(%error, "a connection was lost"),
                Err(_) => tracing::debug!("a connection does not answer"),
            }
            connection.close_on_drop();
        }
        Err(backend(sqlx::Error::PoolTimedOut))
    }

    /// A connection out of the pool, which waits for a server that does not listen yet. One that is just stopping or
    /// starting takes connections and cuts them; it is waited for too.
    async fn acquire(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.pool().acquire().await {
                Err(sqlx::Error::PoolTimedOut) if Instant::now() < until => {}
                Err(error) if is_cut(&error) && Instant::now() < until => tokio::time::sleep(PAUSE).await,
                acquired => return acquired.map_err(failed),
            }
        }
    }

    /// Makes the change; it is committed when this returns.
    ///
    /// # Cancel safety
    ///
    /// A dropped future may have made the change, as may one that failed while it was committed.
    pub(super) async fn write<W: Write>(&self, change: W) -> Result<W::Answer, StoreError> {
        for _ in 1..TRIES {
            match self.attempt(&change).await {
                Err(error) if is_undone(&error) => tracing::debug!(%error, ?change, "a write is tried again"),
                answer => return answer,
            }
        }
        self.attempt(&change).await
    }

    /// Makes a change that is one statement, which is a transaction by itself: an engine that is stopped at any time
    /// holds no lock of it.
    ///
    /// # Cancel safety
    ///
    /// As of [`write`](Self::write).
    pub(super) async fn write_at_once<W: Write>(&self, change: W) -> Result<W::Answer, StoreError> {
        let mut tries = TRIES;
        loop {
            let mut connection = self.reads().await?;
            let made = tokio::time::timeout(LONGEST, change.write(&mut connection)).await;
            let made = made.unwrap_or_else(|elapsed| Err(backend(elapsed)));
            tries -= 1;
            match made {
                Err(error) if is_undone(&error) && tries > 0 => {
                    tracing::debug!(%error, ?change, "a write is tried again")
                }
                Err(error @ StoreError::Backend { .. }) => {
                    connection.close_on_drop();
                    return Err(error);
                }
                made => return made,
            }
        }
    }

    async fn attempt<W: Write>(&self, change: &W) -> Result<W::Answer, StoreError> {
        let mut connection = self.acquire().await?;
        let made = tokio::time::timeout(LONGEST, transact(&mut connection, change)).await;
        let made = made.unwrap_or_else(|elapsed| Err(backend(elapsed)));
        if matches!(made, Err(StoreError::Backend { .. })) {
            connection.close_on_drop();
        }
        made
    }
}

async fn transact<W: Write>(connection: &mut PgConnection, change: &W) -> Result<W::Answer, StoreError> {
    let begun = connection.begin_with(BEGIN).await;
    let mut transaction =
        begun.map_err(|error| if is_cut(&error) { Again::Cut(error).into() } else { failed(error) })?;
    match change.write(&mut transaction).await {
        Ok(answer) => transaction.commit().await.map(|()| answer).map_err(failed),
        Err(refused) => {
            // At once, so that nobody waits for its locks; a connection that cannot do even that is closed.
            if let Err(error) = transaction.rollback().await {
                tracing::debug!(%error, "a transaction ends with its connection");
            }
            Err(refused)
        }
    }
}
