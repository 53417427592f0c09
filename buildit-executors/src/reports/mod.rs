//! What test runners report: the XML that JUnit began with and others write too, each in its own way.
//!
//! A stage leaves its reports as one archive; [`read_reports`] makes [`Reports`] of it, within limits, and [`changes`]
//! tells what is not as it was in another run.

mod change;
mod markup;
mod parse;
mod read;
mod test;

pub use change::{Ended, TestChange, TestDifference, change, changes};
pub use read::read_reports;
pub use test::{Reports, TestName, TestResult, TestStatus};
