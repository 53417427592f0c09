//! The queue.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::queue::{Entry, QueueChange};
use super::super::store::MemoryStore;
use crate::id::{FencingToken, RunId, TenantId};
use crate::store::{Claim, Enqueue, Lease, NewRun, QueueStore, QueuedJob, RunRecord, Share, StoreError, Turns};

/// Longer leases are cut: a run whose engine died would wait so long for the next one.
const MAX_LEASE: Duration = Duration::from_secs(60);

#[async_trait]
impl QueueStore for MemoryStore {
    async fn enqueue(&self, job: Enqueue) -> Result<(), StoreError> {
        self.kept(job.run)?;
        let mut journaled = self.queue_locked();
        if journaled.queue.contains(job.run) {
            return Ok(());
        }
        journaled.change(vec![QueueChange::Added(job)])
    }

    /// The queue first: an entry whose run is not there is taken off it by whoever claims.
    async fn create_queued(&self, run: NewRun, job: Enqueue) -> Result<RunRecord, StoreError> {
        job.check(&run)?;
        let id = run.id;
        let mut journaled = self.queue_locked();
        if self.kept(id).is_ok() {
            return Err(StoreError::Exists(id));
        }
        // One that a crash has left.
        let left = journaled.queue.contains(id).then_some(QueueChange::Removed { run: id });
        journaled.change(left.into_iter().chain([QueueChange::Added(job)]).collect())?;
        let created = self.runs_locked().create(run, self.folder());
        match created {
            Ok((record, asked)) => {
                drop(journaled);
                self.ask_to_end(id, asked);
                Ok(record)
            }
            Err(error) => {
                journaled.change(vec![QueueChange::Removed { run: id }])?;
                Err(error)
            }
        }
    }

