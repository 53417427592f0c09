//! The one who writes: a task with a connection of its own.

use std::fmt::Debug;

use async_trait::async_trait;
use buildit::store::StoreError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::error::failed;
use super::transaction::{Heads, Transaction};

/// How many writes wait for the writer before the next one waits for a place.
const WAITING: usize = 1024;

/// How many writes share one commit at most.
const BATCH: usize = 1024;

/// A change of the database, all or nothing. It is tried again by itself when another that shared its transaction
/// failed, so it keeps nothing of its first try.
#[async_trait]
pub(super) trait Write: Debug + Send + Sync + 'static {
    /// What it gives back.
    type Answer: Debug + Send + 'static;

    /// Makes the change within a transaction.
    ///
    /// # Errors
    ///
    /// A refusal (such as [`StoreError::Conflict`]) before anything was changed; any other error counts as a failure
    /// of the database.
    async fn write(&self, to: &mut Transaction<'_>) -> Result<Self::Answer, StoreError>;
}

/// The way to the writer.
#[derive(Clone, Debug)]
pub(super) struct Writer(mpsc::Sender<Box<dyn Pending>>);

impl Writer {
    /// Starts the task, which ends when the last way to it is gone. `options` open another connection when one is broken.
    pub(super) fn start(connection: SqliteConnection, options: SqliteConnectOptions) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(serve(Connected { connection: Some(connection), options, heads: Heads::default() }, receiver));
        Self(sender)
    }

    /// Has the change made; it is on the disk when this returns.
    ///
    /// # Cancel safety
    ///
    /// The change is made even when the future is dropped, unless that was before it was its turn to wait.
    pub(super) async fn write<W: Write>(&self, change: W) -> Result<W::Answer, StoreError> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { change, done: None, answer };
        let gone = || StoreError::backend("sqlite", sqlx::Error::WorkerCrashed);
        self.0.send(Box::new(waiting)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Has the change made after those that were handed over before it, for somebody who does not wait for it.
    pub(super) async fn post<W: Write>(&self, change: W) -> Result<(), StoreError> {
        let waiting = Waiting { change, done: None, answer: oneshot::channel().0 };
        self.0.send(Box::new(waiting)).await.map_err(|_| StoreError::backend("sqlite", sqlx::Error::WorkerCrashed))
    }
}

/// A change that somebody may wait for.
#[async_trait]
trait Pending: Debug + Send {
    /// Makes the change, or notes that it is refused.
    ///
    /// # Errors
    ///
    /// When the database failed, so that the transaction is worth nothing.
    async fn perform(&mut self, to: &mut Transaction<'_>) -> Result<(), StoreError>;
    /// Tells how it ended, now that it is committed.
    fn committed(self: Box<Self>);
    /// Tells that nothing came of it.
    fn failed(self: Box<Self>, error: StoreError);
}

#[derive(Debug)]
struct Waiting<W: Write> {
    change: W,
    done: Option<Result<W::Answer, StoreError>>,
    answer: oneshot::Sender<Result<W::Answer, StoreError>>,
}

#[async_trait]
impl<W: Write> Pending for Waiting<W> {
    async fn perform(&mut self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        match self.change.write(to).await {
            Err(error @ (StoreError::Backend { .. } | StoreError::Corrupt(_))) => Err(error),
            done => {
                self.done = Some(done);
                Ok(())
            }
        }
    }

    fn committed(self: Box<Self>) {
        if let Some(done) = self.done {
            let _ = self.answer.send(done);
        }
    }

    fn failed(self: Box<Self>, error: StoreError) {
        if let Err(Err(error)) = self.answer.send(Err(error)) {
            tracing::debug!(%error, change = ?self.change, "a change that nobody waits for was not made");
        }
    }
}

/// The connection, and what is known by it.
struct Connected {
    /// None after a failure: what SQLite makes of a transaction that met a full disk is not what its driver believes.
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
    heads: Heads,
}

async fn serve(mut database: Connected, mut changes: mpsc::Receiver<Box<dyn Pending>>) {
    let mut batch = Vec::new();
    while changes.recv_many(&mut batch, BATCH).await > 0 {
        // A runtime that polls every task once lets those that are about to write join.
        if batch.len() > 1 || !changes.is_empty() {
            tokio::task::yield_now().await;
            while batch.len() < BATCH
                && let Ok(more) = changes.try_recv()
            {
                batch.push(more);
            }
        }
        if database.transact(&mut batch).await.is_ok() {
            continue;
        }
        // Somebody's change broke the transaction: each by itself, so that only that one fails.
        for change in std::mem::take(&mut batch) {
            let mut alone = vec![change];
            if let Err(error) = database.transact(&mut alone).await
                && let Some(change) = alone.pop()
            {
                change.failed(error);
            }
        }
    }
    if let Some(connection) = database.connection
        && let Err(error) = connection.close().await
    {
        tracing::warn!(%error, "a database was not closed in good order");
    }
}

impl Connected {
    /// Makes all changes in one transaction and tells everybody; on an error nothing is changed and nobody told.
    async fn transact(&mut self, batch: &mut Vec<Box<dyn Pending>>) -> Result<(), StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => SqliteConnection::connect_with(&self.options).await.map_err(failed)?,
        };
        match transact(&mut connection, &mut self.heads, batch).await {
            Ok(()) => {
                self.connection = Some(connection);
                batch.drain(..).for_each(Pending::committed);
                Ok(())
            }
            Err(error) => {
                self.heads.clear();
                // Closed, it lets go of whatever was begun.
                let _ = connection.close().await;
                Err(error)
            }
        }
    }
}

async fn transact(
    connection: &mut SqliteConnection,
    heads: &mut Heads,
    batch: &mut [Box<dyn Pending>],
) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    perform(&mut transaction, heads, batch).await?;
    transaction.commit().await.map_err(failed)
}

async fn perform(
    connection: &mut SqliteConnection,
    heads: &mut Heads,
    batch: &mut [Box<dyn Pending>],
) -> Result<(), StoreError> {
    let mut transaction = Transaction::begun(connection, heads).await?;
    for change in batch {
        change.perform(&mut transaction).await?;
    }
    transaction.finish().await
}
