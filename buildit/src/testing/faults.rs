//! Fault plans: how a test makes an engine die at a given place, and sees which places there were.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::fault::{CrashPoint, FaultPlan};
use crate::id::JobId;

/// How a process dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Death {
    /// By SIGKILL, as when the machine fails or the kernel runs out of memory. A shell sends it, so other threads go
    /// on for a few milliseconds; the thread that reached the point does not.
    #[default]
    Kill,
    /// At once, by `abort`: no destructor runs, and no other thread does anything more.
    Abort,
    /// Not the process but the task that reached the point: it panics. For tests that keep their process.
    Panic,
}

/// Dies when a crash point is reached for the n-th time.
///
/// ```
/// use buildit::fault::CrashPoint;
/// use buildit::testing::KillAt;
///
/// let second_start = KillAt::new(CrashPoint::StartAppended, 2);
/// # let _ = second_start;
/// ```
#[derive(Debug)]
pub struct KillAt {
    point: CrashPoint,
    nth: usize,
    death: Death,
    reached: AtomicUsize,
}

impl KillAt {
    /// Dies when `point` is reached for the n-th time, from 1.
    #[must_use]
    pub fn new(point: CrashPoint, nth: usize) -> Self {
        Self { point, nth, death: Death::default(), reached: AtomicUsize::new(0) }
    }

    /// The same with another way to die.
    #[must_use]
    pub fn with_death(self, death: Death) -> Self {
        Self { death, ..self }
    }
}

impl FaultPlan for KillAt {
    fn reach(&self, point: CrashPoint, job: Option<&JobId>) {
        if point == self.point && self.reached.fetch_add(1, Ordering::Relaxed) + 1 == self.nth {
            die(self.death, point, job);
        }
    }
}

#[expect(clippy::panic, reason = "a fault that is asked for")]
fn die(death: Death, point: CrashPoint, job: Option<&JobId>) {
    match death {
        Death::Panic => panic!("the fault plan kills the task at {point:?} of {job:?}"),
        Death::Abort => std::process::abort(),
        Death::Kill => {
            let own = std::process::id().to_string();
            if Command::new("sh").args(["-c", "kill -9 \"$1\"", "sh", &own]).status().is_ok_and(|sent| sent.success()) {
                // The signal is on its way; this thread must not get past the point before it arrives.
                loop {
                    std::thread::park();
                }
            }
            std::process::abort();
        }
    }
}

/// Notes which crash points were reached, and how often. Clones share their notes.
///
/// ```
/// use buildit::fault::{CrashPoint, FaultPlan};
/// use buildit::testing::Recorder;
///
/// let recorder = Recorder::default();
/// recorder.reach(CrashPoint::Created, None);
/// assert_eq!(recorder.count(CrashPoint::Created), 1);
/// assert!(recorder.never_reached().contains(&CrashPoint::Released));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<BTreeMap<CrashPoint, Vec<Option<JobId>>>>>);

impl Recorder {
    /// How often this point was reached.
    #[must_use]
    pub fn count(&self, point: CrashPoint) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&point).map_or(0, Vec::len)
    }

    /// The jobs that reached this point, in that order.
    #[must_use]
    pub fn jobs(&self, point: CrashPoint) -> Vec<JobId> {
        let reached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reached.get(&point).into_iter().flatten().flatten().cloned().collect()
    }

    /// The points that were never reached.
    #[must_use]
    pub fn never_reached(&self) -> Vec<CrashPoint> {
        CrashPoint::ALL.into_iter().filter(|point| self.count(*point) == 0).collect()
    }
}

impl FaultPlan for Recorder {
    fn reach(&self, point: CrashPoint, job: Option<&JobId>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(point).or_default().push(job.cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_dies_at_the_nth_time_only() {
        let plan = KillAt::new(CrashPoint::Created, 2).with_death(Death::Panic);
        plan.reach(CrashPoint::Released, None);
        plan.reach(CrashPoint::Created, None);
        let second = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| plan.reach(CrashPoint::Created, None)));
        assert!(second.is_err());
        plan.reach(CrashPoint::Created, None);
    }
}
