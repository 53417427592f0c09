//! The queue.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::queue::QueueChange;
use super::super::store::MemoryStore;
use crate::id::{FencingToken, RunId};
use crate::store::{Claim, Enqueue, Lease, QueueStore, QueuedJob, StoreError};

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

    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Vec<QueuedJob>, StoreError> {
        let until = now.saturating_add(claim.lease.min(MAX_LEASE)).unwrap_or(Timestamp::MAX);
        let mut journaled = self.queue_locked();
        let mut taken = Vec::new();
        let mut changes = Vec::new();
        for (id, entry) in journaled.queue.due(now) {
            if taken.len() == claim.limit {
                break;
            }
            let run = match self.kept(id) {
                Ok(run) => run,
                // It was deleted, and nobody came to take it off the queue.
                Err(StoreError::NoRun(_)) => {
                    changes.push(QueueChange::Removed { run: id });
                    continue;
                }
                Err(error) => return Err(error),
            };
            if run.with_state(|state| Ok(state.is_leased(now)))? {
                continue;
            }
            if entry.is_worn_out() {
                changes.push(QueueChange::Died { run: id });
                continue;
            }
            // A lease without the change that should follow it ends by itself, and the run is taken again.
            match run.lease(Lease { worker: claim.worker.clone(), until }, now) {
                Ok(token) => {
                    taken.push(QueuedJob { run: id, tenant: entry.job.tenant, token, attempt: entry.taken + 1 });
                    changes.push(QueueChange::Taken { run: id });
                }
                Err(StoreError::Fenced) => {}
                Err(error) => return Err(error),
            }
        }
        journaled.change(changes)?;
        Ok(taken)
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
}
