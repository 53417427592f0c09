//! Runs that somebody elsewhere is to be told of.

use std::fmt::Debug;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::id::RunId;

/// Remembers which runs have ended and are to be told of elsewhere, to a collector of traces perhaps, by any of several
/// servers. It says nothing of what is told: that is in the record of the run.
#[async_trait]
pub trait ExportStore: Debug + Send + Sync + 'static {
    /// Remembers a run, due at `now`, unless it is there already.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not remembered; it can be called again.
    async fn export(&self, run: RunId, now: Timestamp) -> Result<(), StoreError>;

    /// Takes what is due at `now`, the longest due first, at most `limit`: each is another try, and nobody else takes it
    /// before `until`. Whoever has told it [settles](Self::settle_export) it; what is not settled by then is due again.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails; then some may have been taken.
    async fn take_exports(&self, now: Timestamp, until: Timestamp, limit: usize) -> Result<Vec<Export>, StoreError>;

    /// Makes a run due again at this time, or forgets it when there is none, unless another try was made meanwhile; whether
    /// it did.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it did not.
    async fn settle_export(&self, export: Export, again: Option<Timestamp>) -> Result<bool, StoreError>;
}

/// A try to tell of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// The run.
    pub run: RunId,
    /// Which try it is, from 1.
    pub tries: u32,
}
