//! Clauses about what tenants have of the queue (guarantee G12).

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::Clause;
use super::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use super::samples::{at, claim, kept_run, life, waiting};
use crate::id::{RunId, TenantId};
use crate::store::{Enqueue, QueuedJob, Share, Store, StoreError};

pub(super) fn clauses() -> Vec<Clause<dyn Store>> {
    clauses![
        tenants_take_turns,
        turns_are_shared_by_weight,
        a_tenant_that_was_idle_has_saved_nothing_up,
        who_queues_one_after_another_is_not_always_first,
        a_tenant_has_no_more_under_way_than_its_limit,
        what_leaves_a_worker_makes_room_for_its_tenant,
        a_deleted_run_makes_room_for_its_tenant,
        a_limit_counts_from_the_next_claim_on,
        many_runs_are_queued_in_one_call,
        many_runs_are_completed_in_one_call,
    ]
}

/// Queues so many runs of this tenant.
async fn add(store: &Arc<dyn Store>, tenant: TenantId, runs: usize) -> Result<Vec<RunId>, Broken> {
    let mut ids = Vec::new();
    for _ in 0..runs {
        ids.push(kept_run(store).await?);
    }
    store.enqueue_all(ids.iter().map(|run| Enqueue { tenant, ..waiting(*run) }).collect()).await?;
    Ok(ids)
}

async fn take(store: &Arc<dyn Store>, limit: usize, second: i64) -> Result<Vec<QueuedJob>, Broken> {
    Ok(store.claim(claim("one", limit), at(second)).await?)
}

fn count(jobs: &[QueuedJob], tenant: TenantId) -> usize {
    jobs.iter().filter(|job| job.tenant == tenant).count()
}

fn share(weight: u32, max_running: u32) -> Share {
    Share { weight: NonZeroU32::new(weight).unwrap_or(NonZeroU32::MIN), max_running: NonZeroU32::new(max_running) }
}

async fn tenants_take_turns(store: Arc<dyn Store>) -> Result<(), Broken> {
    let (many, one) = (TenantId::new(), TenantId::new());
    let first = add(&store, many, 60).await?;
    take(&store, 8, 0).await?;
    let late = add(&store, one, 1).await?;
    let urgent = kept_run(&store).await?;
    store.enqueue(Enqueue { tenant: many, priority: 9, ..waiting(urgent) }).await?;
    let taken: Vec<RunId> = take(&store, 4, 1).await?.iter().map(|job| job.run).collect();
    ensure!(taken.iter().position(|run| *run == late[0]).is_some_and(|at| at < 2), "the late one waits: {taken:?}");
    let others: Vec<RunId> = taken.into_iter().filter(|run| *run != late[0]).collect();
    ensure_eq!(others, [urgent, first[8], first[9]], "what is taken of the other tenant");
    Ok(())
}

async fn turns_are_shared_by_weight(store: Arc<dyn Store>) -> Result<(), Broken> {
    let tenants = [TenantId::new(), TenantId::new(), TenantId::new()];
    for (tenant, weight) in tenants.into_iter().zip([1, 2, 3]) {
        store.set_share(tenant, share(weight, 0)).await?;
        add(&store, tenant, 40).await?;
    }
    let mut order = Vec::new();
    for batch in [1, 7, 4, 12, 5, 7] {
        order.extend(take(&store, batch, 0).await?);
    }
    for window in order.chunks_exact(12) {
        let got = tenants.map(|tenant| count(window, tenant));
        let is_near = got.iter().zip([2_usize, 4, 6]).all(|(got, due)| got.abs_diff(due) <= 1);
        ensure!(is_near, "of 12 turns tenants of the weights 1, 2 and 3 have {got:?}");
    }
    Ok(())
}

