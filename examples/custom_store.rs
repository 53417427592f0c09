//! A store of one's own: it passes everything on to another one, and writes an audit trail of what happens in runs,
//! one JSON object a line.
//!
//!     cargo run -p buildit-examples --example custom_store
//!     cargo test -p buildit-examples --example custom_store     # the conformance suite
//!
//! A store that keeps things itself implements the same methods and passes the same suite.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use buildit::engine::{Engine, StartOptions};
use buildit::event::Event;
use buildit::executor::LogCursor;
use buildit::id::{FencingToken, JobId, RunId, TenantId};
use buildit::memory::MemoryStore;
use buildit::pipeline::{PipelineBuilder, RunContext, StageBuilder};
use buildit::store::{
    Ask, AskStore, AskSubject, Claim, Enqueue, EventPage, Lease, LogAppend, LogPage, LogStore, NewRun, QueueStore,
    QueuedJob, RunFilter, RunRecord, RunStore, RunSummary, Share, Standing, Store, StoreError, TakenRun,
};
use buildit::testing::{Act, Script, ScriptedExecutor};
use jiff::Timestamp;

/// A store that tells what happens.
#[derive(Debug)]
struct Audited<S, W> {
    inner: S,
    trail: Mutex<W>,
}

impl<S, W: Write> Audited<S, W> {
    fn tell(&self, run: RunId, events: &[Event]) -> Result<(), StoreError> {
        let mut trail = self.trail.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let line = serde_json::json!({ "run": run, "event": event });
            writeln!(trail, "{line}").map_err(|error| StoreError::backend("audit", error))?;
        }
        Ok(())
    }
}

#[async_trait]
impl<S, W> RunStore for Audited<S, W>
where
    S: Store,
    W: Write + std::fmt::Debug + Send + 'static,
{
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
        // Only what is durable has happened: the trail comes after the record.
        self.inner.append(run, expected_seq, token, Arc::clone(&events)).await?;
        self.tell(run, &events)
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

    async fn take_up(&self, runs: &[RunId], lease: Lease, now: Timestamp) -> Result<Vec<TakenRun>, StoreError> {
        self.inner.take_up(runs, lease, now).await
    }

    async fn standings(&self, runs: &[RunId]) -> Result<Vec<Standing>, StoreError> {
        self.inner.standings(runs).await
    }
}

#[async_trait]
impl<S, W> LogStore for Audited<S, W>
where
    S: Store,
    W: std::fmt::Debug + Send + 'static,
{
    async fn append_log(&self, append: LogAppend<'_>) -> Result<(), StoreError> {
        self.inner.append_log(append).await
    }

    async fn begin_logs(&self, appends: &[LogAppend<'_>]) -> Result<Vec<bool>, StoreError> {
        self.inner.begin_logs(appends).await
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
impl<S, W> AskStore for Audited<S, W>
where
    S: Store,
    W: Write + std::fmt::Debug + Send + 'static,
{
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
impl<S, W> QueueStore for Audited<S, W>
where
    S: Store,
    W: Write + std::fmt::Debug + Send + 'static,
{
    async fn enqueue(&self, job: Enqueue) -> Result<(), StoreError> {
        self.inner.enqueue(job).await
    }

    async fn create_queued(&self, run: NewRun, job: Enqueue) -> Result<RunRecord, StoreError> {
        self.inner.create_queued(run, job).await
    }

    async fn enqueue_all(&self, jobs: Vec<Enqueue>) -> Result<(), StoreError> {
        self.inner.enqueue_all(jobs).await
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

    async fn complete_all(&self, runs: &[(RunId, FencingToken)]) -> Result<Vec<RunId>, StoreError> {
        self.inner.complete_all(runs).await
    }

    async fn give_back(&self, run: RunId, token: FencingToken, at: Timestamp) -> Result<(), StoreError> {
        self.inner.give_back(run, token, at).await
    }

    async fn hand_over(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        self.inner.hand_over(run, token).await
    }

    async fn queue_changed(&self) {
        self.inner.queue_changed().await;
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

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let store = Audited { inner: MemoryStore::new(), trail: Mutex::new(std::io::stdout()) };
    let script = Script::new().stage("test", [Act::fail(1), Act::succeed()]);
    let engine =
        Engine::builder().executor(ScriptedExecutor::new("scripted", script)).store(Arc::new(store)).build()?;
    let pipeline = PipelineBuilder::new("audited")
        .stage(StageBuilder::run("test", "cargo test").retry(1, std::time::Duration::ZERO))
        .build();
    engine.start(&pipeline, StartOptions::new(RunContext::manual())).await?.wait().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use buildit::testing::store::assert_store;

    use super::*;

    #[tokio::test]
    async fn it_is_a_store() {
        assert_store(async || Audited { inner: MemoryStore::new(), trail: Mutex::new(Vec::new()) }).await;
    }

    #[tokio::test]
    async fn the_trail_has_every_event_in_order() {
        let store = Arc::new(Audited { inner: MemoryStore::new(), trail: Mutex::new(Vec::new()) });
        let engine = Engine::builder()
            .executor(ScriptedExecutor::new("scripted", Script::new()))
            .store(Arc::clone(&store) as Arc<dyn Store>)
            .build()
            .unwrap();
        let pipeline = PipelineBuilder::new("audited").stage(StageBuilder::run("test", "true")).build();
        let run = engine.start(&pipeline, StartOptions::new(RunContext::manual())).await.unwrap();
        run.wait().await.unwrap();
        let kept = store.inner.events(run.id(), 0, 1000).await.unwrap().events;
        let trail = store.trail.lock().unwrap();
        let told: Vec<serde_json::Value> = trail
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        let kept: Vec<serde_json::Value> = kept.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
        assert_eq!(told.iter().map(|line| line["event"].clone()).collect::<Vec<_>>(), kept);
    }
}
