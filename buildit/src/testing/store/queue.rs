//! Clauses about the queue.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::Clause;
use super::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use super::samples::{FIRST, at, claim, kept_run, life, new_run, waiting};
use crate::id::RunId;
use crate::store::{Claim, Enqueue, NewRun, QueuedJob, RunFilter, Store, StoreError};

pub(super) fn clauses() -> Vec<Clause<dyn Store>> {
    clauses![
        runs_are_taken_by_priority_and_then_by_age,
        a_run_is_not_taken_before_its_time,
        a_claim_takes_no_more_than_its_limit,
        a_run_is_queued_once,
        a_run_that_is_not_there_is_not_queued,
        a_run_is_taken_by_one,
        claims_at_once_share_no_run,
        a_claim_whose_lease_ended_is_taken_again,
        a_claim_is_cut_to_a_minute,
        a_renewed_claim_is_not_taken_again,
        a_claim_is_the_lease_on_the_run,
        a_completed_run_is_gone,
        a_run_that_is_given_back_waits_for_its_time,
        a_run_that_is_given_back_too_often_is_a_dead_letter,
        a_run_that_is_handed_over_is_taken_at_once_and_never_dies_of_it,
        a_run_whose_leases_end_too_often_is_a_dead_letter,
        a_dead_letter_can_be_queued_again,
        a_stale_claim_changes_nothing,
        a_deleted_run_leaves_the_queue,
        a_run_is_kept_and_queued_in_one_step,
    ]
}

async fn queued(store: &Arc<dyn Store>) -> Result<RunId, Broken> {
    let run = kept_run(store).await?;
    store.enqueue(waiting(run)).await?;
    Ok(run)
}

/// Takes one run, which must be there.
async fn take(store: &Arc<dyn Store>, worker: &str, second: i64) -> Result<QueuedJob, Broken> {
    let taken = store.claim(claim(worker, 1), at(second)).await?;
    taken.into_iter().next().ok_or_else(|| Broken(format!("nothing can be taken at second {second}")))
}

async fn takes_nothing(store: &Arc<dyn Store>, second: i64, why: &str) -> Result<(), Broken> {
    ensure_eq!(
        store.claim(claim("other", 10), at(second)).await?,
        [],
        format!("what is taken at second {second}, {why}")
    );
    Ok(())
}

async fn runs_are_taken_by_priority_and_then_by_age(store: Arc<dyn Store>) -> Result<(), Broken> {
    let mut runs = Vec::new();
    for priority in [0, 5, -1, 5, 0] {
        let run = kept_run(&store).await?;
        store.enqueue(Enqueue { priority, ..waiting(run) }).await?;
        runs.push(run);
    }
    let taken: Vec<RunId> = store.claim(claim("w", 10), at(1)).await?.iter().map(|job| job.run).collect();
    ensure_eq!(taken, [1, 3, 0, 4, 2].map(|index: usize| runs[index]), "the order");
    Ok(())
}

async fn a_run_is_not_taken_before_its_time(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    store.enqueue(Enqueue { scheduled_for: at(100), ..waiting(run) }).await?;
    takes_nothing(&store, 99, "before the run is due").await?;
    ensure_eq!(take(&store, "w", 100).await?.run, run, "what is due");
    Ok(())
}

async fn a_claim_takes_no_more_than_its_limit(store: Arc<dyn Store>) -> Result<(), Broken> {
    let runs = [queued(&store).await?, queued(&store).await?, queued(&store).await?];
    ensure_eq!(store.claim(claim("w", 0), at(1)).await?.len(), 0, "how many a claim of 0 takes");
    let taken: Vec<RunId> = store.claim(claim("w", 2), at(1)).await?.iter().map(|job| job.run).collect();
    ensure_eq!(taken, runs[..2], "what a claim of 2 takes");
    ensure_eq!(take(&store, "w", 1).await?.run, runs[2], "what is left");
    Ok(())
}

async fn a_run_is_queued_once(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    let job = waiting(run);
    store.enqueue(job.clone()).await?;
    store.enqueue(Enqueue { priority: 9, scheduled_for: at(1000), ..job.clone() }).await?;
    let taken = take(&store, "w", 1).await?;
    ensure_eq!((taken.run, taken.tenant, taken.attempt), (run, job.tenant, 1), "what is taken");
    store.enqueue(job).await?;
    takes_nothing(&store, 2, "when the run is held").await
}

