//! The store as the engine of a server has it: what it does there is measured, and what people and forges want to hear of is
//! put into the outbox.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use buildit::event::{Event, EventBody};
use buildit::executor::LogCursor;
use buildit::id::{FencingToken, JobId, RunId, TenantId};
use buildit::store::{
    Ask, AskStore, AskSubject, Claim, Enqueue, EventPage, Lease, LogAppend, LogPage, LogStore, NewRun, QueueStore,
    QueuedJob, RunFilter, RunRecord, RunStore, RunSummary, Share, Standing, Store, StoreError, TakenRun,
};
use jiff::{SignedDuration, Timestamp};

use crate::meters::Meters;
use crate::notify::Outbox;
use crate::statuses::Reporter;

/// A store that sees what the engine does with it.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    inner: Arc<dyn Store>,
    meters: Meters,
    outbox: Outbox,
    reporter: Reporter,
    /// The attempts that are under way here.
    running: Arc<Mutex<HashSet<JobId>>>,
}

impl Watched {
    pub(crate) fn new(inner: Arc<dyn Store>, meters: Meters, outbox: Outbox, reporter: Reporter) -> Self {
        let watched = Self { inner, meters, outbox, reporter, running: Arc::default() };
        watched.change(|_| {});
        watched
    }

    async fn timed<T>(&self, operation: &'static str, work: impl Future<Output = T> + Send) -> T {
        let since = Instant::now();
        let done = work.await;
        self.meters.took("buildit_store_seconds", &[("operation", operation)], since.elapsed());
        done
    }

    fn change(&self, change: impl FnOnce(&mut HashSet<JobId>)) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut running);
        self.meters.set("buildit_jobs_running", &[], running.len() as f64);
    }

    /// Notes which attempts are under way after these events.
    fn note(&self, run: RunId, events: &[Event]) {
        let job = |stage: &buildit::id::StageName, attempt: u32| JobId { run, stage: stage.clone(), attempt };
        self.change(|running| {
            for event in events {
                match &event.body {
                    EventBody::AttemptStarted { stage, attempt, .. } => drop(running.insert(job(stage, *attempt))),
                    EventBody::AttemptFinished { stage, attempt, .. } => drop(running.remove(&job(stage, *attempt))),
                    EventBody::RunFinished { .. } => running.retain(|job| job.run != run),
                    _ => {}
                }
            }
        });
    }

    /// Another server has this run now.
    fn lose(&self, run: RunId) {
        self.change(|running| running.retain(|job| job.run != run));
        self.reporter.leave(run);
    }

    /// Counts a run that has ended.
    async fn count(&self, run: RunId) -> Result<(), StoreError> {
        let record = self.inner.run(run).await?;
        let status = [("status", record.status.as_str())];
        self.meters.count("buildit_runs_total", &status, 1);
        let first = self.inner.events(run, 0, 1).await?.events;
        let last = self.inner.events(run, record.last_seq.saturating_sub(1), 1).await?.events;
        // One that was cancelled in the queue has never started.
        let started = first.first().filter(|event| matches!(event.body, EventBody::RunStarted));
        if let (Some(started), Some(last)) = (started, last.first()) {
            self.meters.took("buildit_run_seconds", &status, unsigned(last.time.duration_since(started.time)));
            let waited = unsigned(started.time.duration_since(record.run.created_at));
            self.meters.took("buildit_run_wait_seconds", &[], waited);
        }
        Ok(())
    }
}

