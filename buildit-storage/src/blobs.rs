//! Blobs in an object store.

use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;

use async_trait::async_trait;
use buildit::artifact::{BlobError, BlobStore, BlobStream};
use buildit::id::Digest;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, WriteMultipart};

/// How much is read from the spool at a time: the smallest part that S3 accepts of a multipart upload.
const PART_BYTES: usize = 5 << 20;

/// Keeps blobs by their digest in an [`ObjectStore`]: `blobs/ab/abcdef…`.
///
/// A blob is spooled to a temporary file first, because its address is known only at its end; so it is never whole in
/// memory, and an upload that dies half-way leaves nothing under a valid address.
#[derive(Clone, Debug)]
pub struct ObjectBlobs {
    objects: Arc<dyn ObjectStore>,
}

impl ObjectBlobs {
    /// Keeps blobs in this object store.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects }
    }

    /// Keeps blobs in this folder, which is made when it is not there.
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the folder can be neither found nor made.
    pub fn open(folder: &FilePath) -> Result<Self, BlobError> {
        std::fs::create_dir_all(folder)?;
        let files = LocalFileSystem::new_with_prefix(folder).map_err(backend)?.with_automatic_cleanup(true);
        Ok(Self::new(Arc::new(files)))
    }

    fn path(digest: &Digest) -> Path {
        let hex = digest.to_hex();
        Path::from_iter(["blobs", &hex[..2], &hex])
    }

    async fn upload(&self, digest: &Digest, mut spool: std::fs::File) -> Result<(), BlobError> {
        let upload = self.objects.put_multipart(&Self::path(digest)).await.map_err(backend)?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        loop {
            let (file, part) = tokio::task::spawn_blocking(move || {
                let mut part = Vec::with_capacity(PART_BYTES);
                Read::by_ref(&mut spool).take(PART_BYTES as u64).read_to_end(&mut part)?;
                Ok::<_, std::io::Error>((spool, part))
            })
            .await
            .map_err(std::io::Error::other)??;
            spool = file;
            if part.is_empty() {
                break;
            }
            // One part in flight bounds the memory; the spool is what makes a slow store harmless.
            parts.wait_for_capacity(1).await.map_err(backend)?;
            parts.put(Bytes::from(part));
        }
        parts.finish().await.map_err(backend)?;
        Ok(())
    }
}

#[async_trait]
impl BlobStore for ObjectBlobs {
    async fn put(&self, mut content: BlobStream) -> Result<(Digest, u64), BlobError> {
        let mut spool = tempfile::tempfile()?;
        let mut hasher = blake3::Hasher::new();
        let mut size = 0;
        while let Some(piece) = content.next().await {
            let piece = piece?;
            hasher.update(&piece);
            size += piece.len() as u64;
            spool = tokio::task::spawn_blocking(move || spool.write_all(&piece).map(|()| spool))
                .await
                .map_err(std::io::Error::other)??;
        }
        let digest = Digest::from(hasher.finalize());
        if !self.contains(&digest).await? {
            spool.seek(SeekFrom::Start(0))?;
            self.upload(&digest, spool).await?;
        }
        Ok((digest, size))
    }

    async fn open(&self, digest: &Digest) -> Result<BlobStream, BlobError> {
        let found = match self.objects.get(&Self::path(digest)).await {
            Err(Error::NotFound { .. }) => return Err(BlobError::Missing(*digest)),
            found => found.map_err(backend)?,
        };
        Ok(verified(found.into_stream().map(|piece| piece.map_err(backend)).boxed(), *digest))
    }

    async fn read_range(&self, digest: &Digest, range: Range<u64>) -> Result<Bytes, BlobError> {
        if range.is_empty() {
            return self.open(digest).await.map(|_| Bytes::new());
        }
        match self.objects.get_range(&Self::path(digest), range.clone()).await {
            Ok(bytes) => Ok(bytes),
            Err(Error::NotFound { .. }) => Err(BlobError::Missing(*digest)),
            // Each store says in its own way that a range begins or ends behind the blob.
            Err(error) => {
                let size = self.objects.head(&Self::path(digest)).await.map_err(backend)?.size;
                let range = range.start.min(size)..range.end.min(size);
                match range.is_empty() {
                    true => Ok(Bytes::new()),
                    false if range.end == size => {
                        self.objects.get_range(&Self::path(digest), range).await.map_err(backend)
                    }
                    false => Err(backend(error)),
                }
            }
        }
    }

    async fn contains(&self, digest: &Digest) -> Result<bool, BlobError> {
        match self.objects.head(&Self::path(digest)).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(backend(error)),
        }
    }
}

/// The same stream, which ends with [`BlobError::Corrupt`] when it was not what the digest says.
fn verified(content: BlobStream, digest: Digest) -> BlobStream {
    let state = Some((content, blake3::Hasher::new()));
    Box::pin(stream::unfold(state, move |state| async move {
        let (mut content, mut hasher) = state?;
        match content.next().await {
            Some(Ok(piece)) => {
                hasher.update(&piece);
                Some((Ok(piece), Some((content, hasher))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None if Digest::from(hasher.finalize()) == digest => None,
            None => Some((Err(BlobError::Corrupt(digest)), None)),
        }
    }))
}

fn backend(error: Error) -> BlobError {
    BlobError::Backend { name: "object_store", source: Box::new(error) }
}

#[cfg(test)]
mod tests {
    use buildit::artifact::blob_of;
    use futures_util::TryStreamExt;

    use super::*;

    async fn read(blobs: &ObjectBlobs, digest: &Digest) -> Result<Vec<u8>, BlobError> {
        let pieces: Vec<Bytes> = blobs.open(digest).await?.try_collect().await?;
        Ok(pieces.concat())
    }

    #[tokio::test]
    async fn a_blob_is_found_by_its_digest_alone() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = ObjectBlobs::open(folder.path()).unwrap();
        let content = vec![7; 3 * PART_BYTES / 2];
        let (digest, size) = blobs.put(blob_of(content.clone())).await.unwrap();
        assert_eq!((digest, size), (Digest::of(&content), content.len() as u64));
        assert_eq!(blobs.put(blob_of(content.clone())).await.unwrap().0, digest, "the second time changes nothing");
        assert_eq!(read(&blobs, &digest).await.unwrap(), content);
        assert!(matches!(read(&blobs, &Digest::of(b"other")).await, Err(BlobError::Missing(_))));
    }

    #[tokio::test]
    async fn a_blob_that_was_changed_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = ObjectBlobs::open(folder.path()).unwrap();
        let (digest, _) = blobs.put(blob_of("what was stored")).await.unwrap();
        std::fs::write(folder.path().join(ObjectBlobs::path(&digest).as_ref()), "what was not!!!").unwrap();
        assert!(matches!(read(&blobs, &digest).await, Err(BlobError::Corrupt(found)) if found == digest));
    }

    #[tokio::test]
    async fn a_stream_that_breaks_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = ObjectBlobs::open(folder.path()).unwrap();
        let broken = stream::iter([Ok(Bytes::from("half")), Err(BlobError::Io(std::io::Error::other("cut")))]);
        assert!(blobs.put(broken.boxed()).await.is_err());
        assert!(!blobs.contains(&Digest::of(b"half")).await.unwrap());
    }
}
