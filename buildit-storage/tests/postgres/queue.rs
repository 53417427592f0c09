//! Waiting for work.

use std::time::Duration;

use buildit::store::{Claim, QueueStore, RunStore};
use buildit_storage::postgres::PostgresStore;

use crate::{Scratch, at, new_run, waiting};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(300);

/// Waits until something is heard.
async fn heard(store: &PostgresStore) {
    tokio::time::timeout(LONG, store.queue_changed()).await.expect("it was not heard");
}

/// Waits until nothing is left to be heard.
async fn quiet(store: &PostgresStore) {
    while tokio::time::timeout(Duration::from_millis(300), store.queue_changed()).await.is_ok() {}
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn who_waits_is_told_when_a_run_may_be_taken() {
    let scratch = Scratch::new().await;
    let (writer, waiter) = (scratch.store().await, scratch.store().await);
    let run = new_run("sample");
    writer.create_run(run.clone()).await.unwrap();
    quiet(&waiter).await;
    let work = || heard(&waiter);

    tokio::join!(work(), async { writer.enqueue(waiting(run.id)).await.unwrap() });
    quiet(&waiter).await;
    let claim = async |second| {
        let claim = Claim { worker: "one".into(), limit: 1, lease: Duration::from_secs(30) };
        writer.claim(claim, at(second)).await.unwrap().remove(0).token
    };
    let token = claim(0).await;
    tokio::join!(work(), async { writer.give_back(run.id, token, at(1)).await.unwrap() });
    for second in [1, 2] {
        let token = claim(second).await;
        writer.give_back(run.id, token, at(second)).await.unwrap();
    }
    assert_eq!(writer.dead_letters().await.unwrap(), [run.id]);
    quiet(&waiter).await;
    tokio::join!(work(), async { writer.requeue(run.id, at(3)).await.unwrap() });
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn what_is_said_between_a_look_and_a_wait_is_not_missed() {
    let scratch = Scratch::new().await;
    let (writer, waiter) = (scratch.store().await, scratch.store().await);
    quiet(&waiter).await;
    let run = new_run("sample");
    writer.create_run(run.clone()).await.unwrap();
    writer.enqueue(waiting(run.id)).await.unwrap();
    heard(&waiter).await;
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn it_listens_again_when_its_connection_was_cut() {
    let scratch = Scratch::new().await;
    let (writer, waiter) = (scratch.store().await, scratch.store().await);
    quiet(&waiter).await;
    let cut =
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1 AND query LIKE 'LISTEN%'";
    let cut: Vec<bool> =
        sqlx::query_scalar(cut).bind(scratch.name()).fetch_all(&mut scratch.outside().await).await.unwrap();
    assert_eq!(cut, [true]);
    // It says so when it is back, because something may have been missed.
    heard(&waiter).await;
    quiet(&waiter).await;
    let run = new_run("sample");
    writer.create_run(run.clone()).await.unwrap();
    tokio::join!(heard(&waiter), async { writer.enqueue(waiting(run.id)).await.unwrap() });
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_run_that_cannot_be_queued_is_not_kept() {
    let scratch = Scratch::new().await;
    let store = scratch.store().await;
    let mut database = scratch.connection().await;
    sqlx::query("ALTER TABLE job_queue ADD CHECK (false)").execute(&mut database).await.unwrap();
    let run = new_run("sample");
    assert!(store.create_queued(run.clone(), waiting(run.id)).await.is_err());
    assert_eq!(store.open_runs().await.unwrap(), []);
    assert!(store.run(run.id).await.is_err());
}