/// Nothing for clocks that differ.
fn unsigned(duration: SignedDuration) -> Duration {
    duration.try_into().unwrap_or_default()
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RunStore for Watched {
    async fn create_run(&self, run: NewRun) -> Result<RunRecord, StoreError> {
        self.timed("create_run", self.inner.create_run(run)).await
    }

    async fn run(&self, run: RunId) -> Result<RunRecord, StoreError> {
        self.timed("run", self.inner.run(run)).await
    }

    async fn runs(&self, filter: &RunFilter, limit: usize) -> Result<Vec<RunSummary>, StoreError> {
        self.timed("runs", self.inner.runs(filter, limit)).await
    }

    async fn run_by_number(&self, tenant: TenantId, pipeline: &str, number: u64) -> Result<RunSummary, StoreError> {
        self.timed("run_by_number", self.inner.run_by_number(tenant, pipeline, number)).await
    }

    async fn open_runs(&self) -> Result<Vec<RunId>, StoreError> {
        self.timed("open_runs", self.inner.open_runs()).await
    }

    async fn append(
        &self,
        run: RunId,
        expected_seq: u64,
        token: FencingToken,
        events: Arc<[Event]>,
    ) -> Result<(), StoreError> {
        let appended = self.timed("append", self.inner.append(run, expected_seq, token, Arc::clone(&events))).await;
        match &appended {
            Ok(()) => {
                self.note(run, &events);
                self.outbox.note_waiting(run, &events);
                self.reporter.note(run, &events);
            }
            Err(StoreError::Fenced) => self.lose(run),
            Err(_) => {}
        }
        appended
    }

    async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<EventPage, StoreError> {
        self.timed("events", self.inner.events(run, after, limit)).await
    }

    async fn close_run(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        // Before: who is killed in between leaves a run that somebody closes.
        self.outbox.ended(run).await?;
        self.reporter.ended(run).await?;
        self.timed("close_run", self.inner.close_run(run, token)).await?;
        if let Err(error) = self.count(run).await {
            tracing::debug!(%run, error = &error as &dyn std::error::Error, "a run is not counted");
        }
        Ok(())
    }

    async fn delete_run(&self, run: RunId) -> Result<(), StoreError> {
        self.timed("delete_run", self.inner.delete_run(run)).await
    }

    async fn lease_run(&self, run: RunId, lease: Lease, now: Timestamp) -> Result<FencingToken, StoreError> {
        let leased = self.timed("lease_run", self.inner.lease_run(run, lease, now)).await;
        if let Err(StoreError::Fenced) = &leased {
            self.lose(run);
        }
        leased
    }

    async fn take_up(&self, runs: &[RunId], lease: Lease, now: Timestamp) -> Result<Vec<TakenRun>, StoreError> {
        let taken = self.timed("take_up", self.inner.take_up(runs, lease, now)).await?;
        for one in &taken {
            self.note(one.record.run.id, &one.events);
            self.reporter.know(&one.record);
        }
        Ok(taken)
    }

    async fn standings(&self, runs: &[RunId]) -> Result<Vec<Standing>, StoreError> {
        self.timed("standings", self.inner.standings(runs)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl AskStore for Watched {
    async fn ask(&self, run: RunId, ask: Ask) -> Result<bool, StoreError> {
        self.timed("ask", self.inner.ask(run, ask)).await
    }

    async fn asks(&self, runs: &[RunId], limit: usize) -> Result<Vec<(RunId, Ask)>, StoreError> {
        self.timed("asks", self.inner.asks(runs, limit)).await
    }

    async fn settle(&self, run: RunId, subject: &AskSubject) -> Result<(), StoreError> {
        self.timed("settle", self.inner.settle(run, subject)).await
    }

    async fn asks_changed(&self) {
        self.inner.asks_changed().await;
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl LogStore for Watched {
    async fn append_log(&self, append: LogAppend<'_>) -> Result<(), StoreError> {
        let bytes = bytes(&append);
        self.timed("append_log", self.inner.append_log(append)).await?;
        self.meters.count("buildit_log_bytes_total", &[], bytes);
        Ok(())
    }

    async fn begin_logs(&self, appends: &[LogAppend<'_>]) -> Result<Vec<bool>, StoreError> {
        let begun = self.timed("begin_logs", self.inner.begin_logs(appends)).await?;
        let written = appends.iter().zip(&begun).filter(|(_, has_begun)| **has_begun).map(|(append, _)| bytes(append));
        self.meters.count("buildit_log_bytes_total", &[], written.sum());
        Ok(begun)
    }

    async fn log_cursor(&self, job: &JobId) -> Result<LogCursor, StoreError> {
        self.timed("log_cursor", self.inner.log_cursor(job)).await
    }

    async fn read_log(&self, job: &JobId, after: u64, max_bytes: usize) -> Result<LogPage, StoreError> {
        self.timed("read_log", self.inner.read_log(job, after, max_bytes)).await
    }

    async fn logs_of_run(&self, run: RunId) -> Result<Vec<JobId>, StoreError> {
        self.timed("logs_of_run", self.inner.logs_of_run(run)).await
    }
}

fn bytes(append: &LogAppend<'_>) -> u64 {
    append.chunks.iter().map(|chunk| chunk.text.len() as u64).sum()
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl QueueStore for Watched {
    async fn enqueue(&self, job: Enqueue) -> Result<(), StoreError> {
        self.timed("enqueue", self.inner.enqueue(job)).await
    }

    async fn create_queued(&self, run: NewRun, job: Enqueue) -> Result<RunRecord, StoreError> {
        let created = self.timed("create_queued", self.inner.create_queued(run, job)).await?;
        self.reporter.note_queued(&created);
        Ok(created)
    }

    async fn enqueue_all(&self, jobs: Vec<Enqueue>) -> Result<(), StoreError> {
        self.timed("enqueue_all", self.inner.enqueue_all(jobs)).await
    }

    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Vec<QueuedJob>, StoreError> {
        self.timed("claim", self.inner.claim(claim, now)).await
    }

    async fn renew(&self, run: RunId, token: FencingToken, until: Timestamp) -> Result<(), StoreError> {
        self.timed("renew", self.inner.renew(run, token, until)).await
    }

    async fn complete(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        self.timed("complete", self.inner.complete(run, token)).await
    }

    async fn complete_all(&self, runs: &[(RunId, FencingToken)]) -> Result<Vec<RunId>, StoreError> {
        self.timed("complete_all", self.inner.complete_all(runs)).await
    }

    async fn give_back(&self, run: RunId, token: FencingToken, at: Timestamp) -> Result<(), StoreError> {
        self.lose(run);
        self.timed("give_back", self.inner.give_back(run, token, at)).await
    }

    async fn hand_over(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        self.lose(run);
        self.timed("hand_over", self.inner.hand_over(run, token)).await
    }

    async fn queue_changed(&self) {
        self.inner.queue_changed().await;
    }

    async fn dead_letters(&self) -> Result<Vec<RunId>, StoreError> {
        self.timed("dead_letters", self.inner.dead_letters()).await
    }

    async fn requeue(&self, run: RunId, at: Timestamp) -> Result<(), StoreError> {
        self.timed("requeue", self.inner.requeue(run, at)).await
    }

    async fn set_share(&self, tenant: TenantId, share: Share) -> Result<(), StoreError> {
        self.timed("set_share", self.inner.set_share(tenant, share)).await
    }
}
