//! Where bytes are kept: the ports [`BlobStore`] and [`CacheStore`], and what a store can do beyond them.

mod blob;
mod cache;

pub use blob::{BlobError, BlobStore, BlobStream, RemoveBlobs, StoredBlob, blob_of};
pub use cache::{CacheHit, CacheQuota, CacheStore, EvictCaches, Evicted};
