//! [`MemoryStore`]: runs, logs, the queue, blobs and caches in memory, or journaled to a folder.

mod blobs;
mod caches;
mod logs;
mod queue;
mod run;
mod store;

pub use store::MemoryStore;
