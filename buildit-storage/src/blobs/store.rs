//! [`ObjectBlobs`].

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
use object_store::{Error, ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};

use super::verify::verified;

/// How much is read from the spool at a time: the smallest part that S3 accepts of a multipart upload. What is no
/// larger goes in one request.
pub(super) const PART_BYTES: usize = 5 << 20;

/// What is no larger is read at once: a folder's file costs a change of threads for each piece, for its end and for its
/// beginning, which is most of the time that a small one takes.
const SMALL_BYTES: u64 = 64 << 10;

/// Keeps blobs by their digest in an [`ObjectStore`].
///
/// | object | what |
/// |---|---|
/// | `blobs/ab/abcdef…` | a blob |
/// | `used/ab/abcdef…` | empty; its age says when the blob was put or held last |
/// | `trash/abcdef…/ID` | a blob that is about to be removed |
///
/// A blob is spooled to a temporary file without a name first, because its address is known only at its end: so it is
/// never whole in memory, what is there already is not sent, and an upload that dies half-way leaves nothing under a
/// valid address. What it leaves elsewhere (the parts of a multipart upload) a bucket's rule for incomplete uploads
/// removes; those of a folder are [swept](buildit::artifact::RemoveBlobs::sweep_blobs).
#[derive(Clone, Debug)]
pub struct ObjectBlobs {
    pub(super) objects: Arc<dyn ObjectStore>,
    /// Where `used` is written: the same place, of which nothing needs to outlast a crash of the machine.
    pub(super) marks: Arc<dyn ObjectStore>,
    /// The folder, if it is one.
    pub(super) folder: Option<Arc<FilePath>>,
}

impl ObjectBlobs {
    /// Keeps blobs in this object store.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { marks: Arc::clone(&objects), objects, folder: None }
    }

    /// Keeps blobs in this folder, which is made when it is not there.
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the folder can be neither found nor made.
    pub fn open(folder: &FilePath) -> Result<Self, BlobError> {
        std::fs::create_dir_all(folder)?;
        let folder: Arc<FilePath> = std::path::absolute(folder)?.into();
        let files = || {
            let files = LocalFileSystem::new_with_prefix(&folder).map_err(backend)?;
            Ok::<_, BlobError>(files.with_automatic_cleanup(true))
        };
        // A blob that is referred to must not be lost with the machine's power.
        let (objects, marks) = (Arc::new(files()?.with_fsync(true)), Arc::new(files()?));
        Ok(Self { objects, marks, folder: Some(folder) })
    }

    pub(super) fn path(digest: &Digest) -> Path {
        let hex = digest.to_hex();
        Path::from_iter(["blobs", &hex[..2], &hex])
    }

    pub(super) fn mark(digest: &Digest) -> Path {
        let hex = digest.to_hex();
        Path::from_iter(["used", &hex[..2], &hex])
    }

    async fn upload(&self, digest: &Digest, mut spool: std::fs::File) -> Result<(), BlobError> {
        let path = Self::path(digest);
        let (file, first) = part(spool).await?;
        if first.len() < PART_BYTES {
            self.objects.put(&path, PutPayload::from(first)).await.map_err(backend)?;
            return Ok(());
        }
        spool = file;
        let upload = self.objects.put_multipart(&path).await.map_err(backend)?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let mut next = first;
        while !next.is_empty() {
            // One part in flight bounds the memory; the spool is what makes a slow store harmless.
            if let Err(error) = parts.wait_for_capacity(1).await {
                // Or its parts stay, unseen and paid for.
                let _ = parts.abort().await;
                return Err(backend(error));
            }
            parts.put(next);
            (spool, next) = part(spool).await?;
        }
        parts.finish().await.map_err(backend)?;
        Ok(())
    }
}

/// The next part of a file.
async fn part(mut spool: std::fs::File) -> Result<(std::fs::File, Bytes), BlobError> {
    let read = tokio::task::spawn_blocking(move || {
        let mut part = Vec::with_capacity(PART_BYTES);
        Read::by_ref(&mut spool).take(PART_BYTES as u64).read_to_end(&mut part)?;
        Ok::<_, std::io::Error>((spool, Bytes::from(part)))
    });
    Ok(read.await.map_err(std::io::Error::other)??)
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
        if !self.hold(&digest).await? {
            spool.seek(SeekFrom::Start(0))?;
            self.upload(&digest, spool).await?;
        }
        Ok((digest, size))
    }

    async fn open(&self, digest: &Digest) -> Result<BlobStream, BlobError> {
        let found = self.find(digest).await?.ok_or(BlobError::Missing(*digest))?;
        if found.meta.size <= SMALL_BYTES {
            let content = found.bytes().await.map_err(backend)?;
            let checked = if Digest::of(&content) == *digest { Ok(content) } else { Err(BlobError::Corrupt(*digest)) };
            return Ok(stream::iter([checked]).boxed());
        }
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

    /// The mark comes first: a collection that does not see it moves the blob away before it is looked for here.
    async fn hold(&self, digest: &Digest) -> Result<bool, BlobError> {
        if let Some(folder) = &self.folder
            && let Some(is_there) = touch(Arc::clone(folder), *digest).await?
        {
            return Ok(is_there);
        }
        self.marks.put(&Self::mark(digest), PutPayload::new()).await.map_err(backend)?;
        self.contains(digest).await
    }
}

/// Makes the mark of a blob as new as if it were made anew, and looks for the blob; none when there is no mark yet, or one that
/// this user may not change. A file that is made and moved into its place is an inode, two entries of folders and their
/// journal.
async fn touch(folder: Arc<FilePath>, digest: Digest) -> Result<Option<bool>, BlobError> {
    let touched = tokio::task::spawn_blocking(move || {
        let hex = digest.to_hex();
        let place = |kind: &str| folder.join(kind).join(&hex[..2]).join(&hex);
        let mark = std::fs::File::options().append(true).open(place("used"));
        match mark.and_then(|mark| mark.set_modified(std::time::SystemTime::now())) {
            Ok(()) => place("blobs").try_exists().map(Some),
            Err(_) => Ok(None),
        }
    });
    Ok(touched.await.map_err(std::io::Error::other)??)
}

pub(super) fn backend(error: Error) -> BlobError {
    BlobError::backend("object_store", error)
}
