//! [`SystemClock`].

use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;

/// The time of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// A machine's clock can be set, so a long wait looks at it again now and then.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the time comes from")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let clock = *self;
        Box::pin(async move {
            loop {
                let wait = Duration::try_from(at.duration_since(clock.now())).unwrap_or_default();
                if wait.is_zero() {
                    return;
                }
                tokio::time::sleep(wait.min(LONGEST_SLEEP)).await;
            }
        })
    }
}

/// The time so much later, or the end of time.
pub(super) fn later(time: Timestamp, duration: Duration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}
