//! The tests of the tests: stores that are broken on purpose, each of which some clause rejects.

mod accounts;
mod artifact;
mod broken;
mod control;
mod delivery;
mod environment;
mod export;
mod faults;
mod keep;
mod log;
mod notification;
mod pipeline;
mod policy;
mod queue;
mod repository;
mod result;
mod run;
mod schedule;
mod secret;
mod status;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use self::broken::Broken;
use self::faults::REJECTED;
use super::{
    Referring, Violation, assert_blobs, assert_durable, assert_keep, assert_results, assert_store, check_blobs,
    check_clauses, check_durable, check_keep, check_results, check_store, control_clauses, eviction_clauses,
    notification_clauses, pipeline_clauses, reference_clauses, removal_clauses, report, request_clauses,
    schedule_clauses, secret_clauses,
};
use crate::artifact::{EvictCaches, RemoveBlobs};
use crate::memory::MemoryStore;
use crate::store::{
    ChannelStore, NotificationStore, PipelineStore, QueueControl, RequestStore, ScheduleStore, SecretStore,
};

/// What stores do wrong with what goes beyond the ports of an engine.
async fn check_more<S>(make: impl AsyncFn() -> S) -> Vec<Violation>
where
    S: Referring
        + RemoveBlobs
        + EvictCaches
        + SecretStore
        + PipelineStore
        + QueueControl
        + RequestStore
        + ScheduleStore
        + ChannelStore
        + NotificationStore,
{
    let mut violations = check_clauses(reference_clauses(), async || Arc::new(make().await) as _).await;
    violations.extend(check_clauses(removal_clauses(), async || Arc::new(make().await) as _).await);
    violations.extend(check_clauses(eviction_clauses(), async || Arc::new(make().await) as _).await);
    violations.extend(check_clauses(pipeline_clauses(), async || Arc::new(make().await) as _).await);
    violations.extend(check_clauses(control_clauses(), async || Arc::new(make().await) as _).await);
    violations.extend(check_clauses(notification_clauses(), async || Arc::new(make().await) as _).await);
    violations.extend(check_clauses(request_clauses(), async || Arc::new(make().await) as _).await);
    violations.extend(check_clauses(schedule_clauses(), async || Arc::new(make().await) as _).await);
    violations.extend(check_clauses(secret_clauses(), async || Arc::new(make().await) as _).await);
    violations
}

#[tokio::test]
async fn the_memory_store_conforms() {
    assert_store(async || MemoryStore::new()).await;
    assert_blobs(async || MemoryStore::new()).await;
    report(&check_more(async || MemoryStore::new()).await);
    assert_keep(async || MemoryStore::new()).await;
    assert_results(async || MemoryStore::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_journaled_store_conforms() {
    let folders = Mutex::new(Vec::new());
    let make = async || {
        let folder = tempfile::tempdir().unwrap();
        let store = MemoryStore::journaled(folder.path()).unwrap();
        folders.lock().unwrap().push(folder);
        store
    };
    assert_store(make).await;
    assert_blobs(make).await;
    report(&check_more(make).await);
    assert_keep(make).await;
    assert_results(make).await;
    let folder = tempfile::tempdir().unwrap();
    assert_durable(async || MemoryStore::journaled(folder.path()).unwrap()).await;
}

#[tokio::test]
async fn a_store_that_forgets_is_not_durable() {
    let violations = check_durable(async || MemoryStore::new()).await;
    assert_eq!(violations.iter().map(|violation| violation.clause).collect::<Vec<_>>(), [super::durable::CLAUSE]);
}

#[tokio::test]
async fn every_fault_is_found() {
    for (fault, clauses) in REJECTED {
        let make = async || Broken::new(*fault);
        let mut violations = check_store(make).await;
        violations.extend(check_blobs(make).await);
        violations.extend(check_more(make).await);
        violations.extend(check_keep(make).await);
        violations.extend(check_results(make).await);
        let violated: BTreeSet<&str> = violations.iter().map(|violation| violation.clause).collect();
        for clause in *clauses {
            assert!(violated.contains(clause), "{fault:?} passes {clause}; it violates {violated:?}");
        }
    }
}

#[test]
fn every_clause_rejects_a_fault() {
    let rejecting: BTreeSet<&str> = REJECTED.iter().flat_map(|(_, clauses)| clauses.iter().copied()).collect();
    let all = super::store_clauses().iter().map(|clause| clause.name()).collect::<BTreeSet<_>>();
    let blobs = super::blob_clauses().iter().map(|clause| clause.name()).collect::<BTreeSet<_>>();
    let caches = super::cache_clauses().iter().map(|clause| clause.name()).collect::<BTreeSet<_>>();
    let mut clauses = &(&all | &blobs) | &caches;
    clauses.extend(super::keep_clauses().iter().map(|clause| clause.name()));
    clauses.extend(reference_clauses().iter().map(|clause| clause.name()));
    clauses.extend(removal_clauses().iter().map(|clause| clause.name()));
    clauses.extend(eviction_clauses().iter().map(|clause| clause.name()));
    clauses.extend(pipeline_clauses().iter().map(|clause| clause.name()));
    clauses.extend(control_clauses().iter().map(|clause| clause.name()));
    clauses.extend(notification_clauses().iter().map(|clause| clause.name()));
    clauses.extend(request_clauses().iter().map(|clause| clause.name()));
    clauses.extend(schedule_clauses().iter().map(|clause| clause.name()));
    clauses.extend(secret_clauses().iter().map(|clause| clause.name()));
    clauses.extend(super::result_clauses().iter().map(|clause| clause.name()));
    assert_eq!(rejecting, clauses);
}
