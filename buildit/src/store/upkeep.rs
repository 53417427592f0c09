//! What becomes of the logs of runs that are closed.

use std::collections::HashMap;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::id::{RunId, TenantId};

/// Looks after the logs of closed runs: what [`upkeep`](crate::log::upkeep) calls now and then. An engine needs none of it.
///
/// Each step is durable by itself. What ends it half-way, even a kill, loses nothing: the next call goes on.
#[async_trait]
pub trait LogUpkeep: Debug + Send + Sync + 'static {
    /// Moves the logs of closed runs to the blob store, one blob for each, and says how many were moved. Readers notice
    /// nothing. A store that has no blob store, or gains nothing by it, moves none.
    ///
    /// A blob is kept before the store refers to it. So whoever removes blobs that nothing refers to must leave those
    /// of the last hour alone.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails. A log that is damaged is passed over.
    async fn archive_logs(&self) -> Result<u64, StoreError>;

    /// The closed runs whose logs are there, the one that was created last first, behind the place `before`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn kept_logs(&self, before: u64, limit: usize) -> Result<Vec<KeptLogs>, StoreError>;

    /// Removes the logs of those of these runs that are closed. To read one is
    /// [`LogRemoved`](StoreError::LogRemoved) from then on; where it ended is still known.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails; then none or some are removed. [`StoreError::Corrupt`] for a log that is
    /// damaged and therefore cannot be removed.
    async fn remove_logs(&self, runs: &[RunId]) -> Result<(), StoreError>;
}

/// The logs of a closed run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLogs {
    /// The run.
    pub run: RunId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its place in the order of creation.
    pub place: u64,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The bytes of their text.
    pub bytes: u64,
}

/// For how long logs are kept; nothing is said by default. What one of its parts forbids is not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRetention {
    /// At most so long after the end of their run.
    pub max_age: Option<Duration>,
    /// At most so many bytes of text in all.
    pub max_bytes: Option<u64>,
    /// At most those of so many runs.
    pub max_runs: Option<u64>,
}

impl LogRetention {
    /// Whether it keeps everything.
    #[must_use]
    pub fn keeps_all(&self) -> bool {
        *self == Self::default()
    }

    /// Decides about one run after another, the one that was created last first.
    #[must_use]
    pub fn sift(self, now: Timestamp) -> LogSift {
        LogSift { retention: self, now, bytes: 0, runs: 0 }
    }
}

/// For how long the logs of each tenant are kept: size and count are those of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRetentions {
    /// Of tenants by themselves.
    pub of: HashMap<TenantId, LogRetention>,
    /// Of all others together.
    pub others: LogRetention,
}

impl From<LogRetention> for LogRetentions {
    fn from(others: LogRetention) -> Self {
        Self { others, of: HashMap::new() }
    }
}

impl LogRetentions {
    /// Whether they keep everything.
    #[must_use]
    pub fn keep_all(&self) -> bool {
        self.others.keeps_all() && self.of.values().all(LogRetention::keeps_all)
    }

    /// Decides about one run after another, the one that was created last first.
    #[must_use]
    pub fn sift(&self, now: Timestamp) -> LogSifts {
        let of = self.of.iter().map(|(tenant, retention)| (*tenant, retention.sift(now))).collect();
        LogSifts { of, others: self.others.sift(now) }
    }
}

/// Decides whose logs are kept, of each tenant by itself, in one walk over all of them.
#[derive(Clone, Debug)]
pub struct LogSifts {
    of: HashMap<TenantId, LogSift>,
    others: LogSift,
}

impl LogSifts {
    /// Whether the logs of this run are kept.
    pub fn keeps(&mut self, logs: &KeptLogs) -> bool {
        self.of.get_mut(&logs.tenant).unwrap_or(&mut self.others).keeps(logs)
    }
}

/// Decides whose logs are kept, in one walk over all of them.
#[derive(Clone, Debug)]
pub struct LogSift {
    retention: LogRetention,
    now: Timestamp,
    bytes: u64,
    runs: u64,
}

impl LogSift {
    /// Whether the logs of this run are kept. Those that are not take no room from older ones.
    pub fn keeps(&mut self, logs: &KeptLogs) -> bool {
        let LogRetention { max_age, max_bytes, max_runs } = self.retention;
        let is_young = max_age.is_none_or(|most| {
            let age = Duration::try_from(self.now.duration_since(logs.finished_at)).unwrap_or_default();
            age <= most
        });
        let bytes = self.bytes.saturating_add(logs.bytes);
        let fits = max_bytes.is_none_or(|most| bytes <= most) && max_runs.is_none_or(|most| self.runs < most);
        if is_young && fits {
            (self.bytes, self.runs) = (bytes, self.runs + 1);
        }
        is_young && fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(retention: LogRetention, logs: &[(i64, u64)]) -> Vec<bool> {
        let mut sift = retention.sift(Timestamp::constant(1000, 0));
        let logs = logs.iter().zip((0..100).rev()).map(|(&(finished, bytes), place)| KeptLogs {
            run: RunId::new(),
            tenant: TenantId::NONE,
            place,
            finished_at: Timestamp::new(finished, 0).unwrap(),
            bytes,
        });
        logs.map(|logs| sift.keeps(&logs)).collect()
    }

    #[test]
    fn nothing_is_removed_unless_it_is_said() {
        assert!(LogRetention::default().keeps_all());
        assert_eq!(kept(LogRetention::default(), &[(900, 5), (0, u64::MAX), (0, u64::MAX)]), [true; 3]);
    }

    #[test]
    fn logs_go_by_age() {
        let retention = LogRetention { max_age: Some(Duration::from_secs(100)), ..LogRetention::default() };
        assert!(!retention.keeps_all());
        // One that ends after now comes of another clock.
        assert_eq!(kept(retention, &[(2000, 1), (900, 1), (899, 1), (950, 1)]), [true, true, false, true]);
    }

    #[test]
    fn logs_go_by_count_and_what_goes_takes_no_room() {
        let age = Some(Duration::from_secs(100));
        let retention = LogRetention { max_runs: Some(2), max_age: age, max_bytes: None };
        assert_eq!(kept(retention, &[(990, 1), (0, 1), (980, 1), (970, 1)]), [true, false, true, false]);
    }

    #[test]
    fn each_tenant_has_room_of_its_own() {
        let few = LogRetention { max_runs: Some(1), ..LogRetention::default() };
        let (one, other) = (TenantId::new(), TenantId::new());
        let retentions = LogRetentions { of: [(one, few)].into(), others: LogRetention::default() };
        assert!(!retentions.keep_all());
        assert!(LogRetentions { of: [(one, LogRetention::default())].into(), ..LogRetentions::default() }.keep_all());
        let mut sift = retentions.sift(Timestamp::UNIX_EPOCH);
        let logs =
            |tenant| KeptLogs { run: RunId::new(), tenant, place: 1, finished_at: Timestamp::UNIX_EPOCH, bytes: 1 };
        let kept: Vec<bool> = [other, one, other, one, other].map(|tenant| sift.keeps(&logs(tenant))).into();
        assert_eq!(kept, [true, true, true, false, true]);
    }

    #[test]
    fn logs_go_by_size_the_old_ones_before_the_new_ones() {
        let retention = LogRetention { max_bytes: Some(10), ..LogRetention::default() };
        assert_eq!(kept(retention, &[(9, 6), (8, 5), (7, 4), (6, 1)]), [true, false, true, false]);
        assert_eq!(kept(retention, &[(9, u64::MAX), (8, u64::MAX)]), [false, false]);
    }
}
