//! A real S3 server: its URL is in `BUILDIT_TEST_S3`, credentials and endpoint in the variables that any client reads.

use std::sync::Arc;

use buildit::artifact::{BlobStore, RemoveBlobs, blob_of};
use buildit::testing::store::{assert_clauses, blob_clauses, removal_clauses};
use buildit_storage::ObjectBlobs;
use futures_util::TryStreamExt;
use jiff::Timestamp;
use uuid::Uuid;

/// A place of its own in the bucket.
fn fresh() -> Arc<ObjectBlobs> {
    let bucket = std::env::var("BUILDIT_TEST_S3").expect("BUILDIT_TEST_S3 has the URL of a bucket");
    Arc::new(ObjectBlobs::connect(&format!("{bucket}/{}", Uuid::now_v7())).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs s3"]
async fn a_bucket_is_a_blob_store() {
    assert_clauses(blob_clauses(), async || fresh() as _).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs s3"]
async fn blobs_of_a_bucket_can_be_removed() {
    assert_clauses(removal_clauses(), async || fresh() as _).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs s3"]
async fn a_blob_of_many_parts_comes_back_whole() {
    let blobs = fresh();
    let piece = bytes::Bytes::from((0..1_u32 << 20).map(|number| (number % 251) as u8).collect::<Vec<_>>());
    let pieces = futures_util::stream::iter((0..23).map(|_| Ok(piece.clone())).collect::<Vec<_>>());
    let (digest, size) = blobs.put(Box::pin(pieces)).await.unwrap();
    assert_eq!(size, 23 << 20);
    let read: Vec<_> = blobs.open(&digest).await.unwrap().try_collect().await.unwrap();
    assert_eq!(read.iter().map(|piece| piece.len()).sum::<usize>(), 23 << 20, "read to its end, which is verified");
    let later = Timestamp::new(32_503_680_000, 0).unwrap();
    assert!(blobs.remove_blob(&digest, later).await.unwrap());
}

#[tokio::test]
#[ignore = "needs s3"]
async fn a_bucket_that_is_not_there_is_an_error() {
    let blobs = ObjectBlobs::connect("s3://there-is-no-such-bucket").unwrap();
    assert!(blobs.put(blob_of("bytes")).await.is_err());
}
