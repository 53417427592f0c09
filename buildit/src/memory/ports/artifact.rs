//! Blobs and caches.

use std::ops::Range;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::super::caches::CacheChange;
use super::super::store::{Blobs, MemoryStore};
use crate::artifact::{
    BlobError, BlobStore, BlobStream, CacheHit, CacheQuota, CacheStore, EvictCaches, Evicted, RemoveBlobs, StoredBlob,
};
use crate::id::Digest;

#[async_trait]
impl BlobStore for MemoryStore {
    async fn put(&self, content: BlobStream) -> Result<(Digest, u64), BlobError> {
        match self.kept_blobs() {
            Blobs::Memory(blobs) => blobs.put(content).await,
            Blobs::Folder(blobs) => blobs.put(content).await,
        }
    }

    async fn open(&self, digest: &Digest) -> Result<BlobStream, BlobError> {
        match self.kept_blobs() {
            Blobs::Memory(blobs) => blobs.open(digest),
            Blobs::Folder(blobs) => blobs.open(digest),
        }
    }

    async fn read_range(&self, digest: &Digest, range: Range<u64>) -> Result<Bytes, BlobError> {
        match self.kept_blobs() {
            Blobs::Memory(blobs) => blobs.read_range(digest, range),
            Blobs::Folder(blobs) => blobs.read_range(digest, range),
        }
    }

    async fn contains(&self, digest: &Digest) -> Result<bool, BlobError> {
        match self.kept_blobs() {
            Blobs::Memory(blobs) => Ok(blobs.contains(digest)),
            Blobs::Folder(blobs) => Ok(blobs.existing(digest).is_some()),
        }
    }

    async fn hold(&self, digest: &Digest) -> Result<bool, BlobError> {
        match self.kept_blobs() {
            Blobs::Memory(blobs) => Ok(blobs.hold(digest)),
            Blobs::Folder(blobs) => blobs.hold(digest),
        }
    }

    fn local_path(&self, digest: &Digest) -> Option<PathBuf> {
        match self.kept_blobs() {
            Blobs::Memory(_) => None,
            Blobs::Folder(blobs) => blobs.existing(digest),
        }
    }
}

#[async_trait]
impl RemoveBlobs for MemoryStore {
    async fn blobs(&self, first: u8) -> Result<Vec<StoredBlob>, BlobError> {
        match self.kept_blobs() {
            Blobs::Memory(blobs) => Ok(blobs.list(first)),
            Blobs::Folder(blobs) => blobs.list(first),
        }
    }

    async fn remove_blob(&self, digest: &Digest, before: Timestamp) -> Result<bool, BlobError> {
        match self.kept_blobs() {
            Blobs::Memory(blobs) => Ok(blobs.remove(digest, before)),
            Blobs::Folder(blobs) => blobs.remove(digest, before),
        }
    }

    /// What is unfinished in a folder went when it was opened.
    async fn sweep_blobs(&self, _: Timestamp) -> Result<(), BlobError> {
        Ok(())
    }
}

#[async_trait]
impl CacheStore for MemoryStore {
    async fn find_cache(&self, scope: &str, key: &str, restore_keys: &[String]) -> Result<Option<CacheHit>, BlobError> {
        Ok(self.caches_locked().find(scope, key, restore_keys))
    }

    async fn save_cache(&self, scope: &str, key: &str, archive: Digest, bytes: u64) -> Result<(), BlobError> {
        let change = CacheChange { scope: scope.to_owned(), key: key.to_owned(), archive, bytes: Some(bytes) };
        let saved = self.caches_locked().save(change);
        saved.map_err(|source| BlobError::backend("journal", source))
    }
}

#[async_trait]
impl EvictCaches for MemoryStore {
    async fn evict_caches(&self, quota: CacheQuota) -> Result<Evicted, BlobError> {
        let evicted = self.caches_locked().evict(quota);
        evicted.map_err(|source| BlobError::backend("journal", source))
    }
}
