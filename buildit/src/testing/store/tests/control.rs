//! What is asked of its runs, its queue as people see and steer it, and its requests.

use async_trait::async_trait;
use jiff::Timestamp;

use super::broken::Broken;
use super::faults::Fault;
use crate::id::{RunId, TenantId, WorkerId};
use crate::store::{
    Ask, AskStore, AskSubject, Intake, QueueControl, QueueFilter, QueueLine, QueuePlace, QueueStatus, QueuedRun,
    Request, RequestStore, StoreError, Worker,
};

#[async_trait]
impl AskStore for Broken {
    async fn ask(&self, run: RunId, ask: Ask) -> Result<bool, StoreError> {
        self.asked.lock().unwrap().push((run, ask.clone()));
        match self.fault {
            Fault::ReplacesAsks => self.inner.settle(run, &ask.subject()).await?,
            Fault::BuriesTheAsked if matches!(ask, Ask::Cancel { .. }) => return Ok(true),
            _ => {}
        }
        match self.inner.ask(run, ask).await {
            Err(StoreError::NoRun(_)) if self.has(Fault::AsksAnything) => Ok(true),
            asked => asked,
        }
    }

    async fn asks(&self, runs: &[RunId], limit: usize) -> Result<Vec<(RunId, Ask)>, StoreError> {
        if self.has(Fault::AsksOutlive) {
            let asked = self.asked.lock().unwrap();
            return Ok(asked.iter().filter(|(run, _)| runs.contains(run)).take(limit).cloned().collect());
        }
        let all: Vec<RunId> = self.created.lock().unwrap().clone();
        self.inner.asks(if self.has(Fault::AnybodysAsks) { &all } else { runs }, limit).await
    }

    async fn settle(&self, run: RunId, subject: &AskSubject) -> Result<(), StoreError> {
        if self.has(Fault::NeverSettles) { Ok(()) } else { self.inner.settle(run, subject).await }
    }
}

#[async_trait]
impl QueueControl for Broken {
    async fn queued(
        &self,
        filter: &QueueFilter,
        after: Option<QueuePlace>,
        limit: usize,
    ) -> Result<Vec<QueuedRun>, StoreError> {
        let mut runs = self.inner.queued(filter, after, limit).await?;
        if self.has(Fault::ListsYoungestFirst) {
            runs.reverse();
        }
        Ok(runs)
    }

    async fn queued_run(&self, run: RunId) -> Result<Option<QueuedRun>, StoreError> {
        let mut found = self.inner.queued_run(run).await?;
        if let Some(found) = found.as_mut().filter(|_| self.has(Fault::SaysWaiting)) {
            found.status = QueueStatus::Waiting;
        }
        Ok(found)
    }

    async fn queue_depths(&self) -> Result<Vec<(QueueStatus, u64)>, StoreError> {
        let mut depths = self.inner.queue_depths().await?;
        if self.has(Fault::CountsWhatWaits) {
            depths.retain(|(status, _)| *status == QueueStatus::Waiting);
        }
        Ok(depths)
    }

    async fn queue_line(&self, tenant: TenantId) -> Result<QueueLine, StoreError> {
        let line = self.inner.queue_line(tenant).await?;
        Ok(QueueLine { running: if self.has(Fault::SaysIdle) { 0 } else { line.running }, ..line })
    }

    async fn set_intake(&self, tenant: Option<TenantId>, intake: Intake) -> Result<(), StoreError> {
        match self.fault {
            Fault::NeverPauses => Ok(()),
            Fault::PausesAll => self.inner.set_intake(None, intake).await,
            _ => self.inner.set_intake(tenant, intake).await,
        }
    }

    async fn set_priority(&self, run: RunId, priority: i32) -> Result<(), StoreError> {
        if self.has(Fault::KeepsPriorities) { Ok(()) } else { self.inner.set_priority(run, priority).await }
    }

    async fn note_worker(&self, worker: Worker) -> Result<(), StoreError> {
        if self.has(Fault::ForgetsDrained) {
            self.inner.forget_worker(&worker.id).await?;
        }
        self.inner.note_worker(worker).await
    }

    async fn workers(&self, after: Option<&WorkerId>, limit: usize) -> Result<Vec<Worker>, StoreError> {
        self.inner.workers(after, limit).await
    }

    async fn set_worker_intake(&self, worker: &WorkerId, intake: Intake) -> Result<(), StoreError> {
        let intake = if self.has(Fault::DrainsNobody) { Intake::Open } else { intake };
        self.inner.set_worker_intake(worker, intake).await
    }

    async fn forget_worker(&self, worker: &WorkerId) -> Result<(), StoreError> {
        self.inner.forget_worker(worker).await
    }

    async fn sweep_workers(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.inner.sweep_workers(before).await
    }
}

#[async_trait]
impl RequestStore for Broken {
    async fn remember(&self, mut request: Request, mut now: Timestamp) -> Result<Request, StoreError> {
        match self.fault {
            Fault::RemembersForEver => now = Timestamp::MIN,
            Fault::OneTenantOfRequests => request.tenant = TenantId::NONE,
            // Looks first and writes then.
            Fault::RemembersLate => {
                let known = self.inner.remember(request.clone(), now).await?;
                tokio::task::yield_now().await;
                self.inner.forget_request(&known).await?;
            }
            _ => {}
        }
        self.inner.remember(request, now).await
    }

    async fn forget_request(&self, request: &Request) -> Result<(), StoreError> {
        if self.has(Fault::ForgetsNoRequest) { Ok(()) } else { self.inner.forget_request(request).await }
    }

    async fn sweep_requests(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.inner.sweep_requests(if self.has(Fault::SweepsAllRequests) { Timestamp::MAX } else { now }).await
    }
}
