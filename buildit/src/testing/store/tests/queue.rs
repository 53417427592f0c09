//! Its queue.

use async_trait::async_trait;
use jiff::Timestamp;

use super::broken::Broken;
use super::faults::Fault;
use crate::id::{FencingToken, RunId, TenantId};
use crate::store::{Claim, Enqueue, QueueStore, QueuedJob, StoreError};

#[async_trait]
impl QueueStore for Broken {
    async fn enqueue(&self, mut job: Enqueue) -> Result<(), StoreError> {
        match self.fault {
            Fault::FirstComeFirst => job.priority = 0,
            Fault::Eager => job.scheduled_for = Timestamp::MIN,
            Fault::NeverDies => job.max_attempts = u32::MAX,
            _ => {}
        }
        *self.queued.lock().unwrap().entry(job.run).or_default() += 1;
        match self.inner.enqueue(job).await {
            Err(StoreError::NoRun(_)) if self.has(Fault::QueuesAnything) => Ok(()),
            queued => queued,
        }
    }

    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Vec<QueuedJob>, StoreError> {
        let mut claim = claim;
        if self.has(Fault::Greedy) {
            claim.limit = usize::MAX;
        }
        let hour = std::time::Duration::from_secs(3600);
        let later = now.saturating_add(hour).unwrap();
        if self.has(Fault::SharesRuns) {
            let mut shared = self.inner.claim(claim.clone(), later).await?;
            if shared.is_empty() {
                let runs = self.queued.lock().unwrap();
                shared.extend(runs.keys().map(|run| fake(*run)));
            }
            return Ok(shared);
        }
        let mut jobs = self.inner.claim(claim, now).await?;
        if self.has(Fault::LongLeases) {
            for job in &jobs {
                self.inner.renew(job.run, job.token, later).await?;
            }
        }
        if self.has(Fault::QueuesTwice) && jobs.is_empty() {
            let queued = self.queued.lock().unwrap();
            jobs.extend(queued.iter().filter(|(_, times)| **times > 1).map(|(run, _)| fake(*run)));
        }
        if self.has(Fault::NeverAgain) {
            let mut taken = self.taken.lock().unwrap();
            jobs.retain(|job| taken.insert(job.run));
        }
        Ok(jobs)
    }

    async fn renew(&self, run: RunId, token: FencingToken, until: Timestamp) -> Result<(), StoreError> {
        if self.has(Fault::NeverRenews) { Ok(()) } else { self.inner.renew(run, self.token(token), until).await }
    }

    async fn complete(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        if self.has(Fault::NeverCompletes) { Ok(()) } else { self.inner.complete(run, self.token(token)).await }
    }

    async fn give_back(&self, run: RunId, token: FencingToken, at: Timestamp) -> Result<(), StoreError> {
        let at = if self.has(Fault::BackAtOnce) { Timestamp::MIN } else { at };
        self.inner.give_back(run, self.token(token), at).await
    }

    async fn hand_over(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        if self.has(Fault::CountsHandOvers) {
            return self.inner.give_back(run, self.token(token), Timestamp::MIN).await;
        }
        self.inner.hand_over(run, self.token(token)).await
    }

    async fn dead_letters(&self) -> Result<Vec<RunId>, StoreError> {
        self.inner.dead_letters().await
    }

    async fn requeue(&self, run: RunId, at: Timestamp) -> Result<(), StoreError> {
        if self.has(Fault::StaysDead) { Ok(()) } else { self.inner.requeue(run, at).await }
    }
}

fn fake(run: RunId) -> QueuedJob {
    QueuedJob { run, tenant: TenantId::new(), token: FencingToken(1), attempt: 1 }
}
