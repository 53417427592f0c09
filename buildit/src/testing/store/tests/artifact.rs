//! Its blobs and caches.

use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::broken::Broken;
use super::faults::Fault;
use crate::artifact::{
    BlobError, BlobStore, BlobStream, CacheHit, CacheQuota, CacheStore, EvictCaches, Evicted, RemoveBlobs, StoredBlob,
    blob_of,
};
use crate::id::Digest;
use crate::store::{ReferenceStore, StoreError};

#[async_trait]
impl BlobStore for Broken {
    async fn put(&self, content: BlobStream) -> Result<(Digest, u64), BlobError> {
        if self.has(Fault::PutsOnce) {
            let bytes: Vec<u8> = content.collect::<Vec<_>>().await.into_iter().flatten().flatten().collect();
            let digest = Digest::of(&bytes);
            if self.inner.contains(&digest).await? {
                return Ok((digest, bytes.len() as u64));
            }
            return self.inner.put(blob_of(bytes)).await;
        }
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

    async fn hold(&self, digest: &Digest) -> Result<bool, BlobError> {
        if self.has(Fault::HoldsNothing) { self.inner.contains(digest).await } else { self.inner.hold(digest).await }
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

    async fn save_cache(&self, scope: &str, key: &str, archive: Digest, bytes: u64) -> Result<(), BlobError> {
        self.saved.lock().unwrap().insert(key.to_owned(), archive);
        let scope = if self.has(Fault::OneScope) { "" } else { scope };
        self.inner.save_cache(scope, key, archive, bytes).await
    }
}

#[async_trait]
impl RemoveBlobs for Broken {
    async fn blobs(&self, first: u8) -> Result<Vec<StoredBlob>, BlobError> {
        let mut blobs = self.inner.blobs(first).await?;
        if self.has(Fault::ListsOne) {
            blobs.truncate(1);
        }
        Ok(blobs)
    }

    async fn remove_blob(&self, digest: &Digest, before: Timestamp) -> Result<bool, BlobError> {
        match self.fault {
            Fault::SaysRemoved => Ok(true),
            Fault::RemovesAnything => self.inner.remove_blob(digest, Timestamp::MAX).await,
            _ => self.inner.remove_blob(digest, before).await,
        }
    }

    async fn sweep_blobs(&self, before: Timestamp) -> Result<(), BlobError> {
        if self.has(Fault::SweepsAll) {
            for first in 0..=u8::MAX {
                for blob in self.inner.blobs(first).await? {
                    self.inner.remove_blob(&blob.digest, before).await?;
                }
            }
        }
        self.inner.sweep_blobs(before).await
    }
}

#[async_trait]
impl EvictCaches for Broken {
    async fn evict_caches(&self, quota: CacheQuota) -> Result<Evicted, BlobError> {
        let CacheQuota { scope_bytes, total_bytes } = quota;
        match self.fault {
            Fault::EvictsNothing => Ok(Evicted::default()),
            Fault::EvictsAll => self.inner.evict_caches(CacheQuota { total_bytes: Some(0), ..quota }).await,
            Fault::OneQuota => {
                let total_bytes = total_bytes.into_iter().chain(scope_bytes).min();
                self.inner.evict_caches(CacheQuota { scope_bytes: None, total_bytes }).await
            }
            Fault::QuotaOfScopes => {
                let scope_bytes = total_bytes.into_iter().chain(scope_bytes).min();
                self.inner.evict_caches(CacheQuota { scope_bytes, total_bytes: None }).await
            }
            _ => self.inner.evict_caches(quota).await,
        }
    }
}

#[async_trait]
impl ReferenceStore for Broken {
    async fn referred(&self, digests: &[Digest]) -> Result<HashSet<Digest>, StoreError> {
        let referred = async |digests: &[Digest]| self.inner.referred(digests).await;
        let without = |name: &[u8], mut found: HashSet<Digest>| {
            found.remove(&Digest::of(name));
            Ok(found)
        };
        match self.fault {
            Fault::ForgetsSources => without(b"source", referred(digests).await?),
            Fault::ForgetsReports => without(b"junit", referred(digests).await?),
            Fault::ForgetsCarried => without(b"early", referred(digests).await?),
            Fault::OneOfAName => without(b"two", referred(digests).await?),
            Fault::ForgetsCaches => without(b"archive", referred(digests).await?),
            Fault::RefersForEver => {
                let mut ever = self.put.lock().unwrap().clone();
                let found = referred(digests).await?;
                ever.extend(found);
                *self.put.lock().unwrap() = ever.clone();
                Ok(digests.iter().copied().filter(|digest| ever.contains(digest)).collect())
            }
            Fault::AsksOfAFew => referred(&digests[..digests.len().min(1000)]).await,
            _ => referred(digests).await,
        }
    }
}
