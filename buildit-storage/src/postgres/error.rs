//! What the database says, as what a store says.

use std::error::Error;

use buildit::store::StoreError;

/// `data_corrupted` and `index_corrupted`.
const DAMAGED: [&str; 2] = ["XX001", "XX002"];

/// `serialization_failure`, `deadlock_detected` and `idle_in_transaction_session_timeout`: the server undid the whole
/// transaction.
const UNDONE: [&str; 3] = ["40001", "40P01", "25P03"];

/// What ends a connection: `admin_shutdown`, `crash_shutdown`, `cannot_connect_now`, `idle_session_timeout`, and the
/// class of failed connections.
const CUT: [&str; 5] = ["57P01", "57P02", "57P03", "57P05", "08"];

/// That a query failed: for `map_err`.
pub(super) fn failed(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(said) if has_code(&error, &DAMAGED) => StoreError::Corrupt(said.message().to_owned()),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => StoreError::Corrupt(error.to_string()),
        _ => backend(error),
    }
}

/// That the database failed.
pub(super) fn backend(error: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
    StoreError::backend("postgres", error)
}

fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    let code = error.as_database_error().and_then(|said| said.code());
    code.is_some_and(|code| codes.iter().any(|begin| code.starts_with(begin)))
}

/// Whether it is this constraint that something is against.
pub(super) fn has_constraint(error: &sqlx::Error, name: &str) -> bool {
    error.as_database_error().and_then(|said| said.constraint()) == Some(name)
}

/// Whether the connection is gone, which the next one need not be.
pub(super) fn is_cut(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) || has_code(error, &CUT)
}

/// Nothing came of a try, and the next one may do better.
#[derive(Debug, thiserror::Error)]
pub(super) enum Again {
    /// The connection was gone before anything was asked of it.
    #[error("the connection was lost")]
    Cut(#[source] sqlx::Error),
    /// An entry of the queue appeared that ought to have been locked before the run.
    #[error("the run was queued in the same moment")]
    Queued,
    /// The server undid it each time.
    #[error("it came to nothing again and again")]
    Undone,
}

impl From<Again> for StoreError {
    fn from(again: Again) -> Self {
        backend(again)
    }
}

/// Whether a transaction came to nothing by no fault of its own, so that it can be tried again.
pub(super) fn is_undone(error: &StoreError) -> bool {
    let StoreError::Backend { source, .. } = error else { return false };
    source.is::<Again>() || source.downcast_ref().is_some_and(|error| has_code(error, &UNDONE))
}
