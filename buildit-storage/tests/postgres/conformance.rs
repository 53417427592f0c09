//! What every store must hold.

use std::sync::{Arc, Mutex};

use buildit::testing::store::{self, TenantStores};
use buildit_storage::ObjectBlobs;
use buildit_storage::postgres::PostgresStore;

use crate::Scratch;

/// Stores, each in a database of its own, which stays until this is dropped.
#[derive(Default)]
struct Many(Mutex<Vec<Scratch>>);

impl Many {
    async fn store(&self) -> PostgresStore {
        let scratch = Scratch::new().await;
        let store = scratch.store().await;
        self.0.lock().unwrap().push(scratch);
        store
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn it_is_a_store() {
    let many = Many::default();
    store::assert_store(async || many.store().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn it_looks_after_the_logs_of_closed_runs() {
    let many = Many::default();
    store::assert_keep(async || many.store().await).await;
    let folder = tempfile::tempdir().unwrap();
    let blobs = Arc::new(ObjectBlobs::open(folder.path()).unwrap());
    store::assert_keep(async || many.store().await.with_blobs(blobs.clone())).await;
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn it_finds_and_forgets_caches() {
    let many = Many::default();
    store::assert_clauses(store::cache_clauses(), async || Arc::new(many.store().await) as _).await;
    store::assert_clauses(store::eviction_clauses(), async || Arc::new(many.store().await) as _).await;
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn it_tells_what_it_refers_to() {
    let many = Many::default();
    store::assert_clauses(store::reference_clauses(), async || Arc::new(many.store().await) as _).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn it_keeps_pipelines() {
    let many = Many::default();
    store::assert_clauses(store::pipeline_clauses(), async || Arc::new(many.store().await) as _).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn its_queue_is_seen_and_steered() {
    let many = Many::default();
    store::assert_clauses(store::control_clauses(), async || Arc::new(many.store().await) as _).await;
    store::assert_clauses(store::export_clauses(), async || Arc::new(many.store().await) as _).await;
    store::assert_clauses(store::request_clauses(), async || Arc::new(many.store().await) as _).await;
    store::assert_clauses(store::schedule_clauses(), async || Arc::new(many.store().await) as _).await;
    store::assert_clauses(store::notification_clauses(), async || Arc::new(many.store().await) as _).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn it_keeps_sealed_secrets() {
    let many = Many::default();
    store::assert_clauses(store::secret_clauses(), async || Arc::new(many.store().await) as _).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn it_keeps_policies_and_turns() {
    let many = Many::default();
    store::assert_clauses(store::policy_clauses(), async || Arc::new(many.store().await) as _).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn it_keeps_environments() {
    let many = Many::default();
    store::assert_clauses(store::environment_clauses(), async || Arc::new(many.store().await) as _).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn it_keeps_repositories() {
    let many = Many::default();
    store::assert_clauses(store::repository_clauses(), async || Arc::new(many.store().await) as _).await;
    store::assert_clauses(store::delivery_clauses(), async || Arc::new(many.store().await) as _).await;
    store::assert_clauses(store::status_clauses(), async || Arc::new(many.store().await) as _).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn it_keeps_accounts() {
    let many = Many::default();
    store::assert_accounts(async || many.store().await).await;
    store::assert_clauses(store::tenant_clauses(), async || Arc::new(TenantStores::of(many.store().await))).await;
    let scratch = Scratch::new().await;
    store::assert_durable_accounts(async || scratch.store().await).await;
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn it_keeps_results() {
    let many = Many::default();
    store::assert_results(async || many.store().await).await;
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn what_was_confirmed_outlives_it() {
    let scratch = Scratch::new().await;
    store::assert_durable(async || scratch.store().await).await;
}
