//! Its queue.

use async_trait::async_trait;
use jiff::Timestamp;

use super::broken::Broken;
use super::faults::Fault;
use crate::id::{FencingToken, RunId, TenantId};
use crate::store::{
    Claim, Enqueue, NewRun, QueueControl, QueueStore, QueuedJob, RunRecord, RunStore, Share, StoreError,
};

#[async_trait]
impl QueueStore for Broken {
    async fn enqueue(&self, mut job: Enqueue) -> Result<(), StoreError> {
        match self.fault {
            Fault::FirstComeFirst => job.priority = 0,
            Fault::Eager => job.scheduled_for = Timestamp::MIN,
            Fault::NeverDies => job.max_attempts = u32::MAX,
            Fault::OneTenant => job.tenant = uuid::Uuid::nil().into(),
            _ => {}
        }
        *self.queued.lock().unwrap().entry(job.run).or_default() += 1;
        match self.inner.enqueue(job).await {
            Err(StoreError::NoRun(_)) if self.has(Fault::QueuesAnything) => Ok(()),
            queued => queued,
        }
    }

    async fn create_queued(&self, run: NewRun, job: Enqueue) -> Result<RunRecord, StoreError> {
        let record = self.create_run(run).await?;
        if !self.has(Fault::KeepsOnly) {
            self.enqueue(job).await?;
        }
        Ok(record)
    }

    async fn enqueue_all(&self, mut jobs: Vec<Enqueue>) -> Result<(), StoreError> {
        if self.has(Fault::QueuesFirst) {
            jobs.truncate(1);
        }
        for job in jobs {
            self.enqueue(job).await?;
        }
        Ok(())
    }

    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Vec<QueuedJob>, StoreError> {
        let mut claim = claim;
        if self.has(Fault::StopsAll) && self.inner.queue_line(TenantId::NONE).await?.everywhere.is_paused() {
            return Ok(Vec::new());
        }
        if matches!(self.fault, Fault::SavesTurns | Fault::ShortestFirst) {
            return self.claim_unfairly(claim, now).await;
        }
        if self.has(Fault::Greedy) {
            claim.limit = usize::MAX;
        }
        let limit = claim.limit;
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
        if self.has(Fault::TakesBehind) && jobs.len() < limit {
            let mut queued = self.queued.lock().unwrap();
            queued.retain(|run, _| jobs.iter().all(|job| job.run != *run));
            jobs.extend(queued.drain().map(|(run, _)| fake(run)));
        }
        if self.has(Fault::LeavesTheDead) {
            jobs.retain(|job| !self.taken.lock().unwrap().contains(&job.run));
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

    async fn complete_all(&self, runs: &[(RunId, FencingToken)]) -> Result<Vec<RunId>, StoreError> {
        let mut refused = Vec::new();
        for (run, token) in runs {
            match self.complete(*run, *token).await {
                Err(StoreError::Fenced) if !self.has(Fault::AllOrNone) => refused.push(*run),
                Err(StoreError::NoRun(_)) => refused.push(*run),
                completed => completed?,
            }
        }
        Ok(refused)
    }

    async fn give_back(&self, run: RunId, token: FencingToken, at: Timestamp) -> Result<(), StoreError> {
        if self.has(Fault::KeepsPlaces) {
            // It is under way for ever.
            return self.inner.renew(run, self.token(token), Timestamp::MAX).await;
        }
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

    async fn set_share(&self, tenant: TenantId, share: Share) -> Result<(), StoreError> {
        let is_known = !self.shared.lock().unwrap().insert(tenant);
        if self.has(Fault::IgnoresShares) || (self.has(Fault::LastLimit) && is_known) {
            return Ok(());
        }
        self.inner.set_share(tenant, share).await
    }
}

impl Broken {
    /// Takes all and hands over what is not wanted.
    async fn claim_unfairly(&self, claim: Claim, now: Timestamp) -> Result<Vec<QueuedJob>, StoreError> {
        let (limit, all) = (claim.limit, Claim { limit: usize::MAX, ..claim });
        let mut all = self.inner.claim(all, now).await?;
        let mut jobs = Vec::new();
        while jobs.len() < limit && !all.is_empty() {
            let turns = self.turns.lock().unwrap().clone();
            let of = |tenant| match self.fault {
                Fault::SavesTurns => turns.get(&tenant).copied().unwrap_or(0),
                _ => all.iter().filter(|job| job.tenant == tenant).count(),
            };
            let next = (0..all.len()).min_by_key(|&at| of(all[at].tenant)).unwrap();
            let job = all.remove(next);
            *self.turns.lock().unwrap().entry(job.tenant).or_default() += 1;
            jobs.push(job);
        }
        for job in all {
            self.inner.hand_over(job.run, job.token).await?;
        }
        Ok(jobs)
    }
}

fn fake(run: RunId) -> QueuedJob {
    QueuedJob { run, tenant: TenantId::new(), token: FencingToken(1), attempt: 1 }
}
