//! Clauses about concurrency groups, which hold among all engines of a store.

use std::collections::HashSet;
use std::sync::Arc;

use super::Clause;
use super::clause::{Broken, clauses, ensure, ensure_eq};
use super::samples::{FIRST, at, claim, event, tenant, waiting};
use crate::event::{EventBody, RunStatus};
use crate::id::{RunId, TenantId};
use crate::pipeline::{ConcurrencySpec, RunContext};
use crate::store::{NewRun, Standing, Store};

pub(super) fn clauses() -> Vec<Clause<dyn Store>> {
    clauses![
        a_run_waits_for_the_earlier_ones_of_its_group,
        a_run_behind_another_of_its_group_is_not_taken,
        a_run_that_cancels_what_is_in_progress_asks_the_earlier_ones_to_end,
        a_run_that_is_asked_to_end_is_taken_although_others_are_before_it,
        a_dead_letter_that_is_asked_to_end_is_taken_once_more,
    ]
}

/// What a new run does to the earlier ones of its group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Newest {
    Waits,
    Cancels,
}

async fn member(store: &Arc<dyn Store>, pipeline: &str, group: &str, newest: Newest) -> Result<RunId, Broken> {
    member_of(tenant(), store, pipeline, group, newest).await
}

pub(super) async fn member_of(
    tenant: TenantId,
    store: &Arc<dyn Store>,
    pipeline: &str,
    group: &str,
    newest: Newest,
) -> Result<RunId, Broken> {
    let mut run = NewRun {
        tenant,
        group: Some(group.into()),
        context: Arc::new(RunContext::manual()),
        ..super::samples::new_run(pipeline, at(0))
    };
    let concurrency = ConcurrencySpec { group: group.into(), cancel_in_progress: newest == Newest::Cancels };
    Arc::make_mut(&mut run.plan).concurrency = Some(concurrency);
    let id = run.id;
    store.create_run(run).await?;
    Ok(id)
}

/// Two runs of a group, the second of which asks the first to end.
pub(super) async fn two_of_a_group(store: &Arc<dyn Store>) -> Result<(RunId, RunId), Broken> {
    let first = member(store, "grouped", "g", Newest::Waits).await?;
    Ok((first, member(store, "grouped", "g", Newest::Cancels).await?))
}

async fn end(store: &Arc<dyn Store>, run: RunId) -> Result<(), Broken> {
    let last = store.run(run).await?.last_seq;
    let events = [event(last + 1, EventBody::RunFinished { status: RunStatus::Cancelled })];
    store.append(run, last, FIRST, events.into()).await?;
    Ok(())
}

pub(super) async fn standing(store: &Arc<dyn Store>, run: RunId) -> Result<Standing, Broken> {
    let standings = store.standings(&[run]).await?;
    standings.into_iter().next().ok_or_else(|| Broken(format!("nothing is said of {run}")))
}

async fn waits_for(store: &Arc<dyn Store>, run: RunId) -> Result<Option<RunId>, Broken> {
    Ok(standing(store, run).await?.waits_for)
}

async fn taken(store: &Arc<dyn Store>, second: i64) -> Result<Vec<RunId>, Broken> {
    Ok(store.claim(claim("one", 9), at(second)).await?.iter().map(|job| job.run).collect())
}

async fn a_run_waits_for_the_earlier_ones_of_its_group(store: Arc<dyn Store>) -> Result<(), Broken> {
    let first = member(&store, "sample", "a", Newest::Waits).await?;
    let second = member(&store, "sample", "a", Newest::Waits).await?;
    let third = member(&store, "sample", "a", Newest::Waits).await?;
    let others = [
        member(&store, "sample", "b", Newest::Waits).await?,
        member(&store, "other", "a", Newest::Waits).await?,
        super::samples::kept_run(&store).await?,
    ];
    for other in others {
        ensure_eq!(waits_for(&store, other).await?, None, "whom a run of another group waits for");
    }
    let all = store.standings(&[first, RunId::new(), second, third]).await?;
    ensure_eq!(all.len(), 3, "of how many runs something is said");
    ensure_eq!(waits_for(&store, first).await?, None, "whom the first waits for");
    ensure_eq!(waits_for(&store, third).await?, Some(first), "whom the third waits for");
    end(&store, second).await?;
    ensure_eq!(waits_for(&store, third).await?, Some(first), "whom the third waits for, when the second has ended");
    store.append(first, 0, FIRST, [event(1, EventBody::RunStarted)].into()).await?;
    ensure_eq!(waits_for(&store, third).await?, Some(first), "whom the third waits for, when the first runs");
    end(&store, first).await?;
    ensure_eq!(waits_for(&store, third).await?, None, "whom the third waits for in the end");
    ensure_eq!(standing(&store, third).await?.cancel, None, "whether it is asked to end");
    Ok(())
}

