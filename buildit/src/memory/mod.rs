//! [`MemoryStore`]: pipelines, runs, logs, the queue, blobs, caches, kept results, sealed secrets and accounts in
//! memory, or journaled to a folder.
//!
//! ```
//! use buildit::memory::MemoryStore;
//!
//! let folder = tempfile::tempdir()?;
//! let store = MemoryStore::journaled(folder.path())?;
//! let error = MemoryStore::journaled(folder.path()).unwrap_err();
//! assert!(error.to_string().contains("is in use by process"), "one process at a time: {error}");
//! drop(store);
//! MemoryStore::journaled(folder.path())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accounts;
mod blobs;
mod caches;
mod deliveries;
mod environments;
mod exports;
mod groups;
mod journal;
mod kept;
mod line;
mod logs;
mod notifications;
mod pipelines;
mod policies;
mod ports;
mod queue;
mod repositories;
mod requests;
mod results;
mod run;
mod runs;
mod schedules;
mod secrets;
mod statuses;
mod store;

pub use store::MemoryStore;
