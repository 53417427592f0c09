//! A store that fails when it is told to, and a job that outlives its engines.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use super::*;
use crate::cancel::Stop;
use crate::executor::{Adoption, Executor, ExecutorError, JobContext, LogCursor, LogWrite, Physical, Unsupported};
use crate::id::{FencingToken, JobId, RunId, TenantId};
use crate::job::{JobSpec, Stream};
use crate::store::{
    Ask, AskStore, AskSubject, Claim, Enqueue, EventPage, Lease, LogAppend, LogPage, LogStore, NewRun, QueueStore,
    QueuedJob, RunFilter, RunRecord, RunSummary, Share, Standing,
};

/// A store in memory that takes no events, or no log, while it is full. Clones are the same store.
#[derive(Clone, Debug, Default)]
pub(super) struct FullStore {
    inner: MemoryStore,
    full: Arc<Full>,
}

#[derive(Debug, Default)]
pub(super) struct Full {
    pub(super) of_events: AtomicBool,
    pub(super) of_logs: AtomicBool,
    /// How many appends were refused.
    pub(super) refused: AtomicUsize,
}

impl FullStore {
    pub(super) fn full(&self) -> &Full {
        &self.full
    }

    fn room(&self, full: &AtomicBool) -> Result<(), StoreError> {
        if !full.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.full.refused.fetch_add(1, Ordering::Relaxed);
        Err(StoreError::backend("full", "no space left"))
    }
}

#[async_trait]
impl RunStore for FullStore {
    async fn create_run(&self, run: NewRun) -> Result<RunRecord, StoreError> {
        self.inner.create_run(run).await
    }

    async fn run(&self, run: RunId) -> Result<RunRecord, StoreError> {
        self.inner.run(run).await
    }

    async fn runs(&self, filter: &RunFilter, limit: usize) -> Result<Vec<RunSummary>, StoreError> {
        self.inner.runs(filter, limit).await
    }

    async fn run_by_number(&self, tenant: TenantId, pipeline: &str, number: u64) -> Result<RunSummary, StoreError> {
        self.inner.run_by_number(tenant, pipeline, number).await
    }

    async fn open_runs(&self) -> Result<Vec<RunId>, StoreError> {
        self.inner.open_runs().await
    }

    async fn append(
        &self,
        run: RunId,
        expected_seq: u64,
        token: FencingToken,
        events: Arc<[Event]>,
    ) -> Result<(), StoreError> {
        self.room(&self.full.of_events)?;
        self.inner.append(run, expected_seq, token, events).await
    }

    async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<EventPage, StoreError> {
        self.inner.events(run, after, limit).await
    }

    async fn close_run(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        self.inner.close_run(run, token).await
    }

    async fn delete_run(&self, run: RunId) -> Result<(), StoreError> {
        self.inner.delete_run(run).await
    }

    async fn lease_run(&self, run: RunId, lease: Lease, now: Timestamp) -> Result<FencingToken, StoreError> {
        self.inner.lease_run(run, lease, now).await
    }

    async fn standings(&self, runs: &[RunId]) -> Result<Vec<Standing>, StoreError> {
        self.inner.standings(runs).await
    }
}

#[async_trait]
impl LogStore for FullStore {
    async fn append_log(&self, append: LogAppend<'_>) -> Result<(), StoreError> {
        self.room(&self.full.of_logs)?;
        self.inner.append_log(append).await
    }

    async fn log_cursor(&self, job: &JobId) -> Result<LogCursor, StoreError> {
        self.inner.log_cursor(job).await
    }

    async fn read_log(&self, job: &JobId, after: u64, max_bytes: usize) -> Result<LogPage, StoreError> {
        self.inner.read_log(job, after, max_bytes).await
    }

    async fn logs_of_run(&self, run: RunId) -> Result<Vec<JobId>, StoreError> {
        self.inner.logs_of_run(run).await
    }
}

#[async_trait]
impl AskStore for FullStore {
    async fn ask(&self, run: RunId, ask: Ask) -> Result<bool, StoreError> {
        self.inner.ask(run, ask).await
    }

    async fn asks(&self, runs: &[RunId], limit: usize) -> Result<Vec<(RunId, Ask)>, StoreError> {
        self.inner.asks(runs, limit).await
    }