async fn a_tenant_that_was_idle_has_saved_nothing_up(store: Arc<dyn Store>) -> Result<(), Broken> {
    let (busy, idle) = (TenantId::new(), TenantId::new());
    add(&store, idle, 1).await?;
    add(&store, busy, 60).await?;
    take(&store, 41, 0).await?;
    add(&store, idle, 20).await?;
    let taken = take(&store, 10, 1).await?;
    ensure!((4..=6).contains(&count(&taken, idle)), "{} of 10 turns go to who was idle", count(&taken, idle));
    Ok(())
}

async fn who_queues_one_after_another_is_not_always_first(store: Arc<dyn Store>) -> Result<(), Broken> {
    let (steady, single) = (TenantId::new(), TenantId::new());
    add(&store, steady, 30).await?;
    let mut taken = Vec::new();
    for second in 0..20 {
        add(&store, single, 1).await?;
        taken.extend(take(&store, 1, second).await?);
    }
    ensure!((9..=11).contains(&count(&taken, steady)), "{} of 20 turns go to the other", count(&taken, steady));
    Ok(())
}

async fn a_tenant_has_no_more_under_way_than_its_limit(store: Arc<dyn Store>) -> Result<(), Broken> {
    let (limited, free) = (TenantId::new(), TenantId::new());
    store.set_share(limited, share(5, 3)).await?;
    add(&store, limited, 8).await?;
    add(&store, free, 4).await?;
    let taken = take(&store, 20, 0).await?;
    ensure_eq!((count(&taken, limited), count(&taken, free)), (3, 4), "what is taken of the limited one, of the other");
    ensure_eq!(take(&store, 20, 1).await?, [], "what is taken beyond the limit");
    // Their leases have ended: the same are taken again, and no other.
    let again = take(&store, 20, 30).await?;
    let sorted = |jobs: &[QueuedJob]| {
        let mut runs: Vec<RunId> = jobs.iter().map(|job| job.run).collect();
        runs.sort();
        runs
    };
    ensure_eq!(sorted(&again), sorted(&taken), "what is taken when the leases have ended");
    Ok(())
}

async fn what_leaves_a_worker_makes_room_for_its_tenant(store: Arc<dyn Store>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    store.set_share(tenant, share(1, 2)).await?;
    let runs = add(&store, tenant, 6).await?;
    let mut held: HashMap<RunId, QueuedJob> = HashMap::new();
    let mut second = 0;
    let mut fill = async |held: &mut HashMap<RunId, QueuedJob>, why: &str| {
        second += 1;
        let taken = take(&store, 9, second).await?;
        held.extend(taken.iter().map(|job| (job.run, job.clone())));
        ensure_eq!(held.len(), 2, format!("how many are under way {why}"));
        Ok(taken.iter().map(|job| job.run).collect::<Vec<_>>())
    };
    ensure_eq!(fill(&mut held, "at first").await?, runs[..2], "what is taken first");
    let token = |held: &mut HashMap<RunId, QueuedJob>, run: RunId| {
        held.remove(&run).map(|job| job.token).ok_or_else(|| Broken(format!("{run} is not under way")))
    };
    store.complete(runs[0], token(&mut held, runs[0])?).await?;
    ensure_eq!(fill(&mut held, "after a completion").await?, [runs[2]], "what is taken then");
    store.give_back(runs[1], token(&mut held, runs[1])?, at(1000)).await?;
    ensure_eq!(fill(&mut held, "when one was given back").await?, [runs[3]], "what is taken then");
    store.hand_over(runs[2], token(&mut held, runs[2])?).await?;
    ensure_eq!(fill(&mut held, "when one was handed over").await?, [runs[2]], "what is taken then");
    let refused = store.complete_all(&[(runs[3], token(&mut held, runs[3])?)]).await?;
    ensure_eq!(refused, [], "what is not completed");
    ensure_eq!(fill(&mut held, "after a completion of many").await?, [runs[4]], "what is taken then");
    // Both die of it: each has been taken twice, and its lease ends.
    take(&store, 9, 100).await?;
    let after = take(&store, 9, 200).await?;
    ensure_eq!(
        after.iter().map(|job| job.run).collect::<Vec<_>>(),
        [runs[5]],
        "what is taken when the others have died"
    );
    Ok(())
}

