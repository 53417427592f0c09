//! [`SqliteStore`]: everything in one file of this machine.
//!
//! ```text
//! ports (pipelines, runs, logs and their search, queue, caches, results, secrets, references, accounts)
//!   │ reads: a pool of connections that cannot write
//!   │ writes: one task with one connection, which commits all that wait as one transaction
//!   ▼
//! FILE (WAL)      FILE.sessions/ID   a lock for each open store
//! ```
//!
//! A write that was confirmed is on the disk (`synchronous=FULL`). Many writes at once share one commit, so that the
//! disk's own time is paid once for all of them.
//!
//! Any number of processes may have the file open; each is a *session* with a lock that the system takes back when
//! the process ends, however it ends. A lease belongs to its session: for whoever opens the file or takes up that run
//! it ends with it. A claim of the queue looks at its time alone.

mod ask;
mod batch;
mod begin;
mod bulk;
mod cache;
mod claim;
mod error;
mod garbage;
mod group;
mod lease;
mod line;
mod log;
mod pipeline;
mod queue;
mod records;
mod result;
mod run;
mod search;
mod secret;
mod session;
mod snapshot;
mod store;
mod tenant;
mod transaction;
mod upkeep;
mod writer;

pub use store::SqliteStore;
