//! Where bytes are kept: the ports [`BlobStore`] and [`CacheStore`].

use std::fmt::Debug;
use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;

use crate::id::Digest;

/// The bytes of a blob, in pieces.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes, BlobError>> + Send>>;

/// Keeps blobs by their BLAKE3 digest. A blob never changes, and is there whole or not at all.
#[async_trait]
pub trait BlobStore: Debug + Send + Sync + 'static {
    /// Keeps these bytes and gives their address and their number. Storing what is there already is cheap and fine.
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

    /// The file that holds the blob, where the store keeps plain files: for readers that want to be quick. Such a
    /// file must not be changed, and its content is not verified.
    fn local_path(&self, _digest: &Digest) -> Option<PathBuf> {
        None
    }
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

    /// Keeps an archive under a key. What is there under the same key stays: a cache of one key has one content.
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the store fails.
    async fn save_cache(&self, scope: &str, key: &str, archive: Digest) -> Result<(), BlobError>;
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

            fn local_path(&self, digest: &Digest) -> Option<PathBuf> {
                (**self).local_path(digest)
            }
        }
    };
}
forward!(Arc);
forward!(Box);

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
