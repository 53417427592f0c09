//! Clauses about seeing and steering the queue.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use super::groups::{Newest, member_of};
use super::samples::{at, claim, kept_run, tenant, waiting};
use super::{Clause, Controlled};
use crate::id::{RunId, TenantId, WorkerId};
use crate::store::{Enqueue, Intake, QueueFilter, QueueOf, QueueStatus, QueuedRun, Share, Store, StoreError, Worker};

pub(super) fn clauses() -> Vec<Clause<dyn Controlled>> {
    clauses![
        what_waits_is_listed_in_the_order_in_which_it_is_taken,
        each_run_in_the_queue_is_listed_as_it_stands,
        runs_in_the_queue_are_counted_as_they_stand,
        the_queue_of_a_tenant_is_its_own,
        a_new_priority_changes_what_is_taken_next,
        nothing_new_is_taken_of_a_tenant_that_is_paused,
        a_tenant_that_was_paused_has_saved_no_turns_up,
        while_all_is_paused_only_what_was_under_way_is_taken_over,
        a_worker_that_is_drained_is_given_nothing,
        workers_are_known_until_they_are_forgotten,
        the_line_of_a_tenant_says_what_holds_for_it,
    ]
}

fn as_store(store: &Arc<dyn Controlled>) -> Arc<dyn Store> {
    Arc::clone(store) as _
}

async fn queued(store: &Arc<dyn Controlled>, tenant: TenantId, priority: i32) -> Result<RunId, Broken> {
    let run = kept_run(&as_store(store)).await?;
    store.enqueue(Enqueue { tenant, priority, ..waiting(run) }).await?;
    Ok(run)
}

fn of(tenant: TenantId, status: QueueStatus) -> QueueFilter {
    QueueFilter { status, of: QueueOf::Tenant(tenant) }
}

async fn listed(store: &Arc<dyn Controlled>, filter: &QueueFilter) -> Result<Vec<RunId>, Broken> {
    Ok(store.queued(filter, None, 99).await?.iter().map(|run| run.run).collect())
}

async fn taken(store: &Arc<dyn Controlled>, worker: &str, second: i64) -> Result<Vec<RunId>, Broken> {
    Ok(store.claim(claim(worker, 9), at(second)).await?.iter().map(|job| job.run).collect())
}

async fn shown(store: &Arc<dyn Controlled>, run: RunId) -> Result<QueuedRun, Broken> {
    store.queued_run(run).await?.ok_or_else(|| Broken(format!("{run} is not in the queue")))
}

async fn what_waits_is_listed_in_the_order_in_which_it_is_taken(store: Arc<dyn Controlled>) -> Result<(), Broken> {
    let (low, first) = (queued(&store, tenant(), -3).await?, queued(&store, tenant(), 0).await?);
    let (second, high) = (queued(&store, tenant(), 0).await?, queued(&store, tenant(), i32::MAX).await?);
    // A claim of nothing that is due looks at what has become due.
    store.claim(claim("one", 0), at(0)).await?;
    let waiting = of(tenant(), QueueStatus::Waiting);
    let all = listed(&store, &waiting).await?;
    ensure_eq!(all, [high, first, second, low], "what waits");
    let mut pages = Vec::new();
    let mut after = None;
    while let Some(run) = store.queued(&waiting, after, 1).await?.into_iter().next() {
        after = Some(run.place);
        pages.push(run.run);
    }
    ensure_eq!(pages, all, "what waits, one at a time");
    ensure_eq!(taken(&store, "one", 0).await?, all, "what is taken");
    Ok(())
}

async fn each_run_in_the_queue_is_listed_as_it_stands(store: Arc<dyn Controlled>) -> Result<(), Broken> {
    let dead = queued(&store, tenant(), 0).await?;
    for second in [0, 1] {
        for job in store.claim(claim("one", 9), at(second)).await? {
            store.give_back(job.run, job.token, at(second)).await?;
        }
    }
    let other = as_store(&store);
    let first = member_of(tenant(), &other, "grouped", "g", Newest::Waits).await?;
    let behind = member_of(tenant(), &other, "grouped", "g", Newest::Waits).await?;
    store.enqueue(waiting(first)).await?;
    ensure_eq!(taken(&store, "one", 2).await?, [first], "what is taken");
    store.enqueue(waiting(behind)).await?;
    store.claim(claim("one", 9), at(3)).await?;
    let later = kept_run(&other).await?;
    // Later by any clock.
    let far = at(1 << 33);
    store.enqueue(Enqueue { scheduled_for: far, ..waiting(later) }).await?;
    let stands = [
        (dead, QueueStatus::Dead),
        (first, QueueStatus::Taken),
        (behind, QueueStatus::Behind),
        (later, QueueStatus::Scheduled),
    ];
    for (run, status) in stands {
        ensure_eq!(listed(&store, &of(tenant(), status)).await?, [run], status.as_str());
        ensure_eq!(shown(&store, run).await?.status, status, "how a run stands");
    }
    let (dead, first, later) = (shown(&store, dead).await?, shown(&store, first).await?, shown(&store, later).await?);
    ensure_eq!((dead.attempts, dead.max_attempts, dead.worker), (2, 2, None), "how often the dead letter was taken");
    ensure_eq!((&*first.pipeline, first.number), ("grouped", 1), "which run is shown");
    ensure_eq!(first.worker, Some(WorkerId::from("one")), "who has it");
    ensure!(first.leased_until.is_some_and(|until| until > at(2)), "until when it is leased is not shown");
    ensure_eq!(later.scheduled_for.as_second(), far.as_second(), "when it is due");
    let by = |worker: &str| QueueFilter { status: QueueStatus::Taken, of: QueueOf::Worker(worker.into()) };
    ensure_eq!(listed(&store, &by("one")).await?, [first.run], "what the worker has");
    ensure_eq!(listed(&store, &by("two")).await?, [], "what another worker has");
    ensure_eq!(store.queued_run(RunId::new()).await?, None, "a run that is not there");
    Ok(())
}

