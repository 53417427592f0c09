//! What every store must hold.

use std::sync::{Arc, Mutex};

use buildit::testing::store;
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

#[tokio::test]
#[ignore = "needs postgres"]
async fn it_finds_caches() {
    let many = Many::default();
    let mut violations = Vec::new();
    for clause in store::cache_clauses() {
        violations.extend(clause.check(Arc::new(many.store().await)).await.err());
    }
    assert!(violations.is_empty(), "{violations:#?}");
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
