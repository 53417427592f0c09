//! Blobs that nothing refers to any more.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::artifact::{BlobError, RemoveBlobs, StoredBlob};
use crate::id::Digest;

/// How many blobs are looked at at once: few enough for any memory, and so many that a store which has to read all its
/// runs for an answer does it seldom.
const BATCH: usize = 16 * 1024;

/// Knows which blobs are still needed.
#[async_trait]
pub trait ReferenceStore: Debug + Send + Sync + 'static {
    /// Those of these addresses that anything in the store refers to: the source of a run, what its attempts have left,
    /// a cache, and whatever else it keeps by address.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell for certain.
    async fn referred(&self, digests: &[Digest]) -> Result<HashSet<Digest>, StoreError>;
}

#[async_trait]
impl<T: ReferenceStore + ?Sized> ReferenceStore for Arc<T> {
    async fn referred(&self, digests: &[Digest]) -> Result<HashSet<Digest>, StoreError> {
        (**self).referred(digests).await
    }
}

/// What was found, and what was removed of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// What something refers to, and what was put too lately to be judged.
    pub kept: Amount,
    /// What is gone, or would be.
    pub removed: Amount,
}

/// Some blobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub blobs: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, blob: &StoredBlob) {
        self.blobs += 1;
        self.bytes = self.bytes.saturating_add(blob.bytes);
    }
}

/// Why garbage was not, or not all, collected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GarbageError {
    /// The store cannot tell what it refers to.
    #[error("cannot tell which blobs are needed")]
    Store(#[from] StoreError),
    /// The blobs can be neither listed nor removed.
    #[error("cannot remove blobs")]
    Blobs(#[from] BlobError),
}

/// Removes the blobs that nothing in `store` refers to and that nobody has put or held since `before`.
///
/// Runs may be under way meanwhile, in this process and in others. A blob comes before what refers to it, so
/// `before` has to be further back than any writer takes from the one to the other: an hour is more than enough, unless
/// a database is gone for longer. When a writer puts what is there already, or holds it, its time begins anew, and
/// [`RemoveBlobs::remove_blob`] sees that however late it comes.
///
/// # Errors
///
/// [`GarbageError`] when something cannot be told: then it stays. What was removed before that is gone.
///
/// # Cancel safety
///
/// Wherever it is broken off, nothing is missing that is referred to; the next call does the rest.
pub async fn collect_garbage(
    store: &(impl ReferenceStore + ?Sized),
    blobs: &(impl RemoveBlobs + ?Sized),
    before: Timestamp,
) -> Result<Collected, GarbageError> {
    blobs.sweep_blobs(before).await?;
    let mut collected = Collected::default();
    let mut search = Search::new(before);
    while let Some(found) = search.next(store, blobs).await? {
        for blob in &found.kept {
            collected.kept.add(blob);
        }
        for blob in &found.garbage {
            let is_gone = blobs.remove_blob(&blob.digest, before).await?;
            if is_gone { collected.removed.add(blob) } else { collected.kept.add(blob) }
        }
    }
    Ok(collected)
}

/// What [`collect_garbage`] would remove; nothing is changed.
///
/// # Errors
///
/// [`GarbageError`] when something cannot be told.
pub async fn find_garbage(
    store: &(impl ReferenceStore + ?Sized),
    blobs: &(impl RemoveBlobs + ?Sized),
    before: Timestamp,
) -> Result<Collected, GarbageError> {
    let mut collected = Collected::default();
    let mut search = Search::new(before);
    while let Some(found) = search.next(store, blobs).await? {
        found.kept.iter().for_each(|blob| collected.kept.add(blob));
        found.garbage.iter().for_each(|blob| collected.removed.add(blob));
    }
    Ok(collected)
}

/// A walk over all blobs.
struct Search {
    before: Timestamp,
    /// The first bytes of the addresses that are still to be listed.
    left: std::ops::RangeInclusive<u8>,
}

/// Some blobs, judged.
#[derive(Default)]
struct Found {
    kept: Vec<StoredBlob>,
    garbage: Vec<StoredBlob>,
}

impl Search {
    fn new(before: Timestamp) -> Self {
        Self { before, left: 0..=u8::MAX }
    }

    /// The next blobs; `None` when there are no more. They are listed first and asked for then, so that what was
    /// referred to in between is seen.
    async fn next(
        &mut self,
        store: &(impl ReferenceStore + ?Sized),
        blobs: &(impl RemoveBlobs + ?Sized),
    ) -> Result<Option<Found>, GarbageError> {
        let mut found = Found::default();
        let mut old = Vec::new();
        let mut ended = true;
        for first in self.left.by_ref() {
            for blob in blobs.blobs(first).await? {
                if blob.put_at < self.before { old.push(blob) } else { found.kept.push(blob) }
            }
            if old.len() + found.kept.len() >= BATCH {
                ended = false;
                break;
            }
        }
        if ended && old.is_empty() && found.kept.is_empty() {
            return Ok(None);
        }
        if !old.is_empty() {
            let addresses: Vec<Digest> = old.iter().map(|blob| blob.digest).collect();
            let referred = store.referred(&addresses).await?;
            let (kept, garbage): (Vec<_>, Vec<_>) = old.into_iter().partition(|blob| referred.contains(&blob.digest));
            found.kept.extend(kept);
            found.garbage = garbage;
        }
        Ok(Some(found))
    }
}
