//! Accounts, what is asked of runs, and the queue as people see it, on either database.
//!
//! ```text
//! accounts.rs, steering.rs                  the ports, for both stores
//!   │
//! identity, credential, audit, queue, …     what is asked: SQL that both databases understand
//!   │
//! Records: read one statement, change with one or more statements in a transaction
//!   │                             │
//! sqlite/records.rs               postgres/records.rs      how a value becomes a column's, and back
//! ```
//!
//! What both understand: parameters `$1`, `RETURNING`, `ON CONFLICT`, `EXISTS`, `lower` of letters of ASCII. A row is
//! locked by an update that changes nothing: in PostgreSQL it makes others wait, and SQLite has one writer anyway.

pub(crate) mod ask;
pub(crate) mod audit;
pub(crate) mod credential;
pub(crate) mod delivery;
pub(crate) mod environment;
pub(crate) mod export;
mod found;
pub(crate) mod identity;
mod invitation;
mod link;
mod member;
pub(crate) mod notification;
pub(crate) mod policy;
mod query;
pub(crate) mod queue;
pub(crate) mod repository;
pub(crate) mod request;
mod row;
pub(crate) mod schedule;
pub(crate) mod status;
mod tenant;
#[cfg(all(test, feature = "sqlite"))]
mod tests;
mod value;
pub(crate) mod worker;

use std::fmt::Debug;

use async_trait::async_trait;
use buildit::store::StoreError;

pub(crate) use query::Query;
use query::sql;
pub(crate) use row::Row;
pub(crate) use value::{Kind, Value};

/// A database that keeps records.
#[async_trait]
pub(crate) trait Records: Debug + Send + Sync + 'static {
    /// The rows of one statement that changes nothing.
    async fn read(&self, query: Query) -> Result<Vec<Row>, StoreError>;

    /// Makes a change that is one statement; how many rows it changed.
    async fn run(&self, query: Query) -> Result<u64, StoreError>;

    /// Makes a change that is one statement, which is never refused and may be made along with those of others.
    async fn note(&self, query: Query) -> Result<(), StoreError> {
        self.run(query).await.map(drop)
    }

    /// Makes a change in a transaction; nothing is changed when it is refused.
    async fn change<C: Change>(&self, change: C) -> Result<C::Answer, StoreError>;

    /// Tells those who wait that there may be something new.
    async fn announce(&self, news: News);
}

/// What somebody may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A run that may be taken.
    Queue,
    /// Something that is asked of a run.
    Asks,
}

/// Several statements, all or nothing. It may be tried several times, so it keeps nothing of a try.
#[async_trait]
pub(crate) trait Change: Debug + Send + Sync + 'static {
    /// What it gives back.
    type Answer: Debug + Send + 'static;

    /// Makes the change.
    async fn change(&self, to: &mut dyn Statements) -> Result<Self::Answer, StoreError>;
}

/// A transaction.
#[async_trait]
pub(crate) trait Statements: Send {
    /// The rows of a statement.
    async fn rows(&mut self, query: Query) -> Result<Vec<Row>, StoreError>;

    /// How many rows a statement changes.
    async fn run(&mut self, query: Query) -> Result<u64, StoreError>;
}

/// The first of these rows, read by this function.
fn first<T>(rows: Vec<Row>, read: fn(&mut Row) -> Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    rows.into_iter().next().map(|mut row| read(&mut row)).transpose()
}

/// All of these rows, read by this function.
fn all<T>(rows: Vec<Row>, read: fn(&mut Row) -> Result<T, StoreError>) -> Result<Vec<T>, StoreError> {
    rows.into_iter().map(|mut row| read(&mut row)).collect()
}

/// A text without what no column holds.
fn fit(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// Refuses a change that found nothing to change.
fn found(rows: u64, what: impl FnOnce() -> String) -> Result<(), StoreError> {
    if rows == 0 { Err(StoreError::NotFound(what())) } else { Ok(()) }
}
