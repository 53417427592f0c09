//! How long a call that failed is made again, and what cuts that short.

use jiff::Timestamp;

use super::clock::later;
use super::core::Core;
use crate::backoff::Backoff;
use crate::cancel::{CancelSignal, Stop};

/// The waits before the same call is made again. A stop shortens them: after each new one the call is made at once,
/// because it may be what stops the job, and then only for the grace period, or not at all.
#[derive(Debug)]
pub(super) struct Patience {
    waits: Backoff,
    /// The most urgent stop that a call was made under.
    heeded: Stop,
    /// When a graceful stop ends the waiting.
    until: Option<Timestamp>,
}

impl Patience {
    /// As many waits as these, if nobody stops them.
    pub(super) fn new(waits: Backoff) -> Self {
        Self { waits, heeded: Stop::No, until: None }
    }

    /// Waits; whether the call is to be made again. A stop is meant when all of `stops` are raised.
    pub(super) async fn wait(&mut self, core: &Core, stops: &[&CancelSignal]) -> bool {
        if self.heed(core, stops) {
            return true;
        }
        let now = core.clock.now();
        let is_over = self.heeded == Stop::Now || self.until.is_some_and(|until| now >= until);
        let Some(wait) = self.waits.next().filter(|_| !is_over) else { return false };
        let at = later(now, wait);
        let more_urgent = if self.heeded == Stop::No { Stop::Gracefully } else { Stop::Now };
        tokio::select! {
            () = core.clock.sleep_until(self.until.map_or(at, |until| at.min(until))) => {}
            () = raised(stops, more_urgent) => drop(self.heed(core, stops)),
        }
        true
    }

    /// Whether the stop is more urgent than it was for the last call.
    fn heed(&mut self, core: &Core, stops: &[&CancelSignal]) -> bool {
        let level = stops.iter().map(|stop| stop.level()).min().unwrap_or(Stop::No);
        if level <= self.heeded {
            return false;
        }
        self.heeded = level;
        self.until = Some(later(core.clock.now(), core.grace));
        true
    }
}

/// Waits until all of them are this urgent.
async fn raised(stops: &[&CancelSignal], level: Stop) {
    for stop in stops {
        stop.raised(level).await;
    }
}
