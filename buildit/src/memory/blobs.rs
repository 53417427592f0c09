//! Blobs in memory.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use jiff::Timestamp;

use super::store::lock;
use crate::artifact::{BlobError, BlobStream, StoredBlob, blob_of};
use crate::id::Digest;

#[derive(Debug, Default)]
pub(super) struct MemoryBlobs(Mutex<HashMap<Digest, Kept>>);

#[derive(Debug)]
struct Kept {
    bytes: Bytes,
    /// When it was put or held last.
    put_at: Timestamp,
}

impl MemoryBlobs {
    pub(super) async fn put(&self, mut content: BlobStream) -> Result<(Digest, u64), BlobError> {
        let mut bytes = Vec::new();
        while let Some(piece) = next(&mut content).await {
            bytes.extend_from_slice(&piece?);
        }
        let digest = Digest::of(&bytes);
        let length = bytes.len() as u64;
        let put_at = now();
        self.locked().entry(digest).or_insert_with(|| Kept { bytes: bytes.into(), put_at }).put_at = put_at;
        Ok((digest, length))
    }

    pub(super) fn open(&self, digest: &Digest) -> Result<BlobStream, BlobError> {
        let bytes = self.locked().get(digest).map(|kept| kept.bytes.clone());
        bytes.map(blob_of).ok_or(BlobError::Missing(*digest))
    }

    pub(super) fn read_range(&self, digest: &Digest, range: Range<u64>) -> Result<Bytes, BlobError> {
        let bytes = self.locked().get(digest).map(|kept| kept.bytes.clone()).ok_or(BlobError::Missing(*digest))?;
        let within = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes.slice(within(range.start)..within(range.end.max(range.start))))
    }

    pub(super) fn contains(&self, digest: &Digest) -> bool {
        self.locked().contains_key(digest)
    }

    pub(super) fn hold(&self, digest: &Digest) -> bool {
        self.locked().get_mut(digest).map(|kept| kept.put_at = now()).is_some()
    }

    pub(super) fn list(&self, first: u8) -> Vec<StoredBlob> {
        let blobs = self.locked();
        let these = blobs.iter().filter(|(digest, _)| digest.as_bytes()[0] == first);
        let stored = |(digest, kept): (&Digest, &Kept)| StoredBlob {
            digest: *digest,
            bytes: kept.bytes.len() as u64,
            put_at: kept.put_at,
        };
        these.map(stored).collect()
    }

    pub(super) fn remove(&self, digest: &Digest, before: Timestamp) -> bool {
        let mut blobs = self.locked();
        if blobs.get(digest).is_some_and(|kept| kept.put_at >= before) {
            return false;
        }
        blobs.remove(digest);
        true
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Digest, Kept>> {
        lock(&self.0)
    }
}

/// The age of a blob is the machine's to tell, as that of a file is; no decision of a run follows from it.
#[expect(clippy::disallowed_methods, reason = "it stands for the time that a file system notes")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// The next piece of a stream.
pub(super) async fn next(stream: &mut BlobStream) -> Option<Result<Bytes, BlobError>> {
    std::future::poll_fn(|cx| stream.as_mut().poll_next(cx)).await
}