async fn a_run_behind_another_of_its_group_is_not_taken(store: Arc<dyn Store>) -> Result<(), Broken> {
    let first = member(&store, "sample", "a", Newest::Waits).await?;
    let second = member(&store, "sample", "a", Newest::Waits).await?;
    let third = member(&store, "sample", "a", Newest::Waits).await?;
    let other = member(&store, "sample", "b", Newest::Waits).await?;
    // Queued in another order than they were created.
    for run in [third, second] {
        store.enqueue(waiting(run)).await?;
    }
    ensure_eq!(taken(&store, 0).await?, [], "what is taken when the first of the group is not in the queue");
    for run in [first, other] {
        store.enqueue(waiting(run)).await?;
    }
    ensure_eq!(taken(&store, 1).await?, [first, other], "what is taken then");
    // Its engine is gone, and the group waits for it.
    ensure_eq!(taken(&store, 100).await?, [first, other], "what is taken when the leases have ended");
    let last = store.lease_run(first, super::samples::lease("one", 200), at(101)).await?;
    store.append(first, 0, last, [event(1, EventBody::RunFinished { status: RunStatus::Succeeded })].into()).await?;
    ensure_eq!(taken(&store, 102).await?, [second], "what is taken when the first has ended");
    Ok(())
}

async fn a_run_that_cancels_what_is_in_progress_asks_the_earlier_ones_to_end(
    store: Arc<dyn Store>,
) -> Result<(), Broken> {
    let ended = member(&store, "sample", "a", Newest::Cancels).await?;
    end(&store, ended).await?;
    let first = member(&store, "sample", "a", Newest::Cancels).await?;
    store.append(first, 0, FIRST, [event(1, EventBody::RunStarted)].into()).await?;
    let second = member(&store, "sample", "a", Newest::Cancels).await?;
    let other = member(&store, "sample", "b", Newest::Cancels).await?;
    let reason = standing(&store, first).await?.cancel;
    ensure!(reason.as_ref().is_some_and(|reason| !reason.is_empty()), "the first is not asked to end");
    let third = member(&store, "sample", "a", Newest::Cancels).await?;
    ensure!(standing(&store, second).await?.cancel.is_some(), "the second is not asked to end");
    ensure_eq!(standing(&store, first).await?.cancel, reason, "why the first is to end");
    for run in [ended, third, other] {
        ensure_eq!(standing(&store, run).await?.cancel, None, "why another is to end");
    }
    ensure_eq!(waits_for(&store, third).await?, Some(first), "whom the third waits for");
    Ok(())
}

async fn a_run_that_is_asked_to_end_is_taken_although_others_are_before_it(
    store: Arc<dyn Store>,
) -> Result<(), Broken> {
    let first = member(&store, "sample", "a", Newest::Cancels).await?;
    let second = member(&store, "sample", "a", Newest::Cancels).await?;
    for run in [first, second] {
        store.enqueue(waiting(run)).await?;
    }
    ensure_eq!(taken(&store, 0).await?, [first], "what is taken at first");
    let third = member(&store, "sample", "a", Newest::Cancels).await?;
    store.enqueue(waiting(third)).await?;
    ensure_eq!(taken(&store, 1).await?, [second], "what is taken when the second is asked to end");
    ensure!(standing(&store, second).await?.cancel.is_some(), "the second is not asked to end");
    let token = store.lease_run(second, super::samples::lease("one", 20), at(2)).await?;
    store.append(second, 0, token, [event(1, EventBody::RunFinished { status: RunStatus::Cancelled })].into()).await?;
    ensure_eq!(taken(&store, 3).await?, [], "what is taken while the first goes on");
    Ok(())
}

async fn a_dead_letter_that_is_asked_to_end_is_taken_once_more(store: Arc<dyn Store>) -> Result<(), Broken> {
    let first = member(&store, "sample", "a", Newest::Waits).await?;
    store.enqueue(waiting(first)).await?;
    for second in [0, 1] {
        for job in store.claim(claim("one", 9), at(second)).await? {
            store.give_back(job.run, job.token, at(second)).await?;
        }
    }
    let second = member(&store, "sample", "a", Newest::Waits).await?;
    store.enqueue(waiting(second)).await?;
    ensure_eq!(taken(&store, 2).await?, [], "what is taken while the first is a dead letter");
    ensure_eq!(store.dead_letters().await?, [first], "the dead letters");
    let third = member(&store, "sample", "a", Newest::Cancels).await?;
    store.enqueue(waiting(third)).await?;
    ensure_eq!(store.dead_letters().await?, [], "the dead letters when the first is asked to end");
    let again = store.claim(claim("one", 9), at(3)).await?;
    let runs: HashSet<RunId> = again.iter().map(|job| job.run).collect();
    ensure_eq!(runs, HashSet::from([first, second]), "what is taken then");
    for job in again {
        store.give_back(job.run, job.token, at(4)).await?;
    }
    ensure_eq!(store.dead_letters().await?, [first], "the dead letters when it did not end");
    Ok(())
}