async fn runs_in_the_queue_are_counted_as_they_stand(store: Arc<dyn Controlled>) -> Result<(), Broken> {
    ensure_eq!(store.queue_depths().await?, [], "what there is in an empty queue");
    for of in [tenant(), tenant(), TenantId::new()] {
        queued(&store, of, 0).await?;
    }
    let claimed = claim("one", 1);
    ensure_eq!(store.claim(claimed, at(0)).await?.len(), 1, "how many were taken");
    let mut depths = store.queue_depths().await?;
    depths.sort_by_key(|(status, _)| status.as_str());
    let expected = [(QueueStatus::Taken, 1), (QueueStatus::Waiting, 2)];
    ensure_eq!(depths, expected, "how many there are");
    Ok(())
}

async fn the_queue_of_a_tenant_is_its_own(store: Arc<dyn Controlled>) -> Result<(), Broken> {
    let other = TenantId::new();
    let (mine, theirs) = (queued(&store, tenant(), 0).await?, queued(&store, other, 0).await?);
    store.claim(claim("one", 0), at(0)).await?;
    store.set_intake(Some(other), Intake::Paused).await?;
    ensure_eq!(taken(&store, "one", 0).await?, [mine], "what is taken while another tenant is paused");
    ensure_eq!(listed(&store, &of(other, QueueStatus::Waiting)).await?, [theirs], "what waits of the other");
    ensure_eq!(listed(&store, &of(tenant(), QueueStatus::Waiting)).await?, [], "what waits");
    Ok(())
}

async fn a_new_priority_changes_what_is_taken_next(store: Arc<dyn Controlled>) -> Result<(), Broken> {
    let (first, second) = (queued(&store, tenant(), 0).await?, queued(&store, tenant(), 0).await?);
    let third = queued(&store, tenant(), 0).await?;
    store.claim(claim("one", 0), at(0)).await?;
    store.set_priority(third, 5).await?;
    store.set_priority(first, -5).await?;
    ensure_eq!(shown(&store, third).await?.place.priority, 5, "its priority");
    ensure_eq!(listed(&store, &of(tenant(), QueueStatus::Waiting)).await?, [third, second, first], "what waits");
    ensure_eq!(taken(&store, "one", 0).await?, [third, second, first], "what is taken");
    store.set_priority(second, 9).await?;
    ensure_eq!(taken(&store, "two", 100).await?.len(), 3, "how many are taken again when their leases have ended");
    ensure_refused!(store.set_priority(RunId::new(), 1).await, StoreError::NoRun(_), "the priority of no run");
    Ok(())
}

async fn nothing_new_is_taken_of_a_tenant_that_is_paused(store: Arc<dyn Controlled>) -> Result<(), Broken> {
    let under_way = queued(&store, tenant(), 0).await?;
    ensure_eq!(taken(&store, "one", 0).await?, [under_way], "what is taken at first");
    store.set_intake(Some(tenant()), Intake::Paused).await?;
    let waits = queued(&store, tenant(), 0).await?;
    ensure_eq!(taken(&store, "one", 1).await?, [], "what is taken while it is paused");
    store.set_share(tenant(), Share { weight: NonZeroU32::MIN, max_running: NonZeroU32::new(9) }).await?;
    ensure_eq!(taken(&store, "one", 2).await?, [], "what is taken while it is paused and has another share");
    ensure_eq!(taken(&store, "two", 100).await?, [under_way], "what is taken over while it is paused");
    ensure!(store.queue_line(tenant()).await?.intake.is_paused(), "it is not said to be paused");
    store.set_intake(Some(tenant()), Intake::Open).await?;
    ensure_eq!(taken(&store, "one", 101).await?, [waits], "what is taken when it is open again");
    ensure!(!store.queue_line(tenant()).await?.intake.is_paused(), "it is said to be paused");
    Ok(())
}

