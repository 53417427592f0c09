//! BuildIt as it is measured: an engine with a memory store and an executor that does nothing, through its public API.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use buildit::engine::{Engine, StartOptions};
use buildit::event::{Event, RunStatus};
use buildit::executor::{Executor, ExecutorError, JobContext, Unsupported};
use buildit::job::{JobOutcome, JobSpec};
use buildit::memory::MemoryStore;
use buildit::pipeline::{Pipeline, PipelineError, PipelineSpec, RunContext};
use buildit::run::Run;
use buildit::store::{Store, StoreError, each_event};
use tokio::runtime::Runtime;

use crate::reference::IN_FLIGHT;

/// An executor whose jobs do nothing.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Executor for Nothing {
    fn name(&self) -> &str {
        "nothing"
    }

    fn supports(&self, _: &JobSpec) -> Result<(), Unsupported> {
        Ok(())
    }

    async fn run(&self, _: &JobSpec, _: JobContext) -> Result<JobOutcome, ExecutorError> {
        Ok(JobOutcome::succeeded())
    }
}

/// A pipeline that is there already, so that no copy of it is measured.
#[derive(Debug)]
struct Shared(Arc<PipelineSpec>);

impl Pipeline for Shared {
    fn spec(&self, _: &RunContext) -> Result<Arc<PipelineSpec>, PipelineError> {
        Ok(self.0.clone())
    }
}

/// An engine with a store, and a pipeline for it.
#[derive(Debug)]
pub struct Subject {
    engine: Engine,
    store: Arc<dyn Store>,
    pipeline: Arc<Shared>,
}

impl Subject {
    /// An engine with a memory store, for this pipeline.
    ///
    /// # Panics
    ///
    /// When there is none to be had.
    #[must_use]
    pub fn new(spec: &Arc<PipelineSpec>) -> Self {
        Self::on(spec, Arc::new(MemoryStore::new()))
    }

    /// An engine with this store.
    ///
    /// # Panics
    ///
    /// When there is none to be had.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a bench stops when it cannot measure")]
    pub fn on(spec: &Arc<PipelineSpec>, store: Arc<dyn Store>) -> Self {
        let builder = Engine::builder().executor(Nothing).store(store.clone()).max_jobs(IN_FLIGHT);
        Self { engine: builder.build().expect("an engine"), store, pipeline: Arc::new(Shared(spec.clone())) }
    }

    /// Runs the pipeline; the time from `Engine::start` to the end of `wait`. The first time it compiles the pipeline,
    /// later the engine knows it.
    ///
    /// # Panics
    ///
    /// When the run does not succeed.
    #[must_use]
    pub fn schedule(&self, runtime: &Runtime) -> Duration {
        self.run(runtime, false)
    }

    /// The same, and afterwards the recorded events are counted and replayed.
    ///
    /// # Panics
    ///
    /// When the run does not succeed, or its record is not that of the run.
    pub fn verify(&self, runtime: &Runtime) {
        self.run(runtime, true);
    }

    #[expect(clippy::expect_used, reason = "a bench stops when it cannot measure")]
    fn run(&self, runtime: &Runtime, verify: bool) -> Duration {
        let (engine, store, pipeline) = (self.engine.clone(), self.store.clone(), self.pipeline.clone());
        runtime.block_on(async move {
            let run = async move {
                let start = Instant::now();
                let options = StartOptions::new(RunContext::manual());
                let handle = engine.start(&pipeline, options).await.expect("a run");
                let report = handle.wait().await.expect("it ends");
                let took = start.elapsed();
                assert_eq!(report.status, RunStatus::Succeeded);
                if verify {
                    check(&store, report.run()).await;
                }
                store.delete_run(handle.id()).await.expect("a closed run");
                took
            };
            tokio::spawn(run).await.expect("it ends")
        })
    }
}

/// Every event was recorded, and they give the run that lived.
#[expect(clippy::expect_used, reason = "a bench stops when it cannot measure")]
async fn check(store: &Arc<dyn Store>, run: &Run) {
    let mut events: Vec<Event> = Vec::new();
    let read = each_event(&**store, run.info().id, 0, |event| {
        events.push(event);
        Ok::<_, StoreError>(())
    });
    read.await.expect("the events are read");
    assert_eq!(events.len(), 2 + 3 * run.graph().len(), "started and finished, and three events a stage");
    let (spec, graph, context) = (run.spec().clone(), run.graph().clone(), run.context().clone());
    let replayed = Run::replay(spec, graph, context, run.info(), &events).expect("a record that replays");
    assert!(replayed == *run, "the replayed run is another");
}

/// The runtime that everything is measured on: two worker threads.
///
/// # Panics
///
/// When there is none to be had.
#[must_use]
#[expect(clippy::expect_used, reason = "a bench stops when it cannot measure")]
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}
