//! The ports of [`MemoryStore`](super::MemoryStore).

mod artifact;
mod audit;
mod credential;
mod garbage;
mod identity;
mod log;
mod pipeline;
mod queue;
mod result;
mod run;
mod search;
mod secret;
mod upkeep;
