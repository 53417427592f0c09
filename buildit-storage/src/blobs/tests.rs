//! What goes wrong between two objects.

use std::sync::Arc;

use buildit::artifact::{BlobError, BlobStore, RemoveBlobs, blob_of};
use buildit::id::Digest;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use uuid::Uuid;

use super::ObjectBlobs;
use super::store::PART_BYTES;

async fn read(blobs: &ObjectBlobs, digest: &Digest) -> Result<Vec<u8>, BlobError> {
    let pieces: Vec<Bytes> = blobs.open(digest).await?.try_collect().await?;
    Ok(pieces.concat())
}

/// A time after all that is put in a test.
fn later() -> Timestamp {
    Timestamp::new(32_503_680_000, 0).unwrap()
}

async fn names(objects: &dyn ObjectStore) -> Vec<String> {
    let listed: Vec<_> = objects.list(None).try_collect().await.unwrap();
    listed.into_iter().map(|found| found.location.to_string()).collect()
}

#[tokio::test]
async fn a_blob_is_found_by_its_digest_alone() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = ObjectBlobs::open(folder.path()).unwrap();
    for size in [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 5 * PART_BYTES / 2] {
        let content = vec![7; size];
        let (digest, bytes) = blobs.put(blob_of(content.clone())).await.unwrap();
        assert_eq!((digest, bytes), (Digest::of(&content), size as u64));
        assert_eq!(blobs.put(blob_of(content.clone())).await.unwrap().0, digest, "the second time changes nothing");
        assert!(read(&blobs, &digest).await.unwrap() == content, "{size} bytes");
    }
    assert!(matches!(read(&blobs, &Digest::of(b"other")).await, Err(BlobError::Missing(_))));
}

#[tokio::test]
async fn a_blob_that_was_changed_is_not_believed_and_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = ObjectBlobs::open(folder.path()).unwrap();
    let (digest, _) = blobs.put(blob_of("what was stored")).await.unwrap();
    let file = folder.path().join(ObjectBlobs::path(&digest).as_ref());
    for damaged in ["what was not!!!", "what was", "what was stored, and more", ""] {
        std::fs::write(&file, damaged).unwrap();
        assert!(matches!(read(&blobs, &digest).await, Err(BlobError::Corrupt(found)) if found == digest));
        blobs.put(blob_of("what was stored")).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), damaged);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = ObjectBlobs::open(folder.path()).unwrap();
    let broken = stream::iter([Ok(Bytes::from("half")), Err(BlobError::Io(std::io::Error::other("cut")))]);
    assert!(blobs.put(broken.boxed()).await.is_err());
    assert!(!blobs.contains(&Digest::of(b"half")).await.unwrap());
}

#[tokio::test]
async fn a_removed_blob_leaves_nothing() {
    let objects = Arc::new(InMemory::new());
    let blobs = ObjectBlobs::new(objects.clone());
    let (digest, _) = blobs.put(blob_of("bytes")).await.unwrap();
    assert!(blobs.remove_blob(&digest, later()).await.unwrap());
    assert_eq!(names(&*objects).await, [""; 0]);
}

/// A collector was killed after it had moved a blob away.
#[tokio::test]
async fn a_blob_in_the_trash_is_read_and_put_back() {
    let objects = Arc::new(InMemory::new());
    let blobs = ObjectBlobs::new(objects.clone());
    let (digest, _) = blobs.put(blob_of("bytes")).await.unwrap();
    let trash = Path::from_iter(["trash", &digest.to_hex(), &Uuid::now_v7().to_string()]);
    objects.rename(&ObjectBlobs::path(&digest), &trash).await.unwrap();
    assert_eq!(read(&blobs, &digest).await.unwrap(), b"bytes");
    assert!(!blobs.contains(&digest).await.unwrap(), "whoever puts it puts it anew");

    blobs.sweep_blobs(Timestamp::UNIX_EPOCH).await.unwrap();
    assert!(names(&*objects).await.contains(&trash.to_string()), "a collector may be about to remove it");
    blobs.sweep_blobs(later()).await.unwrap();
    assert!(blobs.contains(&digest).await.unwrap());
    assert!(!names(&*objects).await.contains(&trash.to_string()));
}

#[tokio::test]
async fn what_killed_writers_have_left_is_swept() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = ObjectBlobs::open(folder.path()).unwrap();
    let (digest, _) = blobs.put(blob_of("bytes")).await.unwrap();
    let unfinished = folder.path().join(format!("{}#1", ObjectBlobs::path(&digest)));
    std::fs::write(&unfinished, "by").unwrap();
    let mark = folder.path().join(ObjectBlobs::mark(&Digest::of(b"nothing")).as_ref());
    std::fs::create_dir_all(mark.parent().unwrap()).unwrap();
    std::fs::write(&mark, "").unwrap();
    blobs.sweep_blobs(Timestamp::UNIX_EPOCH).await.unwrap();
    assert!(unfinished.exists() && mark.exists());
    blobs.sweep_blobs(later()).await.unwrap();
    assert!(!unfinished.exists() && !mark.exists());
    assert_eq!(read(&blobs, &digest).await.unwrap(), b"bytes");
}
