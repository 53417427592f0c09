//! Policy around any [`Executor`](crate::executor::Executor), one wrapper each.
//!
//! What must survive a crash (attempts, their backoff, deadlines) is none of it: that belongs to the run, because a
//! wrapper must never make an attempt that the log does not show.

mod limit;
mod named;
mod retry;
#[cfg(test)]
mod tests;

pub use limit::Limit;
pub use named::Named;
pub use retry::Retry;
