//! The upkeep that a run does by itself once it has ended, so that nobody has to think of `gc`.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use buildit::artifact::CacheQuota;
use buildit::store::{LogRetention, Retention};
use jiff::Timestamp;

use super::{GRACE, Keep, Local, Policy, Signals, Tidied, tidy};

/// The variable that turns it off, with `off`.
const SWITCH: &str = "BUILDIT_GC";

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long after one upkeep the next is due: so seldom that nobody waits for it twice a day.
const EVERY: Duration = DAY;

/// How long the end of a run is held up at most. What is not done by then is left to the next time.
const AT_MOST: Duration = Duration::from_secs(1);

/// Runs that ended within this time stay, and so do [`LATEST`] of each pipeline, however old: who wants less asks `gc`
/// for it.
const AGE: Duration = Duration::from_secs(90 * 24 * 3600);

/// So many of the latest runs of each pipeline stay.
const LATEST: u64 = 100;

/// How much all caches of a store may have: those of some dozens of projects.
const CACHES: u64 = 20 << 30;

/// What became of the upkeep that was due.
#[derive(Debug)]
pub(crate) enum UpkeepDone {
    /// All of it was done.
    Whole(Tidied),
    /// Time was up.
    CutShort,
}

/// Tidies the store if that was last done more than a day ago and nobody else is about to, or is using the store.
/// `None` when it was not due, or a signal came.
pub(crate) async fn daily(keep: &Keep, signals: &mut Signals) -> anyhow::Result<Option<UpkeepDone>> {
    let Some(local) = keep.local.as_ref().filter(|_| !signals.came() && !is_off()) else { return Ok(None) };
    // Locked as long as it is open.
    let Some(mark) = due(&local.mark).with_context(|| format!("cannot use {}", local.mark.display()))? else {
        return Ok(None);
    };
    let now = Timestamp::now();
    if is_busy(keep, local, now).await? {
        return Ok(None);
    }
    // First, so that what cannot be done is not tried at the end of every run.
    mark.set_modified(SystemTime::from(now))?;
    let policy = Policy {
        runs: Retention { age: Some(AGE), latest: Some(LATEST) },
        logs: LogRetention::default(),
        caches: CacheQuota { scope_bytes: None, total_bytes: Some(CACHES) },
        grace: GRACE,
    };
    tokio::select! {
        done = tidy(&keep.stores, &policy, now) => Ok(Some(UpkeepDone::Whole(done?))),
        () = tokio::time::sleep(AT_MOST) => Ok(Some(UpkeepDone::CutShort)),
        _ = signals.next() => Ok(None),
    }
}

fn is_off() -> bool {
    std::env::var_os(SWITCH).is_some_and(|value| value == "off")
}

/// Whether another process drives a run of this store.
async fn is_busy(keep: &Keep, local: &Local, now: Timestamp) -> anyhow::Result<bool> {
    let broken_off = local.store.broken_off_runs(now).await?;
    Ok(keep.stores.store.open_runs().await?.iter().any(|run| !broken_off.contains(run)))
}

/// The file whose time is that of the last upkeep, when the next one is due and no other process does it. A store that has
/// none gets one, and a day to go.
fn due(path: &Path) -> io::Result<Option<File>> {
    let mark = File::options().create(true).truncate(false).write(true).open(path)?;
    match mark.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
        Ok(()) => {}
    }
    // By a clock that was set back since, it is in the future: nobody knows how long ago it was.
    let is_due = mark.metadata()?.modified()?.elapsed().map_or(true, |age| age > EVERY);
    Ok(is_due.then_some(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upkeep_is_due_a_day_after_the_last_and_for_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.db.upkeep");
        assert!(due(&path).unwrap().is_none(), "a new store");
        let set = |time| File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        let now = SystemTime::now();
        set(now - EVERY + Duration::from_secs(60));
        assert!(due(&path).unwrap().is_none(), "done within a day");
        set(now + 2 * DAY);
        assert!(due(&path).unwrap().is_some(), "a clock that was set back");
        set(now - 2 * DAY);
        let mine = due(&path).unwrap();
        assert!(mine.is_some());
        assert!(due(&path).unwrap().is_none(), "another process does it");
        drop(mine);
        assert!(due(&path).unwrap().is_some());
    }
}
