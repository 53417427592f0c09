//! Policy around any [`Executor`](crate::executor::Executor), one wrapper each.
//!
//! What must survive a crash (attempts, their backoff, deadlines) is none of it: that belongs to the run, because a
//! wrapper must never make an attempt that the log does not show.
