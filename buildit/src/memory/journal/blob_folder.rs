//! Blobs as files.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use bytes::Bytes;
use jiff::Timestamp;

use super::super::store::lock;
use super::error::{At, NAME};
use super::folder::{self, Folder};
use crate::artifact::{BlobError, BlobStream, StoredBlob};
use crate::id::Digest;
use crate::store::StoreError;

/// How much is read at once.
const PIECE: usize = 128 * 1024;

/// A folder of files named by their digests.
#[derive(Debug)]
pub(in super::super) struct BlobFolder {
    blobs: PathBuf,
    tmp: PathBuf,
    /// Held while it is decided whether a blob is there, so that none goes that somebody has just been told of. The
    /// folder belongs to this process, so nobody else takes part.
    names: Mutex<()>,
}

impl BlobFolder {
    pub(in super::super) fn new(folder: &Folder) -> Self {
        Self { blobs: folder.root().join("blobs"), tmp: folder.root().join("tmp"), names: Mutex::default() }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_hex();
        self.blobs.join(&name[..2]).join(name)
    }

    /// The file of a blob that is there.
    pub(in super::super) fn existing(&self, digest: &Digest) -> Option<PathBuf> {
        Some(self.path(digest)).filter(|path| path.exists())
    }

    pub(in super::super) async fn put(&self, mut content: BlobStream) -> Result<(Digest, u64), BlobError> {
        let unfinished = self.unfinished();
        let path = &unfinished.0;
        let mut file = folder::private_file().write(true).create_new(true).open(path).blob_at("create", path)?;
        let mut hasher = blake3::Hasher::new();
        let mut length = 0;
        while let Some(piece) = std::future::poll_fn(|cx| content.as_mut().poll_next(cx)).await {
            let piece = piece?;
            hasher.update(&piece);
            length += piece.len() as u64;
            file.write_all(&piece).blob_at("write", path)?;
        }
        let digest = Digest::from(hasher.finalize());
        if self.hold_as(&digest, &file)? {
            return Ok((digest, length));
        }
        super::sync(vec![file.into()]).await.blob_at("sync", path)?;
        let _names = lock(&self.names);
        self.put_in_place(path, &self.path(&digest)).map_err(|source| BlobError::backend(NAME, source))?;
        Ok((digest, length))
    }

    /// Whether there is this blob, which counts as put now.
    pub(in super::super) fn hold(&self, digest: &Digest) -> Result<bool, BlobError> {
        let unfinished = self.unfinished();
        let path = &unfinished.0;
        let file = folder::private_file().write(true).create_new(true).open(path).blob_at("create", path)?;
        self.hold_as(digest, &file)
    }

    /// Whether there is this blob, which gets the time of a file that was written just now.
    fn hold_as(&self, digest: &Digest, now: &File) -> Result<bool, BlobError> {
        let path = self.path(digest);
        let _names = lock(&self.names);
        let touched = OpenOptions::new().append(true).open(&path).and_then(|file| {
            let time = now.metadata()?.modified()?;
            file.set_modified(time)
        });
        match touched {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            touched => touched.map(|()| true).blob_at("touch", &path),
        }
    }

    /// The blobs whose address begins with this byte.
    pub(in super::super) fn list(&self, first: u8) -> Result<Vec<StoredBlob>, BlobError> {
        let folder = self.blobs.join(format!("{first:02x}"));
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.blob_at("read", &folder)?,
        };
        let mut blobs = Vec::new();
        for entry in entries {
            let entry = entry.blob_at("read", &folder)?;
            let Some(digest) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let (bytes, put_at) = size_and_time(&entry.path())?;
            blobs.push(StoredBlob { digest, bytes, put_at });
        }
        Ok(blobs)
    }

    /// Removes a blob unless it was put at this time or later; whether it is gone.
    pub(in super::super) fn remove(&self, digest: &Digest, before: Timestamp) -> Result<bool, BlobError> {
        let path = self.path(digest);
        let _names = lock(&self.names);
        if !path.exists() {
            return Ok(true);
        }
        if size_and_time(&path)?.1 >= before {
            return Ok(false);
        }
        std::fs::remove_file(&path).map(|()| true).blob_at("remove", &path)
    }

    fn unfinished(&self) -> Unfinished {
        Unfinished(self.tmp.join(uuid::Uuid::now_v7().to_string()))
    }

    fn put_in_place(&self, path: &Path, place: &Path) -> Result<(), StoreError> {
        let parent = place.parent().unwrap_or(&self.blobs);
        if !parent.exists() {
            folder::make(parent)?;
            folder::sync_folder(&self.blobs)?;
        }
        std::fs::rename(path, place).at("put in place", place)?;
        folder::sync_folder(parent)
    }

    pub(in super::super) fn open(&self, digest: &Digest) -> Result<BlobStream, BlobError> {
        let path = self.path(digest);
        match File::open(&path) {
            Ok(file) => {
                Ok(Box::pin(Reading { file: Some(file), path, digest: *digest, hasher: blake3::Hasher::new() }))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(BlobError::Missing(*digest)),
            Err(error) => Err(error).blob_at("open", &path),
        }
    }
}

impl BlobFolder {
    pub(in super::super) fn read_range(&self, digest: &Digest, range: Range<u64>) -> Result<Bytes, BlobError> {
        let path = self.path(digest);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(BlobError::Missing(*digest)),
            file => file.blob_at("open", &path)?,
        };
        let mut bytes = Vec::new();
        let read = file
            .seek(SeekFrom::Start(range.start))
            .and_then(|_| file.take(range.end.saturating_sub(range.start)).read_to_end(&mut bytes));
        read.blob_at("read", &path)?;
        Ok(bytes.into())
    }
}

fn size_and_time(path: &Path) -> Result<(u64, Timestamp), BlobError> {
    let found = path.metadata().blob_at("look at", path)?;
    let time = found.modified().and_then(|time| Timestamp::try_from(time).map_err(std::io::Error::other));
    Ok((found.len(), time.blob_at("look at", path)?))
}

/// A file that is removed unless it was put in place.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After a rename there is none; what stays otherwise is removed when the folder is opened again.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A blob that is being read.
struct Reading {
    file: Option<File>,
    path: PathBuf,
    digest: Digest,
    hasher: blake3::Hasher,
}

impl futures_core::Stream for Reading {
    type Item = Result<Bytes, BlobError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(file) = &mut this.file else { return Poll::Ready(None) };
        let mut piece = vec![0; PIECE];
        let item = match file.read(&mut piece) {
            Ok(0) => {
                this.file = None;
                let is_whole = Digest::from(this.hasher.finalize()) == this.digest;
                (!is_whole).then(|| Err(BlobError::Corrupt(this.digest)))
            }
            Ok(count) => {
                piece.truncate(count);
                this.hasher.update(&piece);
                Some(Ok(piece.into()))
            }
            Err(error) => {
                this.file = None;
                Some(Err(error).blob_at("read", &this.path))
            }
        };
        Poll::Ready(item)
    }
}
