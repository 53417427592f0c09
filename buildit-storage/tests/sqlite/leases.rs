//! Leases and the sessions that hold them.

use std::sync::Arc;

use buildit::event::{Event, EventBody, RunStatus};
use buildit::store::{Lease, RunStore, StoreError};
use buildit_storage::sqlite::SqliteStore;

use crate::{at, new_run};

fn lease(worker: &str) -> Lease {
    Lease { worker: worker.into(), until: at(60) }
}

fn started() -> Arc<[Event]> {
    Arc::new([Event { seq: 1, time: at(1), body: EventBody::RunStarted }])
}

#[tokio::test]
async fn a_lease_ends_with_the_session_that_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    let (one, two) = (SqliteStore::open(&file).await.unwrap(), SqliteStore::open(&file).await.unwrap());
    let run = new_run("sample");
    one.create_run(run.clone()).await.unwrap();
    let old = one.lease_run(run.id, lease("one"), at(0)).await.unwrap();
    assert!(matches!(two.lease_run(run.id, lease("two"), at(0)).await, Err(StoreError::Fenced)));
    drop(one);
    // Nothing of it can be seen but that its lock is free, as when it was killed.
    let new = two.lease_run(run.id, lease("two"), at(0)).await.unwrap();
    assert!(new > old);
    assert!(matches!(two.append(run.id, 0, old, started()).await, Err(StoreError::Fenced)));
    two.append(run.id, 0, new, started()).await.unwrap();
}

#[tokio::test]
async fn whoever_opens_the_file_finds_no_lease_of_the_dead() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    let (dead, living) = (SqliteStore::open(&file).await.unwrap(), SqliteStore::open(&file).await.unwrap());
    let (lost, held) = (new_run("sample"), new_run("sample"));
    for run in [&lost, &held] {
        dead.create_run(run.clone()).await.unwrap();
    }
    dead.lease_run(lost.id, lease("dead"), at(0)).await.unwrap();
    living.lease_run(held.id, lease("living"), at(0)).await.unwrap();
    drop(dead);
    let next = SqliteStore::open(&file).await.unwrap();
    next.lease_run(lost.id, lease("next"), at(0)).await.unwrap();
    assert!(matches!(next.lease_run(held.id, lease("next"), at(0)).await, Err(StoreError::Fenced)));
    assert_eq!(next.open_runs().await.unwrap(), [lost.id, held.id]);
}

#[tokio::test]
async fn runs_that_were_broken_off_are_those_that_nobody_drives_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    let (dead, living) = (SqliteStore::open(&file).await.unwrap(), SqliteStore::open(&file).await.unwrap());
    let [lost, held, waiting, closed] = [(); 4].map(|()| new_run("sample"));
    for run in [&lost, &held, &waiting, &closed] {
        dead.create_run(run.clone()).await.unwrap();
    }
    dead.lease_run(lost.id, lease("dead"), at(0)).await.unwrap();
    living.lease_run(held.id, lease("living"), at(0)).await.unwrap();
    let token = dead.lease_run(closed.id, lease("dead"), at(0)).await.unwrap();
    let ended = EventBody::RunFinished { status: RunStatus::Cancelled };
    dead.append(closed.id, 0, token, [Event { seq: 1, time: at(1), body: ended }].into()).await.unwrap();
    dead.close_run(closed.id, token).await.unwrap();
    assert_eq!(living.broken_off_runs(at(1)).await.unwrap(), []);
    drop(dead);
    assert_eq!(living.broken_off_runs(at(1)).await.unwrap(), [lost.id]);
    assert_eq!(living.broken_off_runs(at(60)).await.unwrap(), [lost.id, held.id], "its lease has ended");
    living.lease_run(lost.id, Lease { worker: "living".into(), until: at(90) }, at(61)).await.unwrap();
    assert_eq!(living.broken_off_runs(at(61)).await.unwrap(), [held.id], "somebody went on with it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_have_no_gaps_when_stores_create_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    let stores = [SqliteStore::open(&file).await.unwrap(), SqliteStore::open(&file).await.unwrap()];
    let creating: Vec<_> = (0..100)
        .map(|at| {
            let store = stores[at % 2].clone();
            tokio::spawn(async move { store.create_run(new_run("sample")).await.unwrap().number })
        })
        .collect();
    let mut numbers = Vec::new();
    for number in creating {
        numbers.push(number.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
}
