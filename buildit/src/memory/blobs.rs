//! Blobs in memory.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::artifact::{BlobError, BlobStream, blob_of};
use crate::id::Digest;

#[derive(Debug, Default)]
pub(super) struct MemoryBlobs(Mutex<HashMap<Digest, Bytes>>);

impl MemoryBlobs {
    pub(super) async fn put(&self, mut content: BlobStream) -> Result<(Digest, u64), BlobError> {
        let mut bytes = Vec::new();
        while let Some(piece) = next(&mut content).await {
            bytes.extend_from_slice(&piece?);
        }
        let digest = Digest::of(&bytes);
        let length = bytes.len() as u64;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(digest).or_insert_with(|| bytes.into());
        Ok((digest, length))
    }

    pub(super) fn open(&self, digest: &Digest) -> Result<BlobStream, BlobError> {
        let blobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.get(digest).cloned().map(blob_of).ok_or(BlobError::Missing(*digest))
    }

    pub(super) fn read_range(&self, digest: &Digest, range: Range<u64>) -> Result<Bytes, BlobError> {
        let blobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = blobs.get(digest).ok_or(BlobError::Missing(*digest))?;
        let within = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes.slice(within(range.start)..within(range.end.max(range.start))))
    }

    pub(super) fn contains(&self, digest: &Digest) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(digest)
    }
}

/// The next piece of a stream.
pub(super) async fn next(stream: &mut BlobStream) -> Option<Result<Bytes, BlobError>> {
    std::future::poll_fn(|cx| stream.as_mut().poll_next(cx)).await
}
