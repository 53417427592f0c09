//! Letting go of blobs.

use std::collections::HashSet;
use std::path::Path as FilePath;

use async_trait::async_trait;
use buildit::artifact::{BlobError, RemoveBlobs, StoredBlob};
use buildit::id::Digest;
use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use object_store::path::Path;
use object_store::{Error, GetResult, ObjectMeta, ObjectStoreExt};
use uuid::Uuid;

use super::ObjectBlobs;
use super::store::backend;

/// Where blobs lie that are about to be removed.
const TRASH: &str = "trash";

/// How exactly HTTP tells the age of one object.
const PRECISION: SignedDuration = SignedDuration::from_secs(1);

/// How often a blob is looked for that is being moved.
const LOOKS: usize = 3;

#[async_trait]
impl RemoveBlobs for ObjectBlobs {
    async fn blobs(&self, first: u8) -> Result<Vec<StoredBlob>, BlobError> {
        let listed = self.objects.list(Some(&Path::from_iter(["blobs", &format!("{first:02x}")])));
        let stored = |found: ObjectMeta| {
            let digest = digest_of(found.location.filename()?)?;
            Some(StoredBlob { digest, bytes: found.size, put_at: time_of(&found) })
        };
        listed.map_err(backend).try_filter_map(async |found| Ok(stored(found))).try_collect().await
    }

    /// Moves the blob away, looks whether somebody uses it, and only then removes it. Who puts or holds it says so
    /// before they look for it: so either that is seen here, and it is moved back, or they find that it is gone.
    ///
    /// Where a move is a copy and a removal, a collector must not stand still between the two for as long as `before`
    /// is back, while others put and remove the same blob.
    async fn remove_blob(&self, digest: &Digest, before: Timestamp) -> Result<bool, BlobError> {
        let path = Self::path(digest);
        let found = match self.objects.head(&path).await {
            Err(Error::NotFound { .. }) => return Ok(true),
            found => found.map_err(backend)?,
        };
        if time_of(&found) >= before || self.is_used(digest, before).await? {
            return Ok(false);
        }
        let trash = Path::from_iter([TRASH, &digest.to_hex(), &Uuid::now_v7().to_string()]);
        match self.objects.rename(&path, &trash).await {
            Err(Error::NotFound { .. }) => return Ok(true),
            moved => moved.map_err(backend)?,
        }
        if self.is_used(digest, before).await? {
            self.put_back(&trash, digest).await?;
            return Ok(false);
        }
        self.delete(&trash).await?;
        self.delete(&Self::mark(digest)).await?;
        Ok(true)
    }

    async fn sweep_blobs(&self, before: Timestamp) -> Result<(), BlobError> {
        let mut trash = self.objects.list(Some(&Path::from(TRASH)));
        while let Some(found) = trash.try_next().await.map_err(backend)? {
            if let Some((digest, moved_at)) = trashed(&found.location)
                && moved_at < before
            {
                self.put_back(&found.location, &digest).await?;
            }
        }
        for first in 0..=u8::MAX {
            self.sweep_marks(first, before).await?;
        }
        match self.folder.clone() {
            Some(folder) => {
                let swept = tokio::task::spawn_blocking(move || sweep_unfinished(&folder, before));
                Ok(swept.await.map_err(std::io::Error::other)??)
            }
            None => Ok(()),
        }
    }
}

impl ObjectBlobs {
    /// The blob, wherever it is: it may be about to be removed, or on its way back.
    pub(super) async fn find(&self, digest: &Digest) -> Result<Option<GetResult>, BlobError> {
        for _ in 0..LOOKS {
            let mut place = Self::path(digest);
            loop {
                match self.objects.get(&place).await {
                    Err(Error::NotFound { .. }) => {}
                    found => return found.map(Some).map_err(backend),
                }
                let mut trash = self.objects.list(Some(&Path::from_iter([TRASH, &digest.to_hex()])));
                match trash.try_next().await.map_err(backend)? {
                    Some(found) if found.location != place => place = found.location,
                    _ => break,
                }
            }
        }
        Ok(None)
    }