    async fn settle(&self, run: RunId, subject: &AskSubject) -> Result<(), StoreError> {
        self.inner.settle(run, subject).await
    }

    async fn asks_changed(&self) {
        self.inner.asks_changed().await;
    }
}

#[async_trait]
impl QueueStore for FullStore {
    async fn enqueue(&self, job: Enqueue) -> Result<(), StoreError> {
        self.inner.enqueue(job).await
    }

    async fn create_queued(&self, run: NewRun, job: Enqueue) -> Result<RunRecord, StoreError> {
        self.inner.create_queued(run, job).await
    }

    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Vec<QueuedJob>, StoreError> {
        self.inner.claim(claim, now).await
    }

    async fn renew(&self, run: RunId, token: FencingToken, until: Timestamp) -> Result<(), StoreError> {
        self.inner.renew(run, token, until).await
    }

    async fn complete(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        self.inner.complete(run, token).await
    }

    async fn give_back(&self, run: RunId, token: FencingToken, at: Timestamp) -> Result<(), StoreError> {
        self.inner.give_back(run, token, at).await
    }

    async fn hand_over(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        self.inner.hand_over(run, token).await
    }

    async fn dead_letters(&self) -> Result<Vec<RunId>, StoreError> {
        self.inner.dead_letters().await
    }

    async fn requeue(&self, run: RunId, at: Timestamp) -> Result<(), StoreError> {
        self.inner.requeue(run, at).await
    }

    async fn set_share(&self, tenant: TenantId, share: Share) -> Result<(), StoreError> {
        self.inner.set_share(tenant, share).await
    }
}

/// What each job prints.
const OUTPUT: &[u8] = b"one\ntwo\nthree\n";

/// An executor whose only job outlives its engines: it prints three lines, and lasts for a while or until it is
/// stopped. Clones have the same job.
#[derive(Clone, Debug)]
pub(super) struct Outliving {
    lasts: Duration,
    job: Arc<Mutex<Job>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Job {
    begun: Option<tokio::time::Instant>,
    pub(super) starts: usize,
    /// When it was told to end, and how urgently it was told last.
    pub(super) stopped: Option<(tokio::time::Instant, Stop)>,
}

impl Outliving {
    pub(super) fn new(lasts: Duration) -> Self {
        Self { lasts, job: Arc::default() }
    }

    pub(super) fn job(&self) -> Job {
        *self.job.lock().unwrap()
    }

    /// One that has ended by itself is not stopped any more.
    fn stop(&self, how: Stop) {
        let mut job = self.job.lock().unwrap();
        if job.begun.is_some_and(|begun| begun.elapsed() < self.lasts) {
            job.stopped = Some((job.stopped.map_or_else(tokio::time::Instant::now, |(at, _)| at), how));
        }
    }
}

#[async_trait]
impl Executor for Outliving {
    fn name(&self) -> &str {
        "outliving"
    }

    fn supports(&self, _: &JobSpec) -> Result<(), Unsupported> {
        Ok(())
    }

    async fn run(&self, job: &JobSpec, ctx: JobContext) -> Result<JobOutcome, ExecutorError> {
        let begun = {
            let mut there = self.job.lock().unwrap();
            there.starts += usize::from(there.begun.is_none());
            *there.begun.get_or_insert_with(tokio::time::Instant::now)
        };
        if ctx.cancel().is_raised() {
            self.stop(ctx.cancel().level());
        }
        let from = usize::try_from(ctx.cursor().stdout).unwrap();
        let bytes = Bytes::from_static(&OUTPUT[from..]);
        let position = Some((Physical::Stdout, OUTPUT.len() as u64));
        ctx.log(&job.id, LogWrite { stream: Stream::Stdout, bytes, position }).await?;
        ctx.flush(&job.id).await?;
        if self.job().stopped.is_none() {
            tokio::select! {
                () = tokio::time::sleep_until(begun + self.lasts) => {}
                () = ctx.cancel().raised(Stop::Gracefully) => self.stop(ctx.cancel().level()),
            }
        }
        Ok(if self.job().stopped.is_some() { JobOutcome::cancelled() } else { JobOutcome::succeeded() })
    }

    fn adoption(&self) -> Adoption {
        Adoption::ByJobId
    }
}
