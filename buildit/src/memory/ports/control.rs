//! The queue as people see and steer it. Workers are known as long as the process lives: they are processes themselves.

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::queue::{Entry, Queue, QueueChange};
use super::super::store::MemoryStore;
use crate::id::{RunId, TenantId, WorkerId};
use crate::store::{
    Intake, QueueControl, QueueFilter, QueueLine, QueueOf, QueuePlace, QueueStatus, QueuedRun, StoreError, Worker,
};

#[async_trait]
impl QueueControl for MemoryStore {
    async fn queued(
        &self,
        filter: &QueueFilter,
        after: Option<QueuePlace>,
        limit: usize,
    ) -> Result<Vec<QueuedRun>, StoreError> {
        let journaled = self.queue_locked();
        let entries = journaled.queue.entries().filter(|entry| match &filter.of {
            QueueOf::Tenant(tenant) => entry.job.tenant == *tenant,
            QueueOf::Worker(_) => true,
        });
        let these = entries.filter(|entry| journaled.queue.status(entry) == filter.status);
        let mut found: Vec<QueuedRun> = these.filter_map(|entry| self.shown(&journaled.queue, entry)).collect();
        if let QueueOf::Worker(worker) = &filter.of {
            found.retain(|run| run.worker.as_ref() == Some(worker));
        }
        let order = |place: QueuePlace| (std::cmp::Reverse(place.priority), place.age);
        found.retain(|run| after.is_none_or(|after| order(run.place) > order(after)));
        found.sort_by_key(|run| order(run.place));
        found.truncate(limit);
        Ok(found)
    }

    async fn queued_run(&self, run: RunId) -> Result<Option<QueuedRun>, StoreError> {
        let journaled = self.queue_locked();
        Ok(journaled.queue.entry(run).and_then(|entry| self.shown(&journaled.queue, entry)))
    }

    async fn queue_depths(&self) -> Result<Vec<(QueueStatus, u64)>, StoreError> {
        let journaled = self.queue_locked();
        let queue = &journaled.queue;
        let count = |status| queue.entries().filter(|entry| queue.status(entry) == status).count() as u64;
        let all = QueueStatus::ALL.into_iter().map(|status| (status, count(status)));
        Ok(all.filter(|(_, count)| *count > 0).collect())
    }

    async fn queue_line(&self, tenant: TenantId) -> Result<QueueLine, StoreError> {
        let journaled = self.queue_locked();
        let (line, intake) = journaled.queue.line(tenant);
        Ok(QueueLine { share: line.share, running: line.running, intake, everywhere: journaled.queue.intake() })
    }

    async fn set_intake(&self, tenant: Option<TenantId>, intake: Intake) -> Result<(), StoreError> {
        self.queue_locked().change(vec![QueueChange::Intake { tenant, intake }])
    }

    async fn set_priority(&self, run: RunId, priority: i32) -> Result<(), StoreError> {
        let mut journaled = self.queue_locked();
        if !journaled.queue.contains(run) {
            return Err(StoreError::NoRun(run));
        }
        journaled.change(vec![QueueChange::Prioritised { run, priority }])
    }

    async fn note_worker(&self, worker: Worker) -> Result<(), StoreError> {
        let mut journaled = self.queue_locked();
        let workers = journaled.queue.workers_mut();
        let intake = workers.get(&worker.id).map_or(worker.intake, |known| known.intake);
        workers.insert(worker.id.clone(), Worker { intake, ..worker });
        Ok(())
    }

    async fn workers(&self, after: Option<&WorkerId>, limit: usize) -> Result<Vec<Worker>, StoreError> {
        let mut journaled = self.queue_locked();
        let known = journaled.queue.workers_mut().values();
        Ok(known.filter(|worker| after.is_none_or(|after| worker.id > *after)).take(limit).cloned().collect())
    }

    async fn set_worker_intake(&self, worker: &WorkerId, intake: Intake) -> Result<(), StoreError> {
        let mut journaled = self.queue_locked();
        let known = journaled.queue.workers_mut().get_mut(worker);
        known.ok_or_else(|| StoreError::NotFound(format!("worker {worker}")))?.intake = intake;
        Ok(())
    }

    async fn forget_worker(&self, worker: &WorkerId) -> Result<(), StoreError> {
        self.queue_locked().queue.workers_mut().remove(worker);
        Ok(())
    }

    async fn sweep_workers(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut journaled = self.queue_locked();
        let workers = journaled.queue.workers_mut();
        let known = workers.len();
        workers.retain(|_, worker| worker.seen_until >= before);
        Ok((known - workers.len()) as u64)
    }
}

impl MemoryStore {
    /// An entry as people see it; none whose run is gone.
    fn shown(&self, queue: &Queue, entry: &Entry) -> Option<QueuedRun> {
        let run = entry.job.run;
        let kept = self.kept(run).ok()?;
        let status = queue.status(entry);
        let lease = kept.with_state(|state| Ok(state.held().cloned())).ok()?;
        let lease = lease.filter(|_| status == QueueStatus::Taken);
        let pipeline = self.runs_locked().pipelines.name(kept.pipeline)?.to_owned();
        Some(QueuedRun {
            run,
            tenant: entry.job.tenant,
            pipeline,
            number: kept.number,
            status,
            place: entry.shown_place(),
            scheduled_for: entry.scheduled_for,
            attempts: entry.taken,
            max_attempts: entry.job.max_attempts,
            worker: lease.as_ref().map(|lease| lease.worker.clone()),
            leased_until: lease.map(|lease| lease.until),
        })
    }
}