async fn a_tenant_that_was_paused_has_saved_no_turns_up(store: Arc<dyn Controlled>) -> Result<(), Broken> {
    let other = TenantId::new();
    store.set_intake(Some(other), Intake::Paused).await?;
    for _ in 0..12 {
        queued(&store, tenant(), 0).await?;
        queued(&store, other, 0).await?;
    }
    ensure_eq!(taken(&store, "one", 0).await?.len(), 9, "how many are taken of who is not paused");
    store.set_intake(Some(other), Intake::Open).await?;
    let next = store.claim(claim("one", 4), at(1)).await?;
    let of_other = next.iter().filter(|job| job.tenant == other).count();
    ensure_eq!(of_other, 2, "how many of the next four are of who was paused");
    Ok(())
}

async fn while_all_is_paused_only_what_was_under_way_is_taken_over(store: Arc<dyn Controlled>) -> Result<(), Broken> {
    let under_way = queued(&store, tenant(), 0).await?;
    ensure_eq!(taken(&store, "one", 0).await?, [under_way], "what is taken at first");
    store.set_intake(None, Intake::Paused).await?;
    let waits = queued(&store, tenant(), 0).await?;
    ensure_eq!(taken(&store, "one", 1).await?, [], "what is taken while all is paused");
    ensure_eq!(taken(&store, "two", 100).await?, [under_way], "what is taken over");
    let line = store.queue_line(tenant()).await?;
    ensure_eq!((line.intake, line.everywhere), (Intake::Open, Intake::Paused), "what is said to be paused");
    store.set_intake(None, Intake::Open).await?;
    ensure_eq!(taken(&store, "one", 101).await?, [waits], "what is taken in the end");
    Ok(())
}

fn worker(id: &str, until: i64) -> Worker {
    Worker {
        id: id.into(),
        name: format!("host of {id}"),
        version: "1.2.3".into(),
        since: at(0),
        runs: NonZeroU32::new(4),
        seen_until: at(until),
        intake: Intake::Open,
    }
}

async fn a_worker_that_is_drained_is_given_nothing(store: Arc<dyn Controlled>) -> Result<(), Broken> {
    let left = queued(&store, tenant(), 0).await?;
    ensure_eq!(taken(&store, "gone", 0).await?, [left], "what is taken at first");
    store.note_worker(worker("one", 1000)).await?;
    store.set_worker_intake(&"one".into(), Intake::Paused).await?;
    let waits = queued(&store, tenant(), 0).await?;
    store.note_worker(worker("one", 2000)).await?;
    ensure_eq!(taken(&store, "one", 100).await?, [], "what is taken by a worker that is drained");
    ensure_eq!(taken(&store, "two", 100).await?, [left, waits], "what is taken by another one");
    store.set_worker_intake(&"one".into(), Intake::Open).await?;
    let next = queued(&store, tenant(), 0).await?;
    ensure_eq!(taken(&store, "one", 101).await?, [next], "what it takes when it is open again");
    let unknown = store.set_worker_intake(&"nobody".into(), Intake::Paused).await;
    ensure_refused!(unknown, StoreError::NotFound(_), "the intake of no worker");
    Ok(())
}

async fn workers_are_known_until_they_are_forgotten(store: Arc<dyn Controlled>) -> Result<(), Broken> {
    let all = [worker("a", 10), worker("b", 20), worker("c", 30)];
    for worker in [&all[1], &all[0], &all[2]] {
        store.note_worker(worker.clone()).await?;
    }
    ensure_eq!(store.workers(None, 9).await?, all, "who is there");
    ensure_eq!(store.workers(Some(&all[0].id), 1).await?, [all[1].clone()], "who is on the second page");
    store.set_worker_intake(&all[0].id, Intake::Paused).await?;
    let again = Worker { runs: None, ..worker("a", 40) };
    store.note_worker(again.clone()).await?;
    let again = Worker { intake: Intake::Paused, ..again };
    ensure_eq!(store.workers(None, 1).await?, [again], "who was noted again");
    ensure_eq!(store.sweep_workers(at(30)).await?, 1, "how many are swept away");
    store.forget_worker(&all[2].id).await?;
    store.forget_worker(&all[2].id).await?;
    let left: Vec<WorkerId> = store.workers(None, 9).await?.into_iter().map(|worker| worker.id).collect();
    ensure_eq!(left, [all[0].id.clone()], "who is left");
    Ok(())
}

async fn the_line_of_a_tenant_says_what_holds_for_it(store: Arc<dyn Controlled>) -> Result<(), Broken> {
    let share = Share { weight: NonZeroU32::MIN.saturating_add(1), max_running: NonZeroU32::new(1) };
    store.set_share(tenant(), share).await?;
    for _ in 0..2 {
        queued(&store, tenant(), 0).await?;
    }
    ensure_eq!(taken(&store, "one", 0).await?.len(), 1, "how many are taken");
    let line = store.queue_line(tenant()).await?;
    ensure_eq!((line.share, line.running), (share, 1), "what holds");
    let line = store.queue_line(TenantId::new()).await?;
    ensure_eq!((line.share, line.running, line.intake), (Share::default(), 0, Intake::Open), "what holds for another");
    Ok(())
}
