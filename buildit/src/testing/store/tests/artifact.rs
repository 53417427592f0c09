//! Its blobs and caches.

use std::ops::Range;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::broken::Broken;
use super::faults::Fault;
use crate::artifact::{BlobError, BlobStore, BlobStream, CacheHit, CacheStore, blob_of};
use crate::id::Digest;

#[async_trait]
impl BlobStore for Broken {
    async fn put(&self, content: BlobStream) -> Result<(Digest, u64), BlobError> {
        if self.has(Fault::KeepsHalves) {
            let whole: Vec<_> = content.take_while(|piece| std::future::ready(piece.is_ok())).collect().await;
            return self.inner.put(Box::pin(stream::iter(whole))).await;
        }
        let (digest, length) = self.inner.put(content).await?;
        let is_new = self.put.lock().unwrap().insert(digest);
        match self.fault {
            Fault::WrongAddress => Ok((Digest::of(b"another"), length)),
            Fault::StoresOnce if !is_new => Err(BlobError::Missing(digest)),
            _ => Ok((digest, length)),
        }
    }

    async fn open(&self, digest: &Digest) -> Result<BlobStream, BlobError> {
        let content = self.inner.open(digest).await?;
        if !self.has(Fault::HalfBlobs) {
            return Ok(content);
        }
        let pieces: Vec<_> = content.collect().await;
        let bytes: Vec<u8> = pieces.into_iter().flatten().flatten().collect();
        Ok(blob_of(bytes[..bytes.len() / 2].to_vec()))
    }

    async fn read_range(&self, digest: &Digest, range: Range<u64>) -> Result<Bytes, BlobError> {
        let end = if self.has(Fault::ShortParts) { range.end - 1 } else { range.end };
        self.inner.read_range(digest, range.start..end).await
    }

    async fn contains(&self, digest: &Digest) -> Result<bool, BlobError> {
        if self.has(Fault::InventsBlobs) { Ok(true) } else { self.inner.contains(digest).await }
    }

    fn local_path(&self, _: &Digest) -> Option<PathBuf> {
        self.has(Fault::WrongPath).then(|| PathBuf::from("there/is/none"))
    }
}

#[async_trait]
impl CacheStore for Broken {
    async fn find_cache(&self, scope: &str, key: &str, restore_keys: &[String]) -> Result<Option<CacheHit>, BlobError> {
        let mut restore_keys = restore_keys.to_vec();
        let scope = if self.has(Fault::OneScope) { "" } else { scope };
        match self.fault {
            Fault::BeginningsAreKeys => restore_keys.push(key.to_owned()),
            Fault::LastBeginning => restore_keys.reverse(),
            _ => {}
        }
        let found = self.inner.find_cache(scope, key, &restore_keys).await?;
        if self.has(Fault::LastCache) {
            let saved = self.saved.lock().unwrap();
            return Ok(found.map(|hit| CacheHit { archive: saved[&hit.key], ..hit }));
        }
        Ok(found)
    }

    async fn save_cache(&self, scope: &str, key: &str, archive: Digest) -> Result<(), BlobError> {
        self.saved.lock().unwrap().insert(key.to_owned(), archive);
        let scope = if self.has(Fault::OneScope) { "" } else { scope };
        self.inner.save_cache(scope, key, archive).await
    }
}
