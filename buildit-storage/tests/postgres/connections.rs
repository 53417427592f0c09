//! Connections that are cut, and what was under way on them.

use std::future::Future;

use buildit::id::FencingToken;
use buildit::store::{QueueStore, RunStore, StoreError};
use sqlx::{Connection, PgConnection};

use crate::{Scratch, event, lease, new_run, waiting};

/// Cuts all connections of stores, or only those that wait for a lock; how many there were.
async fn cut(scratch: &Scratch, to: &mut PgConnection, state: &str) -> usize {
    let cut = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = $1 AND application_name = 'buildit' AND coalesce(wait_event_type, '') LIKE $2";
    let cut = sqlx::query_as(cut).bind(scratch.name()).bind(state).fetch_all(&mut *to).await.unwrap();
    let cut: Vec<i32> = cut.into_iter().map(|(pid, _): (i32, bool)| pid).collect();
    loop {
        let left = sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1)").bind(&cut);
        let left: i64 = left.fetch_one(&mut *to).await.unwrap();
        if left == 0 {
            return cut.len();
        }
    }
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn the_next_call_works_when_all_connections_were_cut() {
    let scratch = Scratch::new().await;
    let store = scratch.store().await;
    let mut admin = scratch.outside().await;
    let run = new_run("sample");
    store.create_run(run.clone()).await.unwrap();
    for seq in 1..=5 {
        // As many connections as there can be.
        futures_util::future::join_all((0..20).map(|_| store.run(run.id))).await;
        assert!(cut(&scratch, &mut admin, "%").await > 0);
        store.append(run.id, seq - 1, FencingToken(1), event(seq, "cut")).await.unwrap();
        futures_util::future::join_all((0..20).map(|_| store.run(run.id))).await;
        assert!(cut(&scratch, &mut admin, "%").await > 0);
        assert_eq!(store.run(run.id).await.unwrap().last_seq, seq);
    }
}

/// Has a write wait for a lock on all runs, cuts its connection, and gives what came of it.
async fn cut_in_the_middle<T>(scratch: &Scratch, write: impl Future<Output = T>) -> T {
    let mut other = scratch.connection().await;
    let mut admin = scratch.outside().await;
    let mut locks = other.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM pipeline_runs FOR UPDATE").execute(&mut *locks).await.unwrap();
    let cutting = async {
        while cut(scratch, &mut admin, "Lock").await == 0 {}
        locks.rollback().await.unwrap();
    };
    tokio::join!(write, cutting).0
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn nothing_is_half_written_when_a_connection_is_cut_in_the_middle() {
    let scratch = Scratch::new().await;
    let store = scratch.store().await;
    let run = new_run("sample");
    store.create_run(run.clone()).await.unwrap();
    let append = async || store.append(run.id, 0, FencingToken(1), event(1, "cut")).await;
    let failed = cut_in_the_middle(&scratch, append()).await;
    assert!(matches!(failed, Err(StoreError::Backend { name: "postgres", .. })), "{failed:?}");
    assert_eq!(store.events(run.id, 0, 9).await.unwrap().events, []);
    append().await.unwrap();
    assert_eq!(store.run(run.id).await.unwrap().last_seq, 1);

    store.enqueue(waiting(run.id)).await.unwrap();
    let token = store.lease_run(run.id, lease("one", 60), crate::at(0)).await.unwrap();
    let give_back = async || store.give_back(run.id, token, crate::at(0)).await;
    let failed = cut_in_the_middle(&scratch, give_back()).await;
    assert!(matches!(failed, Err(StoreError::Backend { .. })), "{failed:?}");
    give_back().await.unwrap();
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_call_that_is_dropped_in_the_middle_leaves_neither_locks_nor_halves() {
    let scratch = Scratch::new().await;
    let store = scratch.store().await;
    let run = new_run("sample");
    store.create_run(run.clone()).await.unwrap();
    // Dropped after each number of steps that it takes.
    for steps in 0..40 {
        let seq = store.run(run.id).await.unwrap().last_seq;
        let mut append = Box::pin(store.append(run.id, seq, FencingToken(1), event(seq + 1, "dropped")));
        for _ in 0..steps {
            if futures_util::poll!(&mut append).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(append);
        // Waits for what the dropped one locked.
        store.lease_run(run.id, lease("one", 60), crate::at(0)).await.unwrap();
        let page = store.events(run.id, 0, 99).await.unwrap();
        assert_eq!(page.events.len() as u64, page.last_seq);
    }
}
