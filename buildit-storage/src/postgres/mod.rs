//! [`PostgresStore`]: everything in one PostgreSQL database, which any number of engines share.
//!
//! ```text
//! ports (pipelines, runs, logs and their search, queue, caches, results, secrets, references, accounts)
//!   │ reads: one statement each, which is one snapshot
//!   │ writes: one transaction each, tried again when the server undid it
//!   ▼
//! pool of connections ── PostgreSQL ── LISTEN buildit_queue: a hint that a run may be taken
//! ```
//!
//! Whoever changes a run, its events, its logs or its lease locks its row in `pipeline_runs` first; whoever changes its
//! place in the queue locks its row in `job_queue` before that. ARCHITECTURE.md has the whole order; what the server undoes
//! all the same is tried again. Claims pass over runs that somebody has locked (`SKIP LOCKED`); those of one tenant wait
//! for each other.
//!
//! A lease ends by its time, or when it is given back. Its times are those of the database's clock: each store measures
//! how far its own clock is from that one, so that engines whose clocks differ agree on who holds a run.
//!
//! What was confirmed is as durable as the server's `fsync` and `synchronous_commit` make it.

mod ask;
mod cache;
mod claim;
mod clock;
mod column;
mod error;
mod garbage;
mod group;
mod lease;
mod line;
mod listen;
mod log;
mod pipeline;
mod queue;
mod records;
mod result;
mod run;
mod search;
mod secret;
mod store;
mod tenant;
mod transaction;
mod upkeep;

pub use store::PostgresStore;
