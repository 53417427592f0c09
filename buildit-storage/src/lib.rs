//! Stores for BuildIt.
//!
//! [`ObjectBlobs`] keeps blobs (artifacts, caches, source snapshots) in anything that `object_store` speaks to; a
//! folder is the default. Runs, logs and the queue are kept by `buildit`'s own `MemoryStore`, in memory or journaled
//! to a folder.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod blobs;

pub use blobs::ObjectBlobs;
