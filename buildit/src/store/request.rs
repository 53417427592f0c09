//! Requests that may come twice.

use std::fmt::Debug;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::id::{Digest, RunId, TenantId};

/// Remembers which request made which run, so that one that is sent again makes no second one.
#[async_trait]
pub trait RequestStore: Debug + Send + Sync + 'static {
    /// Remembers a request under its key, unless one is remembered there that has not expired at `now`; the one that is
    /// remembered from then on. Of several at once all get the same.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not remembered.
    async fn remember(&self, request: Request, now: Timestamp) -> Result<Request, StoreError>;

    /// Forgets a request that made nothing; one under the same key that makes another run stays.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not forgotten.
    async fn forget_request(&self, request: &Request) -> Result<(), StoreError>;

    /// Forgets those that have expired; how many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they were not forgotten.
    async fn sweep_requests(&self, now: Timestamp) -> Result<u64, StoreError>;
}

/// A request for a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Whose run it is: keys of different tenants are different ones.
    pub tenant: TenantId,
    /// What whoever asks calls the request.
    pub key: String,
    /// The digest of all that the run depends on.
    pub content: Digest,
    /// The run that it makes, whether or not that is kept already.
    pub run: RunId,
    /// Until when it is remembered.
    pub expires_at: Timestamp,
}
