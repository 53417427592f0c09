//! The ports of [`MemoryStore`](super::MemoryStore).

mod artifact;
mod log;
mod queue;
mod result;
mod run;
mod search;
mod upkeep;