    /// Whether the blob was put or held at `before` or later.
    async fn is_used(&self, digest: &Digest, before: Timestamp) -> Result<bool, BlobError> {
        let marked = match self.objects.head(&Self::mark(digest)).await {
            Err(Error::NotFound { .. }) => return Ok(false),
            marked => time_of(&marked.map_err(backend)?),
        };
        // It may be later than it is told.
        let within = if marked.subsec_nanosecond() == 0 { PRECISION } else { SignedDuration::ZERO };
        Ok(marked.saturating_add(within).unwrap_or(Timestamp::MAX) >= before)
    }

    /// Moves a blob back. One that is there was put meanwhile, and must not become as old as this one is in a folder;
    /// elsewhere a move makes it new.
    async fn put_back(&self, trash: &Path, digest: &Digest) -> Result<(), BlobError> {
        let path = Self::path(digest);
        let moved = match &self.folder {
            Some(_) => self.objects.rename_if_not_exists(trash, &path).await,
            None => self.objects.rename(trash, &path).await,
        };
        match moved {
            Err(Error::AlreadyExists { .. }) => self.delete(trash).await,
            // Another has done it.
            Err(Error::NotFound { .. }) => Ok(()),
            moved => moved.map_err(backend),
        }
    }

    async fn delete(&self, path: &Path) -> Result<(), BlobError> {
        match self.objects.delete(path).await {
            Err(Error::NotFound { .. }) => Ok(()),
            deleted => deleted.map_err(backend),
        }
    }

    /// Removes the marks of blobs that are not there.
    async fn sweep_marks(&self, first: u8, before: Timestamp) -> Result<(), BlobError> {
        let marks = self.marks.list(Some(&Path::from_iter(["used", &format!("{first:02x}")])));
        let marks: Vec<ObjectMeta> = marks.try_collect().await.map_err(backend)?;
        if marks.is_empty() {
            return Ok(());
        }
        let there: HashSet<Digest> = self.blobs(first).await?.iter().map(|blob| blob.digest).collect();
        for mark in marks {
            let digest = mark.location.filename().and_then(digest_of);
            if digest.is_none_or(|digest| !there.contains(&digest)) && time_of(&mark) < before {
                self.delete(&mark.location).await?;
            }
        }
        Ok(())
    }
}

fn digest_of(name: &str) -> Option<Digest> {
    name.parse().ok()
}

/// Of which blob this is the trash, and since when.
fn trashed(path: &Path) -> Option<(Digest, Timestamp)> {
    let mut parts = path.parts().skip(1);
    let digest = digest_of(parts.next()?.as_ref())?;
    let (seconds, nanoseconds) = Uuid::try_parse(parts.next()?.as_ref()).ok()?.get_timestamp()?.to_unix();
    let moved_at = Timestamp::new(seconds.try_into().ok()?, nanoseconds.try_into().ok()?).ok()?;
    Some((digest, moved_at))
}

fn time_of(object: &ObjectMeta) -> Timestamp {
    let time = object.last_modified;
    let nanoseconds = time.timestamp_subsec_nanos().try_into().unwrap_or(0);
    // What is out of range is taken for new: nothing is removed for a date that makes no sense.
    Timestamp::new(time.timestamp(), nanoseconds).unwrap_or(Timestamp::MAX)
}

/// Removes the files that killed writers have left below a folder: `NAME#N` beside `NAME`.
fn sweep_unfinished(folder: &FilePath, before: Timestamp) -> std::io::Result<()> {
    for above in ["blobs", "used"].map(|name| folder.join(name)) {
        for below in entries(&above)? {
            for file in entries(&below)? {
                let is_unfinished = file.file_name().is_some_and(|name| name.as_encoded_bytes().contains(&b'#'));
                if is_unfinished && is_older(&file, before) {
                    std::fs::remove_file(&file)?;
                }
            }
        }
    }
    Ok(())
}

/// What is in a folder, if it is one.
fn entries(folder: &FilePath) -> std::io::Result<Vec<std::path::PathBuf>> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match std::fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

fn is_older(file: &FilePath, before: Timestamp) -> bool {
    let written = file.metadata().and_then(|found| found.modified());
    written.ok().and_then(|time| Timestamp::try_from(time).ok()).is_some_and(|time| time < before)
}
