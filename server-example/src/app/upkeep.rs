//! What is done so that a store does not grow for ever, and its logs can be searched.

use std::collections::HashMap;
use std::time::Duration;

use buildit::artifact::{BlobError, CacheQuota, Evicted};
use buildit::log::{Upkeep, upkeep};
use buildit::store::{
    Collected, GarbageError, LogRetention, LogRetentions, Retention, RetentionPolicy, StoreError, apply_retention,
    collect_garbage,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::audit;
use crate::access::Access;
use crate::problem::Problem;
use crate::state::ServerState;

/// How often the logs of runs that have ended meanwhile are added to the index, and how often the rest is done.
const INDEX: Duration = Duration::from_secs(60);
const TIDY: Duration = Duration::from_secs(3600);

/// How long blobs stay that nothing refers to: a run may be about to.
const GRACE: SignedDuration = SignedDuration::from_hours(1);

/// How many policies are read at once.
const PAGE: usize = 100;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The longest time and the largest size that a policy says: a hundred years, and a pebibyte.
const MOST_DAYS: u64 = 36_500;
const MOST_BYTES: u64 = 1 << 50;

/// What was done to a store.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Tidied {
    /// How many runs were forgotten.
    pub runs: u64,
    /// What was done with logs.
    pub logs: Upkeep,
    /// The caches that were forgotten.
    pub caches: Evicted,
    /// The blobs that were kept and removed.
    pub blobs: Collected,
}

/// A store cannot be tidied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TidyError {
    /// The store failed.
    #[error("the store cannot be tidied")]
    Store(#[from] StoreError),
    /// The caches could not be looked through.
    #[error("caches cannot be looked through")]
    Caches(#[from] BlobError),
    /// Blobs could not be removed.
    #[error("blobs cannot be removed")]
    Blobs(#[from] GarbageError),
}

/// Looks after the store until it is stopped; of several servers one at a time.
pub(crate) async fn work(state: ServerState) {
    loop {
        tokio::time::sleep(INDEX).await;
        if let Err(error) = turn(&state, Timestamp::now()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the store cannot be looked after");
        }
    }
}

/// Does what is due now, if no other server does.
async fn turn(state: &ServerState, now: Timestamp) -> Result<(), TidyError> {
    if state.store().take_turn("tidy", now, TIDY).await? {
        let Tidied { runs, logs, caches, blobs } = tidy(state, now).await?;
        for damaged in &logs.damaged {
            tracing::warn!(run = %damaged.run, "logs that were to go stay, for not all can be read: {}", damaged.message);
        }
        let (caches, blobs) = (caches.caches, blobs.removed.blobs);
        tracing::info!(runs, logs = logs.removed, caches, blobs, "what is not kept was removed");
    } else if state.store().take_turn("index", now, INDEX / 2).await? {
        upkeep(&**state.store(), LogRetention::default(), now).await?;
    }
    Ok(())
}

/// Does all of it.
pub(crate) async fn tidy(state: &ServerState, now: Timestamp) -> Result<Tidied, TidyError> {
    let store = state.store();
    let (mut runs, mut logs, mut after) = (0, HashMap::new(), None);
    loop {
        let page = store.policies(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.tenant);
        for policy in page {
            runs += apply_retention(&**store, Some(policy.tenant), policy.runs, now).await?;
            logs.insert(policy.tenant, policy.logs);
        }
    }
    let logs = upkeep(&**store, LogRetentions { of: logs, ..LogRetentions::default() }, now).await?;
    let quota = CacheQuota { scope_bytes: None, total_bytes: Some(state.settings().cache_gib.saturating_mul(1 << 30)) };
    let caches = store.evict_caches(quota).await?;
    let before = now.checked_sub(GRACE).unwrap_or(Timestamp::MIN);
    let blobs = collect_garbage(&**store, &**state.removable_blobs(), before).await?;
    Ok(Tidied { runs, logs, caches, blobs })
}

/// What is kept, in the units that people say. A run stays while either limit of runs keeps it; a log goes when any limit of
/// logs forbids it, or with its run. What is left out is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = Retention)]
pub(crate) struct Kept {
    /// Runs stay for so many days after their end.
    pub(crate) run_days: Option<u64>,
    /// So many of the latest runs of each pipeline stay.
    pub(crate) latest_runs: Option<u64>,
    /// Logs stay for so many days after the end of their run.
    pub(crate) log_days: Option<u64>,
    /// Logs have at most so many bytes of text together: the latest ones stay.
    pub(crate) log_bytes: Option<u64>,
    /// The logs of so many runs stay.
    pub(crate) log_runs: Option<u64>,
}

fn days(time: Duration) -> u64 {
    time.as_secs().div_ceil(DAY.as_secs())
}

impl From<&RetentionPolicy> for Kept {
    fn from(policy: &RetentionPolicy) -> Self {
        let RetentionPolicy { runs, logs, .. } = policy;
        Self {
            run_days: runs.age.map(days),
            latest_runs: runs.latest,
            log_days: logs.max_age.map(days),
            log_bytes: logs.max_bytes,
            log_runs: logs.max_runs,
        }
    }
}

impl Kept {
    fn check(&self) -> Result<(), Problem> {
        let Self { run_days, log_days, log_bytes, .. } = *self;
        if [run_days, log_days].into_iter().flatten().any(|days| days > MOST_DAYS) {
            return Err(Problem::invalid(format!("at most {MOST_DAYS} days can be said")));
        }
        if log_bytes.is_some_and(|bytes| bytes > MOST_BYTES) {
            return Err(Problem::invalid("at most a pebibyte can be said"));
        }
        Ok(())
    }

    fn age(days: u64) -> Duration {
        Duration::from_secs(days.saturating_mul(DAY.as_secs()))
    }
}

/// What a tenant wants kept, and how often it was said.
pub(crate) async fn policy(state: &ServerState, access: &Access) -> Result<(Kept, u64), Problem> {
    let found = state.store().policy(access.tenant.id).await?;
    Ok(found.map_or((Kept::default(), 0), |policy| (Kept::from(&policy), policy.version)))
}

/// Says what a tenant wants kept; with a version, only if it is still the one that is there. It is acted on within the hour.
pub(crate) async fn set_policy(
    state: &ServerState,
    access: &Access,
    kept: Kept,
    version: Option<u64>,
) -> Result<u64, Problem> {
    kept.check()?;
    let tenant = access.tenant.id;
    let before = state.store().policy(tenant).await?.map_or(0, |policy| policy.version);
    if version.is_some_and(|version| version != before) {
        return Err(Problem::changed());
    }
    let policy = RetentionPolicy {
        tenant,
        runs: Retention { age: kept.run_days.map(Kept::age), latest: kept.latest_runs },
        logs: LogRetention {
            max_age: kept.log_days.map(Kept::age),
            max_bytes: kept.log_bytes,
            max_runs: kept.log_runs,
        },
        version: before + 1,
        updated_at: Timestamp::now(),
    };
    state.store().put_policy(policy).await?;
    let Kept { run_days, latest_runs, log_days, log_bytes, log_runs } = kept;
    let details = [
        ("run_days", run_days.into()),
        ("latest_runs", latest_runs.into()),
        ("log_days", log_days.into()),
        ("log_bytes", log_bytes.into()),
        ("log_runs", log_runs.into()),
    ];
    audit::of_tenant(state, access, "retention.set", &access.tenant.name, &details).await;
    Ok(before + 1)
}