    async fn enqueue_all(&self, jobs: Vec<Enqueue>) -> Result<(), StoreError> {
        jobs.iter().try_for_each(|job| self.kept(job.run).map(drop))?;
        let mut journaled = self.queue_locked();
        let mut seen = HashSet::new();
        let new = jobs.into_iter().filter(|job| !journaled.queue.contains(job.run) && seen.insert(job.run));
        let new = new.map(QueueChange::Added).collect();
        journaled.change(new)
    }

    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Vec<QueuedJob>, StoreError> {
        let until = now.saturating_add(claim.lease.min(MAX_LEASE)).unwrap_or(Timestamp::MAX);
        let lease = Lease { worker: claim.worker, until };
        let mut journaled = self.queue_locked();
        if journaled.queue.intake_of(&lease.worker).is_paused() {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        let mut changes = Vec::new();
        for (id, entry) in journaled.queue.taken() {
            if all.len() == claim.limit {
                break;
            }
            let found = self.take(id, entry, &lease, now)?;
            changes.extend(found.change(id));
            all.extend(found.job());
        }
        // Those that died make room for others of their tenants.
        journaled.change(std::mem::take(&mut changes))?;
        journaled.queue.look(now);
        if journaled.queue.intake().is_paused() {
            return Ok(all);
        }
        let (mut passed, mut behind, mut latest) = (Vec::new(), Vec::new(), 0);
        let (tenants, lines): (Vec<_>, Vec<_>) = journaled.queue.lines().unzip();
        let mut turns = Turns::new(lines.iter().map(|line| line.line()));
        let mut waiting: Vec<_> = lines.iter().map(|line| line.waiting.values()).collect();
        while all.len() < claim.limit
            && let (Some(place), Some(turn)) = (turns.whose(), turns.turn())
        {
            let taken = loop {
                let Some(&id) = waiting[place].next() else { break None };
                let Some(entry) = journaled.queue.entry(id).filter(|entry| entry.scheduled_for <= now) else {
                    continue;
                };
                let found = if self.is_behind(id) { Found::Behind } else { self.take(id, entry, &lease, now)? };
                if matches!(found, Found::Behind) {
                    behind.push(id);
                }
                changes.extend(found.change(id));
                if let Some(job) = found.job() {
                    break Some(job);
                }
            };
            match taken {
                Some(job) => {
                    all.push(job);
                    latest = latest.max(turn);
                    turns.took();
                }
                None => {
                    passed.push(tenants[place]);
                    turns.passed();
                }
            }
        }
        journaled.change(changes)?;
        behind.into_iter().for_each(|run| journaled.queue.hold(run));
        passed.into_iter().for_each(|tenant| journaled.queue.passed(tenant, latest));
        Ok(all)
    }

    async fn renew(&self, run: RunId, token: FencingToken, until: Timestamp) -> Result<(), StoreError> {
        let kept = self.kept(run)?;
        kept.fenced(token, || kept.with_state(|state| state.renew(token, until)))
    }

    async fn complete(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        let mut journaled = self.queue_locked();
        let kept = self.kept(run)?;
        kept.fenced(token, || {
            journaled.change(vec![QueueChange::Removed { run }])?;
            kept.with_state(|state| state.set_lease(token, None))
        })
    }

    async fn give_back(&self, run: RunId, token: FencingToken, at: Timestamp) -> Result<(), StoreError> {
        let mut journaled = self.queue_locked();
        let kept = self.kept(run)?;
        kept.fenced(token, || {
            let dies = journaled.queue.entry(run).is_some_and(|entry| entry.is_worn_out());
            let change = if dies { QueueChange::Died { run } } else { QueueChange::GivenBack { run, at } };
            journaled.change(vec![change])?;
            kept.with_state(|state| state.set_lease(token, None))
        })
    }

    async fn hand_over(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        let mut journaled = self.queue_locked();
        let kept = self.kept(run)?;
        kept.fenced(token, || {
            journaled.change(vec![QueueChange::HandedOver { run }])?;
            kept.with_state(|state| state.set_lease(token, None))
        })
    }

    async fn dead_letters(&self) -> Result<Vec<RunId>, StoreError> {
        Ok(self.queue_locked().queue.dead_letters())
    }

    async fn requeue(&self, run: RunId, at: Timestamp) -> Result<(), StoreError> {
        let mut journaled = self.queue_locked();
        journaled.queue.check_dead(run)?;
        journaled.change(vec![QueueChange::Revived { run, at }])
    }

    async fn set_share(&self, tenant: TenantId, share: Share) -> Result<(), StoreError> {
        self.queue_locked().change(vec![QueueChange::Shared { tenant, share }])
    }
}

/// What came of the try to take a run.
enum Found {
    Taken(QueuedJob),
    /// Somebody else has it.
    Held,
    /// An earlier run of its group has not ended.
    Behind,
    Dies,
    /// It was deleted, and nobody came to take it off the queue.
    Gone,
}

impl Found {
    fn change(&self, run: RunId) -> Option<QueueChange> {
        match self {
            Self::Taken(_) => Some(QueueChange::Taken { run }),
            Self::Held | Self::Behind => None,
            Self::Dies => Some(QueueChange::Died { run }),
            Self::Gone => Some(QueueChange::Removed { run }),
        }
    }

    fn job(self) -> Option<QueuedJob> {
        match self {
            Self::Taken(job) => Some(job),
            Self::Held | Self::Behind | Self::Dies | Self::Gone => None,
        }
    }
}

impl MemoryStore {
    fn is_behind(&self, run: RunId) -> bool {
        let runs = self.runs_locked();
        runs.groups.before(run).next().is_some() && runs.standing(run).is_some_and(|standing| standing.cancel.is_none())
    }

    /// Leases the run of this entry if it may be taken. A lease without the change that should follow it ends by
    /// itself, and the run is taken again.
    fn take(&self, run: RunId, entry: &Entry, lease: &Lease, now: Timestamp) -> Result<Found, StoreError> {
        let kept = match self.kept(run) {
            Ok(kept) => kept,
            Err(StoreError::NoRun(_)) => return Ok(Found::Gone),
            Err(error) => return Err(error),
        };
        if kept.with_state(|state| Ok(state.is_leased(now)))? {
            return Ok(Found::Held);
        }
        if entry.is_worn_out() {
            return Ok(Found::Dies);
        }
        match kept.lease(lease.clone(), now) {
            Ok(token) => Ok(Found::Taken(QueuedJob { run, tenant: entry.job.tenant, token, attempt: entry.taken + 1 })),
            Err(StoreError::Fenced) => Ok(Found::Held),
            Err(error) => Err(error),
        }
    }
}