async fn a_run_that_is_not_there_is_not_queued(store: Arc<dyn Store>) -> Result<(), Broken> {
    ensure_refused!(store.enqueue(waiting(RunId::new())).await, StoreError::NoRun(_), "queueing it");
    Ok(())
}

async fn a_run_is_taken_by_one(store: Arc<dyn Store>) -> Result<(), Broken> {
    queued(&store).await?;
    take(&store, "one", 0).await?;
    takes_nothing(&store, 29, "when another holds the run").await
}

async fn claims_at_once_share_no_run(store: Arc<dyn Store>) -> Result<(), Broken> {
    for _ in 0..20 {
        queued(&store).await?;
    }
    let tasks: Vec<_> = (0..8)
        .map(|worker| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.claim(claim(&format!("worker {worker}"), 3), at(1)).await })
        })
        .collect();
    let mut seen = HashSet::new();
    let mut count = 0;
    for taken in join_all(tasks).await {
        for job in taken.map_err(|error| Broken(error.to_string()))?? {
            seen.insert(job.run);
            count += 1;
        }
    }
    ensure_eq!((count, seen.len()), (20, 20), "how many were taken, and how many different ones");
    Ok(())
}

async fn a_claim_whose_lease_ended_is_taken_again(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = queued(&store).await?;
    let first = take(&store, "one", 0).await?;
    let second = take(&store, "two", 30).await?;
    ensure_eq!((second.run, second.attempt), (run, 2), "what is taken again");
    ensure!(second.token > first.token, "the token {:?} is not larger than {:?}", second.token, first.token);
    Ok(())
}

async fn a_claim_is_cut_to_a_minute(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = queued(&store).await?;
    let long = Claim { lease: Duration::from_secs(3600), ..claim("one", 1) };
    ensure_eq!(store.claim(long, at(0)).await?.len(), 1, "how many are taken");
    takes_nothing(&store, 59, "within the minute").await?;
    ensure_eq!(take(&store, "two", 60).await?.run, run, "what is taken after it");
    Ok(())
}

async fn a_renewed_claim_is_not_taken_again(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = queued(&store).await?;
    let job = take(&store, "one", 0).await?;
    store.renew(run, job.token, at(50)).await?;
    takes_nothing(&store, 49, "when the lease was renewed").await?;
    take(&store, "two", 50).await.map(drop)
}

async fn a_claim_is_the_lease_on_the_run(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = queued(&store).await?;
    let first = take(&store, "one", 0).await?;
    store.append(run, 0, first.token, life()[..1].into()).await?;
    let lease = super::samples::lease("two", 60);
    ensure_refused!(store.lease_run(run, lease, at(1)).await, StoreError::Fenced, "leasing a claimed run");
    let second = take(&store, "two", 30).await?;
    ensure_refused!(
        store.append(run, 1, first.token, life()[1..].into()).await,
        StoreError::Fenced,
        "the first one's append"
    );
    store.append(run, 1, second.token, life()[1..].into()).await?;
    Ok(())
}

async fn a_completed_run_is_gone(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = queued(&store).await?;
    let job = take(&store, "one", 0).await?;
    store.complete(run, job.token).await?;
    takes_nothing(&store, 1000, "when the run is complete").await?;
    ensure_eq!(store.dead_letters().await?, [], "the dead letters");
    Ok(())
}

async fn a_run_that_is_given_back_waits_for_its_time(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = queued(&store).await?;
    let job = take(&store, "one", 0).await?;
    store.give_back(run, job.token, at(10)).await?;
    takes_nothing(&store, 9, "before its time").await?;
    ensure_eq!(take(&store, "two", 10).await?.attempt, 2, "the attempt");
    Ok(())
}

async fn a_run_that_is_given_back_too_often_is_a_dead_letter(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = queued(&store).await?;
    for turn in 0..2 {
        let job = take(&store, "one", turn).await?;
        store.give_back(run, job.token, at(turn)).await?;
    }
    takes_nothing(&store, 1000, "when it is a dead letter").await?;
    ensure_eq!(store.dead_letters().await?, [run], "the dead letters");
    store.enqueue(waiting(run)).await?;
    takes_nothing(&store, 1000, "when a dead letter is queued").await
}

