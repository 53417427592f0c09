//! What tenants want kept, and whose turn it is to see to it.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LogRetention, Retention, StoreError};
use crate::id::TenantId;

/// For how long a tenant's runs and their logs are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionPolicy {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which runs stay.
    pub runs: Retention,
    /// Which logs of them stay.
    pub logs: LogRetention,
    /// How often it was written: 1 for a new one.
    pub version: u64,
    /// When it was written last.
    pub updated_at: Timestamp,
}

/// Keeps the policies of tenants, and lets one of several servers at a time see to them.
#[async_trait]
pub trait PolicyStore: Debug + Send + Sync + 'static {
    /// Puts a policy in the place of the one that has the version before it: there must be none for version 1.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when another version is there: then nothing is changed.
    async fn put_policy(&self, policy: RetentionPolicy) -> Result<(), StoreError>;

    /// The policy of a tenant; `None` for one that said nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn policy(&self, tenant: TenantId) -> Result<Option<RetentionPolicy>, StoreError>;

    /// The policies of all tenants in order of their ids: those after this one, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn policies(&self, after: Option<TenantId>, limit: usize) -> Result<Vec<RetentionPolicy>, StoreError>;

    /// Takes the turn at a piece of work, and says whether it was free: nobody had it since `every` before `now`. Of two at
    /// once one has it. A turn that was taken later than `now`, by a clock that was set back since, holds up nobody.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails, [`StoreError::Unfit`] when no store keeps the name of the work.
    async fn take_turn(&self, work: &str, now: Timestamp, every: Duration) -> Result<bool, StoreError>;
}

#[async_trait]
impl<T: PolicyStore + ?Sized> PolicyStore for Arc<T> {
    async fn put_policy(&self, policy: RetentionPolicy) -> Result<(), StoreError> {
        (**self).put_policy(policy).await
    }

    async fn policy(&self, tenant: TenantId) -> Result<Option<RetentionPolicy>, StoreError> {
        (**self).policy(tenant).await
    }

    async fn policies(&self, after: Option<TenantId>, limit: usize) -> Result<Vec<RetentionPolicy>, StoreError> {
        (**self).policies(after, limit).await
    }

    async fn take_turn(&self, work: &str, now: Timestamp, every: Duration) -> Result<bool, StoreError> {
        (**self).take_turn(work, now, every).await
    }
}
