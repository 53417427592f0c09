//! Engines that share a database.

use std::collections::HashSet;
use std::time::Duration;

use buildit::id::FencingToken;
use buildit::store::{Claim, Lease, QueueStore, RunStore, StoreError};
use buildit_storage::postgres::PostgresStore;
use jiff::{SignedDuration, Timestamp};

use crate::{Scratch, at, event, lease, new_run, waiting};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn numbers_have_no_gaps_when_stores_create_at_once() {
    let scratch = Scratch::new().await;
    let stores = [scratch.store().await, scratch.store().await];
    let taken = new_run("sample");
    let creating: Vec<_> = (0..100)
        .map(|at: usize| {
            let (store, taken) = (stores[at % 2].clone(), taken.clone());
            tokio::spawn(async move {
                // One that is refused uses no number.
                let again = store.create_run(taken).await;
                let number = store.create_run(new_run("sample")).await.unwrap().number;
                (again.map(|record| record.number), number)
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for created in creating {
        let (again, number) = created.await.unwrap();
        numbers.push(number);
        match again {
            Ok(number) => numbers.push(number),
            Err(refused) => assert!(matches!(refused, StoreError::Exists(_)), "{refused:?}"),
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=101).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn eight_tasks_append_to_runs_of_their_own() {
    const EVENTS: u64 = 50;
    let scratch = Scratch::new().await;
    let stores = [scratch.store().await, scratch.store().await];
    let appending: Vec<_> = (0..8)
        .map(|task: usize| {
            let (store, other) = (stores[task % 2].clone(), stores[(task + 1) % 2].clone());
            tokio::spawn(async move {
                let run = new_run(&format!("pipeline {}", task % 3));
                store.create_run(run.clone()).await.unwrap();
                for seq in 1..=EVENTS {
                    store.append(run.id, seq - 1, FencingToken(1), event(seq, "own")).await.unwrap();
                    assert_eq!(other.run(run.id).await.unwrap().last_seq, seq);
                }
                let seqs: Vec<u64> =
                    other.events(run.id, 0, 99).await.unwrap().events.iter().map(|event| event.seq).collect();
                assert_eq!(seqs, (1..=EVENTS).collect::<Vec<_>>());
            })
        })
        .collect();
    for appended in appending {
        appended.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn claims_of_two_stores_share_no_run_and_leave_none() {
    const RUNS: usize = 200;
    let scratch = Scratch::new().await;
    let stores = [scratch.store().await, scratch.store().await];
    for _ in 0..RUNS {
        let run = new_run("sample");
        stores[0].create_run(run.clone()).await.unwrap();
        stores[0].enqueue(waiting(run.id)).await.unwrap();
    }
    let claiming: Vec<_> = (0..8)
        .map(|task: usize| {
            let store = stores[task % 2].clone();
            tokio::spawn(async move {
                let claim = Claim {
                    worker: format!("worker {task}").as_str().into(),
                    limit: 5,
                    lease: Duration::from_secs(30),
                };
                let mut taken = Vec::new();
                for _ in 0..RUNS / 8 / 5 {
                    let jobs = store.claim(claim.clone(), at(1)).await.unwrap();
                    assert_eq!(jobs.len(), 5, "there is enough for all");
                    taken.extend(jobs);
                }
                taken
            })
        })
        .collect();
    let mut seen = HashSet::new();
    for taken in claiming {
        seen.extend(taken.await.unwrap().into_iter().map(|job| job.run));
    }
    assert_eq!(seen.len(), RUNS);
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_claim_waits_for_nobody() {
    use sqlx::Connection;
    let scratch = Scratch::new().await;
    let store = scratch.store().await;
    let runs = [new_run("sample"), new_run("sample"), new_run("sample")];
    for run in &runs {
        store.create_run(run.clone()).await.unwrap();
        store.enqueue(waiting(run.id)).await.unwrap();
    }
    let mut other = scratch.connection().await;
    let mut locks = other.begin().await.unwrap();
    for (lock, run) in [
        ("SELECT 1 FROM job_queue WHERE subject = $1 FOR UPDATE", &runs[0]),
        ("SELECT 1 FROM pipeline_runs WHERE id = $1 FOR UPDATE", &runs[1]),
    ] {
        sqlx::query(lock).bind(run.id.as_uuid()).execute(&mut *locks).await.unwrap();
    }
    let claim = Claim { worker: "one".into(), limit: 9, lease: Duration::from_secs(30) };
    let taken = store.claim(claim.clone(), at(1)).await.unwrap();
    assert_eq!(taken.iter().map(|job| job.run).collect::<Vec<_>>(), [runs[2].id]);
    locks.rollback().await.unwrap();
    assert_eq!(store.claim(claim, at(1)).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn one_of_many_who_ask_at_once_gets_the_lease() {
    let scratch = Scratch::new().await;
    let stores = [scratch.store().await, scratch.store().await];
    let run = new_run("sample");
    let id = run.id;
    stores[0].create_run(run).await.unwrap();
    for turn in 0..20 {
        let asking: Vec<_> = (0..8)
            .map(|task: usize| {
                let (store, worker) = (stores[task % 2].clone(), format!("worker {task} in turn {turn}"));
                tokio::spawn(async move { store.lease_run(id, lease(&worker, turn * 60 + 60), at(turn * 60)).await })
            })
            .collect();
        let mut given = 0;
        for asked in asking {
            match asked.await.unwrap() {
                Ok(_) => given += 1,
                Err(refused) => assert!(matches!(refused, StoreError::Fenced), "{refused:?}"),
            }
        }
        assert_eq!(given, 1, "turn {turn}");
    }
}

/// Appends until it is fenced; how many events it stored.
async fn append_until_fenced(store: PostgresStore, run: buildit::id::RunId, token: FencingToken) -> u64 {
    let mut stored = 0;
    loop {
        match store.append(run, stored, token, event(stored + 1, "old")).await {
            Ok(()) => stored += 1,
            Err(StoreError::Fenced) => return stored,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn a_takeover_fences_a_holder_that_is_appending() {
    let scratch = Scratch::new().await;
    let (one, two) = (scratch.store().await, scratch.store().await);
    for _ in 0..10 {
        let run = new_run("sample");
        one.create_run(run.clone()).await.unwrap();
        let old = one.lease_run(run.id, lease("one", 10), at(0)).await.unwrap();
        let appending = tokio::spawn(append_until_fenced(one.clone(), run.id, old));
        while two.run(run.id).await.unwrap().last_seq < 5 {}
        assert!(matches!(two.lease_run(run.id, lease("two", 60), at(9)).await, Err(StoreError::Fenced)));
        let new = two.lease_run(run.id, lease("two", 60), at(10)).await.unwrap();
        let last = two.run(run.id).await.unwrap().last_seq;
        two.append(run.id, last, new, event(last + 1, "new")).await.unwrap();
        assert_eq!(appending.await.unwrap(), last, "what the old holder stored, all before the takeover");
        let page = two.events(run.id, 0, 10_000).await.unwrap();
        assert!(page.events.iter().map(|event| event.seq).eq(1..=last + 1), "{page:?}");
    }
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn engines_whose_clocks_differ_agree_on_who_holds_a_run() {
    fn ahead() -> Timestamp {
        Timestamp::now() + SignedDuration::from_hours(1)
    }
    fn behind() -> Timestamp {
        Timestamp::now() - SignedDuration::from_mins(30)
    }
    let second = SignedDuration::from_secs;
    let lease = |worker: &str, until| Lease { worker: worker.into(), until };
    let scratch = Scratch::new().await;
    let one = PostgresStore::connect_by(&scratch.url(), ahead).await.unwrap();
    let two = PostgresStore::connect_by(&scratch.url(), behind).await.unwrap();
    for (holder, clock, other, others) in
        [(&one, ahead as fn() -> Timestamp, &two, behind as fn() -> Timestamp), (&two, behind, &one, ahead)]
    {
        let run = new_run("sample");
        holder.create_run(run.clone()).await.unwrap();
        holder.lease_run(run.id, lease("holder", clock() + second(60)), clock()).await.unwrap();
        let ask = async |after| {
            other.lease_run(run.id, lease("other", others() + second(120)), others() + second(after)).await
        };
        for early in [0, 30] {
            let refused = ask(early).await;
            assert!(matches!(refused, Err(StoreError::Fenced)), "{early} s after it: {refused:?}");
        }
        ask(61).await.unwrap();
    }
    // A claim is a lease, and a time to be taken at is a moment too.
    let run = new_run("sample");
    one.create_run(run.clone()).await.unwrap();
    one.enqueue(buildit::store::Enqueue { scheduled_for: ahead() + second(60), ..waiting(run.id) }).await.unwrap();
    let claim = |worker: &str| Claim { worker: worker.into(), limit: 9, lease: Duration::from_secs(30) };
    assert_eq!(two.claim(claim("two"), behind()).await.unwrap(), []);
    let taken = two.claim(claim("two"), behind() + second(61)).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(one.claim(claim("one"), ahead() + second(80)).await.unwrap(), []);
    one.renew(run.id, taken[0].token, ahead() + second(120)).await.unwrap();
    assert_eq!(two.claim(claim("two"), behind() + second(119)).await.unwrap(), []);
    assert_eq!(two.claim(claim("two"), behind() + second(121)).await.unwrap().len(), 1);
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_lease_that_is_given_back_is_free_at_once() {
    let scratch = Scratch::new().await;
    let (one, two) = (scratch.store().await, scratch.store().await);
    let run = new_run("sample");
    one.create_run(run.clone()).await.unwrap();
    let token = one.lease_run(run.id, lease("one", 60), at(0)).await.unwrap();
    one.give_back(run.id, token, at(0)).await.unwrap();
    let token = two.lease_run(run.id, lease("two", 60), at(0)).await.unwrap();
    // As engines do it: a lease that ends now.
    two.lease_run(run.id, lease("two", 1), at(1)).await.unwrap();
    assert!(one.lease_run(run.id, lease("one", 60), at(1)).await.unwrap() > token);
}
