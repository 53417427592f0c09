//! What is done so that a store does not grow for ever.

use std::time::Duration;

use buildit::artifact::{CacheQuota, Evicted};
use buildit::log::{Upkeep, upkeep};
use buildit::store::{Collected, LogRetention, Retention, apply_retention, collect_garbage};
use jiff::{SignedDuration, Timestamp};

use super::Stores;

/// How long what nothing refers to yet is left alone: a run may be about to.
pub(crate) const GRACE: Duration = Duration::from_secs(3600);

/// What of a store is kept.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) runs: Retention,
    pub(crate) logs: LogRetention,
    pub(crate) caches: CacheQuota,
    /// How long blobs stay that nothing refers to.
    pub(crate) grace: Duration,
}

impl Policy {
    /// Before when a blob was put that may go.
    pub(crate) fn before(&self, now: Timestamp) -> Timestamp {
        let grace = SignedDuration::try_from(self.grace).ok();
        grace.and_then(|grace| now.checked_sub(grace).ok()).unwrap_or(Timestamp::MIN)
    }
}

/// What was done to a store.
#[derive(Debug, Default)]
pub(crate) struct Tidied {
    /// How many runs were forgotten.
    pub(crate) runs: u64,
    pub(crate) logs: Upkeep,
    pub(crate) evicted: Evicted,
    pub(crate) collected: Collected,
}

/// Forgets what the policy does not keep, moves the logs of closed runs to the blobs, and removes the blobs that nothing
/// refers to then. Wherever it is broken off, the next call goes on.
pub(crate) async fn tidy(stores: &Stores, policy: &Policy, now: Timestamp) -> anyhow::Result<Tidied> {
    let Stores { store, blobs, caches, references, logs, .. } = stores;
    Ok(Tidied {
        runs: apply_retention(&**store, None, policy.runs, now).await?,
        logs: upkeep(&**logs, policy.logs, now).await?,
        evicted: caches.evict_caches(policy.caches).await?,
        collected: collect_garbage(&**references, &**blobs, policy.before(now)).await?,
    })
}
