//! Several engines on one file.

use std::sync::Arc;

use buildit::store::Store;
use buildit_storage::sqlite::SqliteStore;

use crate::{engines, new_run};

async fn two() -> (tempfile::TempDir, [Arc<dyn Store>; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let stores = [SqliteStore::open(&file).await.unwrap(), SqliteStore::open(&file).await.unwrap()];
    (folder, stores.map(|store| Arc::new(store) as Arc<dyn Store>))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_hold_among_engines() {
    let (_folder, stores) = two().await;
    engines::groups_hold(&stores).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_engine_asks_something_of_any_run() {
    let (_folder, stores) = two().await;
    engines::asks_are_heeded(&stores).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_hold_among_claimers() {
    let (_folder, stores) = two().await;
    engines::shares_hold(&stores, 4, new_run).await;
}
