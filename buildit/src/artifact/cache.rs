//! Caches: archives by their keys.

use std::fmt::Debug;

use async_trait::async_trait;

use super::BlobError;
use crate::id::Digest;

/// Finds archives by the keys of caches. A cache may be lost at any time.
#[async_trait]
pub trait CacheStore: Debug + Send + Sync + 'static {
    /// The archive under exactly `key`, or else the newest whose key begins with the first of `restore_keys` that
    /// has one. `scope` keeps the caches of one pipeline from those of another.
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the store cannot tell.
    async fn find_cache(&self, scope: &str, key: &str, restore_keys: &[String]) -> Result<Option<CacheHit>, BlobError>;

    /// Keeps an archive of so many bytes under a key. What is there under the same key stays: a cache of one key has
    /// one content.
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the store fails.
    async fn save_cache(&self, scope: &str, key: &str, archive: Digest, bytes: u64) -> Result<(), BlobError>;
}

/// A cache that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheHit {
    /// The key that it was saved under.
    pub key: String,
    /// Its archive.
    pub archive: Digest,
    /// Whether `key` is exactly what was asked for.
    pub exact: bool,
}

/// A store of caches that can forget those which nobody uses.
#[async_trait]
pub trait EvictCaches: CacheStore {
    /// Forgets caches, those first whose last use, to be found or saved, is longest ago, until each scope and then all
    /// of them together hold no more than the quota allows. Their archives stay until nothing refers to them.
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the store fails.
    async fn evict_caches(&self, quota: CacheQuota) -> Result<Evicted, BlobError>;
}

/// How many bytes caches may hold. Two that have the same archive count twice; one whose size is not known, because an
/// earlier version saved it, fits no quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheQuota {
    /// Those of one scope.
    pub scope_bytes: Option<u64>,
    /// All of them.
    pub total_bytes: Option<u64>,
}

/// The caches that were forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// How many.
    pub caches: u64,
    /// How many bytes their archives have.
    pub bytes: u64,
}
