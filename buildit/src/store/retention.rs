//! How long runs are kept.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{RunFilter, RunStore, RunSummary, StoreError};
use crate::id::{RunId, TenantId};

/// How many runs are looked at together.
const PAGE: usize = 1000;

/// Which runs may go: those that have ended, and that nothing said here keeps. Without any limit all of them stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Runs that ended within this time stay.
    pub age: Option<Duration>,
    /// So many of the latest runs of each pipeline stay, whether or not they have ended.
    pub latest: Option<u64>,
}

impl Retention {
    /// Those of these runs, of all pipelines and the latest first, that are to go by `now`.
    ///
    /// ```
    /// # use buildit::{PipelineSpec, RunContext, RunStatus};
    /// # use buildit::store::{NewRun, Retention, RunSummary};
    /// # let now = jiff::Timestamp::UNIX_EPOCH;
    /// # let new = || NewRun::new(PipelineSpec::default(), RunContext::manual(), now);
    /// # let run = |number, status| RunSummary { status, ..RunSummary::of_new(&new(), number) };
    /// let runs = [run(3, RunStatus::Failed), run(2, RunStatus::Running), run(1, RunStatus::Succeeded)];
    /// let keep_one = Retention { latest: Some(1), ..Retention::default() };
    /// assert_eq!(keep_one.expired(&runs, now), [runs[2].id], "the second has not ended");
    /// ```
    #[must_use]
    pub fn expired(&self, runs: &[RunSummary], now: Timestamp) -> Vec<RunId> {
        let mut sift = self.sift(now);
        runs.iter().filter(|run| !sift.keeps(run)).map(|run| run.id).collect()
    }

    /// Decides about one run after another, the latest first.
    #[must_use]
    pub fn sift(self, now: Timestamp) -> RunSift {
        RunSift { retention: self, now, seen: HashMap::new() }
    }
}

/// Decides which runs are kept, in one walk over all of them.
#[derive(Clone, Debug)]
pub struct RunSift {
    retention: Retention,
    now: Timestamp,
    /// How many runs of each pipeline there were so far.
    seen: HashMap<(TenantId, String), u64>,
}

impl RunSift {
    /// Whether this run is kept.
    pub fn keeps(&mut self, run: &RunSummary) -> bool {
        let Retention { age, latest } = self.retention;
        if self.retention == Retention::default() {
            return true;
        }
        let later = self.seen.entry((run.tenant, run.pipeline.clone())).or_default();
        let is_latest = latest.is_some_and(|latest| *later < latest);
        *later += 1;
        is_latest || !run.status.is_final() || age.is_some_and(|age| is_within(run, age, self.now))
    }
}

/// Whether a run ended less than `age` ago. One whose end is not known counts from its beginning.
fn is_within(run: &RunSummary, age: Duration, now: Timestamp) -> bool {
    let ended = run.finished_at.unwrap_or(run.created_at);
    // What no duration can hold is longer than any.
    SignedDuration::try_from(age).map_or(true, |age| ended.duration_until(now) < age)
}

/// The runs of a tenant, or of all of them, that are to go by `now`. They are read in pages.
///
/// # Errors
///
/// [`StoreError`] when the store cannot tell.
pub async fn expired_runs(
    store: &(impl RunStore + ?Sized),
    tenant: Option<TenantId>,
    retention: Retention,
    now: Timestamp,
) -> Result<Vec<RunId>, StoreError> {
    let mut expired = Vec::new();
    if retention == Retention::default() {
        return Ok(expired);
    }
    let (mut filter, mut sift) = (RunFilter { tenant, ..RunFilter::default() }, retention.sift(now));
    loop {
        let runs = store.runs(&filter, PAGE).await?;
        let Some(last) = runs.last() else { return Ok(expired) };
        filter.before = Some(last.id);
        expired.extend(runs.iter().filter(|run| !sift.keeps(run)).map(|run| run.id));
    }
}

/// Forgets the runs of a tenant, or of all of them, that are to go by `now`, and says how many they were. A run of which
/// something may be left at an executor stays until it is [closed](RunStore::close_run).
///
/// # Errors
///
/// [`StoreError`] when the store fails; what was forgotten before that is gone.
pub async fn apply_retention(
    store: &(impl RunStore + ?Sized),
    tenant: Option<TenantId>,
    retention: Retention,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut forgotten = 0;
    for run in expired_runs(store, tenant, retention, now).await? {
        match store.delete_run(run).await {
            Ok(()) => forgotten += 1,
            // Somebody else was quicker, or its remains are still being removed.
            Err(StoreError::NoRun(_) | StoreError::NotEnded(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(forgotten)
}

#[cfg(test)]
mod tests {
    use super::super::NewRun;
    use super::*;
    use crate::event::RunStatus;
    use crate::pipeline::{PipelineSpec, RunContext};

    const DAY: i64 = 24 * 3600;

    fn day(day: i64) -> Timestamp {
        Timestamp::new(1_767_225_600 + day * DAY, 0).unwrap()
    }

    fn run(pipeline: &str, number: u64, status: RunStatus) -> RunSummary {
        let made = day(number.try_into().unwrap());
        let finished_at = status.is_final().then_some(made);
        let plan = PipelineSpec { name: pipeline.into(), ..PipelineSpec::default() };
        let new = NewRun::new(plan, RunContext::manual(), made);
        RunSummary { status, finished_at, ..RunSummary::of_new(&new, number) }
    }

    /// The numbers of those that go, by the tenth day.
    fn goes(runs: &[RunSummary], age: Option<u64>, latest: Option<u64>) -> Vec<u64> {
        let age = age.map(|days| Duration::from_secs(days * DAY.unsigned_abs()));
        let expired = Retention { age, latest }.expired(runs, day(10));
        runs.iter().filter(|run| expired.contains(&run.id)).map(|run| run.number).collect()
    }

    #[test]
    fn a_run_goes_when_nothing_keeps_it() {
        let runs: Vec<RunSummary> = (1..=5).rev().map(|number| run("a", number, RunStatus::Failed)).collect();
        assert_eq!(goes(&runs, None, None), [0; 0]);
        assert_eq!(goes(&runs, Some(7), None), [3, 2, 1], "a run of exactly that age goes");
        assert_eq!(goes(&runs, None, Some(2)), [3, 2, 1]);
        assert_eq!(goes(&runs, Some(7), Some(4)), [1], "either limit keeps a run");
        assert_eq!(goes(&runs, Some(0), Some(0)), [5, 4, 3, 2, 1]);
        assert_eq!(goes(&runs, Some(u64::MAX / 1_000_000), None), [0; 0]);
    }

    #[test]
    fn pipelines_are_counted_apart_and_open_runs_stay() {
        let runs = [
            run("a", 6, RunStatus::Running),
            run("b", 5, RunStatus::Succeeded),
            run("a", 4, RunStatus::Cancelled),
            run("b", 3, RunStatus::Waiting),
            run("b", 2, RunStatus::Failed),
            RunSummary { tenant: TenantId::new(), ..run("b", 1, RunStatus::Failed) },
        ];
        assert_eq!(goes(&runs, None, Some(1)), [4, 2], "another tenant's pipeline of that name is another one");
        assert_eq!(goes(&runs, None, Some(0)), [5, 4, 2, 1]);
    }
}
