//! Time as the engine sees it: passed in, so that a run can be replayed and a test can simulate days.

use std::fmt::Debug;
use std::pin::Pin;

use jiff::Timestamp;

/// Tells the time and waits.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits until this time has come.
    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}
