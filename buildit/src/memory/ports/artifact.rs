//! Blobs and caches.

use std::ops::Range;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;

use super::super::caches::CacheChange;
use super::super::store::{Blobs, MemoryStore};
use crate::artifact::{BlobError, BlobStore, BlobStream, CacheHit, CacheStore};
use crate::id::Digest;

#[async_trait]
impl BlobStore for MemoryStore {
    async fn put(&self, content: BlobStream) -> Result<(Digest, u64), BlobError> {
        match self.blobs() {
            Blobs::Memory(blobs) => blobs.put(content).await,
            Blobs::Folder(blobs) => blobs.put(content).await,
        }
    }

    async fn open(&self, digest: &Digest) -> Result<BlobStream, BlobError> {
        match self.blobs() {
            Blobs::Memory(blobs) => blobs.open(digest),
            Blobs::Folder(blobs) => blobs.open(digest),
        }
    }

    async fn read_range(&self, digest: &Digest, range: Range<u64>) -> Result<Bytes, BlobError> {
        match self.blobs() {
            Blobs::Memory(blobs) => blobs.read_range(digest, range),
            Blobs::Folder(blobs) => blobs.read_range(digest, range),
        }
    }

    async fn contains(&self, digest: &Digest) -> Result<bool, BlobError> {
        match self.blobs() {
            Blobs::Memory(blobs) => Ok(blobs.contains(digest)),
            Blobs::Folder(blobs) => Ok(blobs.existing(digest).is_some()),
        }
    }

    fn local_path(&self, digest: &Digest) -> Option<PathBuf> {
        match self.blobs() {
            Blobs::Memory(_) => None,
            Blobs::Folder(blobs) => blobs.existing(digest),
        }
    }
}

#[async_trait]
impl CacheStore for MemoryStore {
    async fn find_cache(&self, scope: &str, key: &str, restore_keys: &[String]) -> Result<Option<CacheHit>, BlobError> {
        Ok(self.caches_locked().caches.find(scope, key, restore_keys))
    }

    async fn save_cache(&self, scope: &str, key: &str, archive: Digest) -> Result<(), BlobError> {
        let change = CacheChange { scope: scope.to_owned(), key: key.to_owned(), archive };
        let saved = self.caches_locked().save(change);
        saved.map_err(|source| BlobError::Backend { name: "journal", source: source.into() })
    }
}
