//! What every store must hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use buildit::testing::store::{self, TenantStores};
use buildit_storage::ObjectBlobs;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_looks_after_the_logs_of_closed_runs() {
    let folder = tempfile::tempdir().unwrap();
    store::assert_keep(async || fresh(&folder).await).await;
    let blobs = Arc::new(ObjectBlobs::open(&folder.path().join("blobs")).unwrap());
    store::assert_keep(async || fresh(&folder).await.with_blobs(blobs.clone())).await;
}

#[tokio::test]
async fn it_finds_and_forgets_caches() {
    let folder = tempfile::tempdir().unwrap();
    store::assert_clauses(store::cache_clauses(), async || Arc::new(fresh(&folder).await) as _).await;
    store::assert_clauses(store::eviction_clauses(), async || Arc::new(fresh(&folder).await) as _).await;
}

#[tokio::test]
async fn it_tells_what_it_refers_to() {
    let folder = tempfile::tempdir().unwrap();
    store::assert_clauses(store::reference_clauses(), async || Arc::new(fresh(&folder).await) as _).await;
}

#[tokio::test]
async fn it_keeps_pipelines() {
    let folder = tempfile::tempdir().unwrap();
    store::assert_clauses(store::pipeline_clauses(), async || Arc::new(fresh(&folder).await) as _).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_queue_is_seen_and_steered() {
    let folder = tempfile::tempdir().unwrap();
    store::assert_clauses(store::control_clauses(), async || Arc::new(fresh(&folder).await) as _).await;
    store::assert_clauses(store::export_clauses(), async || Arc::new(fresh(&folder).await) as _).await;
    store::assert_clauses(store::request_clauses(), async || Arc::new(fresh(&folder).await) as _).await;
    store::assert_clauses(store::schedule_clauses(), async || Arc::new(fresh(&folder).await) as _).await;
    store::assert_clauses(store::notification_clauses(), async || Arc::new(fresh(&folder).await) as _).await;
}

#[tokio::test]
async fn it_keeps_sealed_secrets() {
    let folder = tempfile::tempdir().unwrap();
    store::assert_clauses(store::secret_clauses(), async || Arc::new(fresh(&folder).await) as _).await;
}

#[tokio::test]
async fn it_keeps_policies_and_turns() {
    let folder = tempfile::tempdir().unwrap();
    store::assert_clauses(store::policy_clauses(), async || Arc::new(fresh(&folder).await) as _).await;
}

#[tokio::test]
async fn it_keeps_environments() {
    let folder = tempfile::tempdir().unwrap();
    store::assert_clauses(store::environment_clauses(), async || Arc::new(fresh(&folder).await) as _).await;
}

#[tokio::test]
async fn it_keeps_repositories() {
    let folder = tempfile::tempdir().unwrap();
    store::assert_clauses(store::repository_clauses(), async || Arc::new(fresh(&folder).await) as _).await;
    store::assert_clauses(store::delivery_clauses(), async || Arc::new(fresh(&folder).await) as _).await;
    store::assert_clauses(store::status_clauses(), async || Arc::new(fresh(&folder).await) as _).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_accounts() {
    let folder = tempfile::tempdir().unwrap();
    store::assert_accounts(async || fresh(&folder).await).await;
    store::assert_clauses(store::tenant_clauses(), async || Arc::new(TenantStores::of(fresh(&folder).await))).await;
    let file = folder.path().join("accounts.db");
    store::assert_durable_accounts(async || SqliteStore::open(&file).await.unwrap()).await;
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
