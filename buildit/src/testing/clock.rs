//! A clock that passes only when nobody has anything to do.

use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::clock::Clock;

/// A clock on tokio's paused time: while the runtime has something to do no time passes, and when all wait, the clock
/// jumps to the next time that somebody waits for. So a run with approvals of two days and retries of an hour takes
/// milliseconds, and every run of the test sees the same times.
///
/// The runtime must be paused, for instance by `#[tokio::test(start_paused = true)]`; on one that is not, the clock
/// goes as fast as any other.
///
/// ```
/// use std::time::Duration;
/// use buildit::clock::Clock;
/// use buildit::testing::SimulatedClock;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let clock = SimulatedClock::new("2026-01-01T00:00:00Z".parse().unwrap());
/// clock.sleep_until("2026-01-03T00:00:00Z".parse().unwrap()).await;
/// assert_eq!(clock.now().to_string(), "2026-01-03T00:00:00Z");
/// # });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SimulatedClock {
    start: Timestamp,
    origin: Instant,
}

impl SimulatedClock {
    /// A clock that shows this time now.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self { start, origin: Instant::now() }
    }

    /// Lets this much time pass at once.
    ///
    /// # Panics
    ///
    /// When the runtime's time is not paused.
    pub async fn advance(&self, time: Duration) {
        tokio::time::advance(time).await;
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        self.start.saturating_add(self.origin.elapsed()).unwrap_or(Timestamp::MAX)
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let wait = Duration::try_from(self.start.duration_until(at)).unwrap_or_default();
        let until = self.origin.checked_add(wait);
        Box::pin(async move {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        })
    }
}
