//! Blobs: bytes by their address.

use std::fmt::Debug;
use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use jiff::Timestamp;

use crate::id::Digest;

/// The bytes of a blob, in pieces.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes, BlobError>> + Send>>;

/// Keeps blobs by their BLAKE3 digest. A blob never changes, and is there whole or not at all.
#[async_trait]
pub trait BlobStore: Debug + Send + Sync + 'static {
    /// Keeps these bytes and gives their address and their number. Storing what is there already is cheap and fine; it
    /// counts as [`hold`](Self::hold).
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the stream fails or the store does; then nothing is kept.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future keeps nothing.
    async fn put(&self, content: BlobStream) -> Result<(Digest, u64), BlobError>;

    /// The bytes of a blob. The stream ends with [`BlobError::Corrupt`] when they do not match the digest.
    ///
    /// # Errors
    ///
    /// [`BlobError::Missing`] when there is none of this address.
    async fn open(&self, digest: &Digest) -> Result<BlobStream, BlobError>;

    /// Some of the bytes of a blob, as far as it has them. Whether they match the digest cannot be told from a part:
    /// whoever asks for one knows what is in it.
    ///
    /// # Errors
    ///
    /// [`BlobError::Missing`] when there is none of this address.
    async fn read_range(&self, digest: &Digest, range: Range<u64>) -> Result<Bytes, BlobError> {
        let mut content = self.open(digest).await?;
        let mut bytes = Vec::new();
        let mut at = 0;
        while at < range.end
            && let Some(piece) = std::future::poll_fn(|cx| content.as_mut().poll_next(cx)).await
        {
            let piece = piece?;
            let end = at + piece.len() as u64;
            let within = |place: u64| usize::try_from(place.clamp(at, end) - at).unwrap_or(piece.len());
            bytes.extend_from_slice(&piece[within(range.start)..within(range.end.max(range.start))]);
            at = end;
        }
        Ok(bytes.into())
    }

    /// Whether there is a blob of this address.
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the store cannot tell.
    async fn contains(&self, digest: &Digest) -> Result<bool, BlobError>;

    /// Whether there is a blob of this address. One that is there stays for a while, although nothing may refer to it
    /// yet: whoever is about to refer to a blob that it did not put itself asks here first. A store that never removes
    /// anything has nothing more to do than [`contains`](Self::contains).
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the store cannot tell.
    async fn hold(&self, digest: &Digest) -> Result<bool, BlobError> {
        self.contains(digest).await
    }

    /// The file that holds the blob, where the store keeps plain files: for readers that want to be quick. Such a
    /// file must not be changed, and its content is not verified.
    fn local_path(&self, _digest: &Digest) -> Option<PathBuf> {
        None
    }
}

/// A blob store that can let go of blobs: what [`collect_garbage`](crate::store::collect_garbage) needs.
#[async_trait]
pub trait RemoveBlobs: BlobStore {
    /// The blobs whose address begins with this byte: a 256th of all, which a list can hold.
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the store cannot tell.
    async fn blobs(&self, first: u8) -> Result<Vec<StoredBlob>, BlobError>;

    /// Removes a blob, unless it was [put](BlobStore::put) or [held](BlobStore::hold) at `before` or later; whether it
    /// is gone. A [`put`](BlobStore::put) that ends while this is under way leaves a blob that is there: either it is
    /// seen here, or it sees that there is none.
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the store fails.
    ///
    /// # Cancel safety
    ///
    /// Wherever it is broken off, the blob is there or gone; [`sweep_blobs`](Self::sweep_blobs) finishes the rest.
    async fn remove_blob(&self, digest: &Digest, before: Timestamp) -> Result<bool, BlobError>;

    /// Puts back, or removes, what calls have left that were broken off before this time.
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the store fails.
    async fn sweep_blobs(&self, before: Timestamp) -> Result<(), BlobError>;
}

/// A blob that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredBlob {
    /// Its address.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
    /// When it was put, as far as the store can tell without looking closer.
    pub put_at: Timestamp,
}

/// Why a blob could not be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// There is no blob of this address.
    #[error("no blob {0}")]
    Missing(Digest),
    /// What is stored does not match its address.
    #[error("blob {0} is corrupt")]
    Corrupt(Digest),
    /// Reading or writing failed.
    #[error("cannot read or write a blob")]
    Io(#[from] std::io::Error),
    /// The backend failed.
    #[error("blob store `{name}` failed")]
    Backend {
        /// The backend.
        name: &'static str,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<T: BlobStore + ?Sized> BlobStore for $pointer<T> {
            async fn put(&self, content: BlobStream) -> Result<(Digest, u64), BlobError> {
                (**self).put(content).await
            }

            async fn open(&self, digest: &Digest) -> Result<BlobStream, BlobError> {
                (**self).open(digest).await
            }

            async fn read_range(&self, digest: &Digest, range: Range<u64>) -> Result<Bytes, BlobError> {
                (**self).read_range(digest, range).await
            }

            async fn contains(&self, digest: &Digest) -> Result<bool, BlobError> {
                (**self).contains(digest).await
            }

            async fn hold(&self, digest: &Digest) -> Result<bool, BlobError> {
                (**self).hold(digest).await
            }

            fn local_path(&self, digest: &Digest) -> Option<PathBuf> {
                (**self).local_path(digest)
            }
        }
    };
}
forward!(Arc);
forward!(Box);

impl BlobError {
    /// The backend of this name failed.
    pub fn backend(name: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Backend { name, source: source.into() }
    }
}

/// A stream of these bytes, in one piece.
pub fn blob_of(bytes: impl Into<Bytes>) -> BlobStream {
    struct Once(Option<Bytes>);

    impl Stream for Once {
        type Item = Result<Bytes, BlobError>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> {
            std::task::Poll::Ready(self.0.take().map(Ok))
        }
    }

    Box::pin(Once(Some(bytes.into())))
}
