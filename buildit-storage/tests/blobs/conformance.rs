//! What every blob store must hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use buildit::testing::store::{assert_clauses, blob_clauses, removal_clauses};
use buildit_storage::ObjectBlobs;
use object_store::memory::InMemory;

#[tokio::test]
async fn a_folder_is_a_blob_store() {
    let folder = tempfile::tempdir().unwrap();
    let next = AtomicUsize::new(0);
    let fresh = || {
        let name = next.fetch_add(1, Ordering::Relaxed).to_string();
        Arc::new(ObjectBlobs::open(&folder.path().join(name)).unwrap())
    };
    assert_clauses(blob_clauses(), async || fresh() as _).await;
    assert_clauses(removal_clauses(), async || fresh() as _).await;
}

/// As buckets do it: a move is a copy and a removal.
#[tokio::test]
async fn objects_in_memory_are_a_blob_store() {
    let fresh = || Arc::new(ObjectBlobs::new(Arc::new(InMemory::new())));
    assert_clauses(blob_clauses(), async || fresh() as _).await;
    assert_clauses(removal_clauses(), async || fresh() as _).await;
}
