//! What is different between two runs: for whoever asks why the later one did something else.
//!
//! ```text
//! a run's record and its events ──► RunFacts ─┐
//!                                             ├──► difference ──► Vec<Difference>
//! another's                     ──► RunFacts ─┘
//! ```
//!
//! Pure. Differences come in the order of their kinds: what was asked (the plan, images, inputs) before how it went
//! (stages and their durations). Each names what it is about, and both sides.

mod difference;
mod facts;
mod plan;

pub use difference::{Difference, Kind, difference};
pub use facts::{RunFacts, StageFacts};
pub use plan::{pipeline_parts, stage_parts};

#[cfg(test)]
mod tests;
