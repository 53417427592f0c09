//! What every store must hold.

use std::sync::atomic::{AtomicUsize, Ordering};

use buildit::testing::store;
use buildit_storage::sqlite::SqliteStore;
use tempfile::TempDir;

/// Stores, each in a file of its own below this folder.
async fn fresh(folder: &TempDir) -> SqliteStore {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("{}.db", NEXT.fetch_add(1, Ordering::Relaxed));
    SqliteStore::open(folder.path().join(name)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_a_store() {
    let folder = tempfile::tempdir().unwrap();
    store::assert_store(async || fresh(&folder).await).await;
}

#[tokio::test]
async fn it_finds_caches() {
    let folder = tempfile::tempdir().unwrap();
    let mut violations = Vec::new();
    for clause in store::cache_clauses() {
        violations.extend(clause.check(std::sync::Arc::new(fresh(&folder).await)).await.err());
    }
    assert!(violations.is_empty(), "{violations:#?}");
}

#[tokio::test]
async fn it_keeps_results() {
    let folder = tempfile::tempdir().unwrap();
    store::assert_results(async || fresh(&folder).await).await;
}

#[tokio::test]
async fn what_was_confirmed_outlives_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    store::assert_durable(async || SqliteStore::open(&file).await.unwrap()).await;
}