async fn a_run_that_is_handed_over_is_taken_at_once_and_never_dies_of_it(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = queued(&store).await?;
    for turn in 0..5 {
        let job = take(&store, "one", turn).await?;
        ensure_eq!((job.run, job.attempt), (run, 1), format!("what is taken in turn {turn}"));
        store.hand_over(run, job.token).await?;
    }
    let held = take(&store, "two", 5).await?;
    let new = take(&store, "three", 100).await?;
    ensure_refused!(store.hand_over(run, held.token).await, StoreError::Fenced, "handing over what another has taken");
    store.complete(run, new.token).await?;
    ensure_eq!(store.dead_letters().await?, [], "the dead letters");
    Ok(())
}

async fn a_run_whose_leases_end_too_often_is_a_dead_letter(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = queued(&store).await?;
    take(&store, "one", 0).await?;
    take(&store, "two", 100).await?;
    takes_nothing(&store, 200, "when it was taken as often as it may be").await?;
    ensure_eq!(store.dead_letters().await?, [run], "the dead letters");
    Ok(())
}

async fn a_dead_letter_can_be_queued_again(store: Arc<dyn Store>) -> Result<(), Broken> {
    let (first, second) = (queued(&store).await?, queued(&store).await?);
    ensure_refused!(store.requeue(first, at(0)).await, StoreError::NoRun(_), "queueing again what is no dead letter");
    for turn in 0..2 {
        for job in store.claim(claim("one", 2), at(turn)).await?.into_iter().rev() {
            store.give_back(job.run, job.token, at(turn)).await?;
        }
    }
    ensure_eq!(store.dead_letters().await?, [second, first], "the dead letters, in the order in which they died");
    store.requeue(second, at(50)).await?;
    ensure_eq!(store.dead_letters().await?, [first], "the dead letters then");
    takes_nothing(&store, 49, "before its new time").await?;
    let job = take(&store, "two", 50).await?;
    ensure_eq!((job.run, job.attempt), (second, 1), "what is taken");
    Ok(())
}

async fn a_stale_claim_changes_nothing(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = queued(&store).await?;
    let old = take(&store, "one", 0).await?.token;
    let new = take(&store, "two", 30).await?.token;
    ensure_refused!(store.renew(run, old, at(1000)).await, StoreError::Fenced, "renewing");
    ensure_refused!(store.complete(run, old).await, StoreError::Fenced, "completing");
    ensure_refused!(store.give_back(run, old, at(0)).await, StoreError::Fenced, "giving back");
    takes_nothing(&store, 31, "when the new holder has it").await?;
    store.complete(run, new).await?;
    Ok(())
}

async fn a_deleted_run_leaves_the_queue(store: Arc<dyn Store>) -> Result<(), Broken> {
    let (deleted, other) = (kept_run(&store).await?, kept_run(&store).await?);
    for run in [deleted, other] {
        store.enqueue(waiting(run)).await?;
    }
    store.append(deleted, 0, FIRST, life().into()).await?;
    store.close_run(deleted, FIRST).await?;
    store.delete_run(deleted).await?;
    let taken = store.claim(claim("one", 5), at(1)).await?;
    ensure_eq!(taken.iter().map(|job| job.run).collect::<Vec<_>>(), [other], "what is taken then");
    ensure_eq!(store.dead_letters().await?, [], "the dead letters");
    Ok(())
}

async fn a_run_is_kept_and_queued_in_one_step(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = NewRun { group: None, ..new_run("sample", at(0)) };
    let record = store.create_queued(run.clone(), waiting(run.id)).await?;
    ensure_eq!((&record.run, record.number, record.last_seq), (&run, 1, 0), "the run");
    let taken = take(&store, "one", 1).await?;
    ensure_eq!(taken.run, run.id, "what is taken");
    ensure_refused!(
        store.create_queued(run.clone(), waiting(run.id)).await,
        StoreError::Exists(_),
        "a run of an id that is taken"
    );
    store.complete(run.id, taken.token).await?;
    let other = NewRun { group: None, ..new_run("sample", at(1)) };
    ensure_refused!(
        store.create_queued(other.clone(), waiting(run.id)).await,
        StoreError::NoRun(_),
        "a run with the job of another"
    );
    ensure_eq!(store.runs(&RunFilter::default(), 9).await?.len(), 1, "how many runs there are");
    takes_nothing(&store, 2, "after what was refused").await
}
