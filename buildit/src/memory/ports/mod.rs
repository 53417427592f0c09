//! The ports of [`MemoryStore`](super::MemoryStore).

mod artifact;
mod ask;
mod audit;
mod control;
mod credential;
mod delivery;
mod environment;
mod export;
mod garbage;
mod identity;
mod log;
mod notification;
mod pipeline;
mod policy;
mod queue;
mod repository;
mod request;
mod result;
mod run;
mod schedule;
mod search;
mod secret;
mod status;
mod upkeep;