async fn a_deleted_run_makes_room_for_its_tenant(store: Arc<dyn Store>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    store.set_share(tenant, share(1, 1)).await?;
    let runs = add(&store, tenant, 2).await?;
    let first = take(&store, 9, 0).await?;
    ensure_eq!(first.iter().map(|job| job.run).collect::<Vec<_>>(), runs[..1], "what is taken first");
    ensure_eq!(take(&store, 9, 1).await?, [], "what is taken beyond the limit");
    for job in first {
        store.append(job.run, 0, job.token, life().into()).await?;
        store.close_run(job.run, job.token).await?;
        store.delete_run(job.run).await?;
    }
    let then = take(&store, 9, 2).await?;
    ensure_eq!(then.iter().map(|job| job.run).collect::<Vec<_>>(), runs[1..], "what is taken when it was deleted");
    Ok(())
}

async fn a_limit_counts_from_the_next_claim_on(store: Arc<dyn Store>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    add(&store, tenant, 12).await?;
    let first = take(&store, 4, 0).await?;
    store.set_share(tenant, share(1, 2)).await?;
    ensure_eq!(take(&store, 9, 1).await?, [], "what is taken beyond the new limit");
    for (job, left) in first.iter().zip([3, 2, 1]) {
        store.complete(job.run, job.token).await?;
        ensure_eq!(take(&store, 9, 2).await?.len(), 2_usize.saturating_sub(left), "how many are taken then");
    }
    store.set_share(tenant, share(1, 4)).await?;
    ensure_eq!(take(&store, 9, 3).await?.len(), 2, "how many are taken when the limit is raised");
    store.set_share(tenant, Share::default()).await?;
    ensure_eq!(take(&store, 9, 4).await?.len(), 5, "how many are taken without a limit");
    Ok(())
}

async fn many_runs_are_queued_in_one_call(store: Arc<dyn Store>) -> Result<(), Broken> {
    let runs = [kept_run(&store).await?, kept_run(&store).await?, kept_run(&store).await?];
    store.enqueue_all(Vec::new()).await?;
    store.enqueue(waiting(runs[1])).await?;
    let all: Vec<Enqueue> = [runs[0], runs[1], runs[2], runs[0]].into_iter().map(waiting).collect();
    store.enqueue_all(all).await?;
    let taken: Vec<RunId> = take(&store, 9, 0).await?.iter().map(|job| job.run).collect();
    ensure_eq!(taken, [runs[1], runs[0], runs[2]], "what is taken");
    let missing = vec![waiting(RunId::new())];
    ensure_refused!(store.enqueue_all(missing).await, StoreError::NoRun(_), "queueing a run that is not there");
    Ok(())
}

async fn many_runs_are_completed_in_one_call(store: Arc<dyn Store>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    add(&store, tenant, 3).await?;
    let old = take(&store, 2, 0).await?;
    let new = take(&store, 3, 50).await?;
    ensure_eq!(new.len(), 3, "how many are taken");
    let gone = RunId::new();
    let stale = old[0].run;
    let current = |job: &&QueuedJob| job.run != stale;
    let mut all: Vec<_> = new.iter().filter(current).map(|job| (job.run, job.token)).collect();
    all.insert(1, (stale, old[0].token));
    all.push((gone, old[0].token));
    let mut refused = store.complete_all(&all).await?;
    refused.sort();
    let mut expected = [stale, gone];
    expected.sort();
    ensure_eq!(refused, expected, "what is not completed");
    // It was taken as often as it may be.
    ensure_eq!(take(&store, 9, 100).await?, [], "what is taken then");
    ensure_eq!(store.dead_letters().await?, [stale], "what is left");
    Ok(())
}
