//! The one driver of runs: [`Engine`].
//!
//! For each run there is one task. It gathers what happened, lets the [state machine](crate::run) decide what
//! follows, makes that durable, publishes it, and then carries it out: start, retry, cancel, approval and recovery
//! are this one code path. Nothing is started or removed before the event that says so is durable (guarantee G1), so
//! an engine that dies between any two steps is followed by one that [resumes](Engine::resume) its runs and ends each
//! with the result that it would have had (G2).
//!
//! A [`RunHandle`] watches and steers a run. Its streams read from the store, however far they lag (G3).
//!
//! ```
//! use buildit::engine::{Engine, StartOptions};
//! use buildit::pipeline::{PipelineBuilder, RunContext, StageBuilder};
//! # use buildit::executor::{Executor, ExecutorError, JobContext, Unsupported};
//! # use buildit::job::{JobOutcome, JobSpec};
//! # #[derive(Debug)]
//! # struct Nothing;
//! # #[async_trait::async_trait]
//! # impl Executor for Nothing {
//! #     fn name(&self) -> &str { "nothing" }
//! #     fn supports(&self, _: &JobSpec) -> Result<(), Unsupported> { Ok(()) }
//! #     async fn run(&self, _: &JobSpec, _: JobContext) -> Result<JobOutcome, ExecutorError> {
//! #         Ok(JobOutcome::succeeded())
//! #     }
//! # }
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let engine = Engine::builder().executor(Nothing).build()?;
//! let pipeline = PipelineBuilder::new("shop")
//!     .stage(StageBuilder::run("fmt", "cargo fmt --check"))
//!     .stage(StageBuilder::run("test", "cargo test").needs(["fmt"]))
//!     .build();
//! let run = engine.start(&pipeline, StartOptions::new(RunContext::manual())).await?;
//! let report = run.wait().await?;
//! assert_eq!(report.status.as_str(), "succeeded");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod append;
mod ask;
mod attempt;
mod boxed;
mod builder;
mod bus;
mod claims;
mod clock;
mod core;
mod driver;
mod environments;
mod error;
mod feed;
mod groups;
mod handle;
mod host;
mod lanes;
mod launch;
mod lease;
mod looks;
mod mailbox;
mod message;
mod missing;
mod notices;
mod options;
mod params;
mod patience;
mod place;
mod placement;
mod plans;
mod prepare;
mod release;
mod report;
mod rerun;
mod results;
mod resume;
mod secrets;
mod slots;
mod start;
#[cfg(test)]
#[cfg(feature = "testing")]
mod tests;
mod work;

use std::sync::Arc;
use std::sync::atomic::Ordering;

pub use ask::Asked;
pub use builder::EngineBuilder;
pub use clock::SystemClock;
pub use error::{ApproveError, AskError, BuildError, RerunError, ResumeError, RunError, StartError};
pub use feed::StageLog;
pub use handle::RunHandle;
pub use options::{QueueOptions, StartOptions, WorkOptions};
pub use report::RunReport;
pub use rerun::Rerun;

use self::core::Core;
use crate::event::Approval;
use crate::id::{RunId, WorkerId};
use crate::pipeline::Pipeline;
use crate::store::{RunRecord, Store, StoreError};

/// Drives runs. Clones are one engine, with one set of limits; dropping them all stops nothing that runs.
#[derive(Clone, Debug)]
pub struct Engine {
    core: Arc<Core>,
}

impl Engine {
    /// Makes an engine.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Starts a run. When it returns, the run is kept under its id, and is driven in tasks of its own.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the run is refused or cannot be kept; then nothing of it was started. Refusals come all at
    /// once, as diagnostics with their places.
    ///
    /// # Cancel safety
    ///
    /// A dropped future may have kept the run, which [`resume`](Self::resume) then takes up.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn start(&self, pipeline: &dyn Pipeline, options: StartOptions) -> Result<RunHandle, StartError> {
        start::start(&self.core, pipeline, options).await
    }

    /// Runs an ended run of this engine's store again, as a new run.
    ///
    /// # Errors
    ///
    /// As of [`start`](Self::start).
    ///
    /// # Cancel safety
    ///
    /// As of [`start`](Self::start).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn rerun(&self, rerun: Rerun) -> Result<RunHandle, StartError> {
        rerun::rerun(&self.core, rerun).await
    }

    /// The same through the queue, as [`enqueue`](Self::enqueue) does it.
    ///
    /// # Errors
    ///
    /// As of [`enqueue`](Self::enqueue).
    ///
    /// # Cancel safety
    ///
    /// As of [`enqueue`](Self::enqueue).
    pub async fn enqueue_rerun(&self, rerun: Rerun, queue: QueueOptions) -> Result<RunRecord, StartError> {
        rerun::enqueue(&self.core, rerun, queue).await
    }

    /// Takes up all runs that an earlier engine left open and nobody drives now, in the order in which they were
    /// created, and removes what is left of runs that had ended. Jobs that outlived that engine are taken over.
    ///
    /// A run that cannot be taken up is passed over, with a word in the program's own log; [`resume_run`](Self::resume_run)
    /// says why.
    ///
    /// # Secrets
    ///
    /// Values of secrets are kept nowhere, so a run that goes on is masked by the values that its
    /// [`SecretSource`](crate::secret::SecretSource) has *now*. A job that outlived the earlier engine still has those of
    /// its start. Where a value was replaced meanwhile, the old one is not masked any more: it stands in clear in what such
    /// a job logs and leaves from then on, and in what later stages print of it. So let the runs end that have a secret
    /// before it is replaced, or revoke the old value, so that it is worth nothing where it is read.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot say which runs are open.
    pub async fn resume(&self) -> Result<Vec<RunHandle>, StoreError> {
        let open = self.core.store.open_runs().await?;
        Ok(resume::resume_all(&self.core, &open).await)
    }

    /// Takes up one run; `None` when it had ended already, and what was left of it is removed. What [`resume`](Self::resume)
    /// says of secrets holds here too.
    ///
    /// # Errors
    ///
    /// [`ResumeError`] when it cannot be taken up here.
    pub async fn resume_run(&self, run: RunId) -> Result<Option<RunHandle>, ResumeError> {
        resume::resume(&self.core, run).await
    }

    /// The run of this id, if this engine drives it.
    #[must_use]
    pub fn run(&self, run: RunId) -> Option<RunHandle> {
        let bus = self.core.runs().get(&run).cloned()?;
        Some(RunHandle::new(Arc::clone(&self.core), bus))
    }

    /// The run of this id, as soon as this engine drives it: for whoever follows a run that waits in the queue. It waits for
    /// ever when another engine takes it.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is dropped.
    pub async fn taken_up(&self, run: RunId) -> RunHandle {
        let bus = self.core.driven(run).await;
        RunHandle::new(Arc::clone(&self.core), bus)
    }

    /// Asks a run to end in good order, whichever engine drives it. One that waits in the queue ends at once, and nobody
    /// takes it up for that. When this returns, that is durable: it is ended by whoever drives it or takes it up.
    ///
    /// Whether this person may is for the caller to know, as it is for [`answer`](Self::answer).
    ///
    /// # Errors
    ///
    /// [`AskError::Ended`] when it has ended; any other [`AskError`] when it could not be asked.
    ///
    /// # Cancel safety
    ///
    /// A dropped future may have asked. To ask again does no harm.
    pub async fn cancel(&self, run: RunId, reason: impl Into<String> + Send) -> Result<Asked, AskError> {
        ask::cancel(&self.core, run, reason.into()).await
    }

    /// Answers a stage that waits for a person, whichever engine drives the run. When this returns, the answer is
    /// durable; [`Asked`] says whether it was heeded yet.
    ///
    /// # Errors
    ///
    /// [`AskError::Refused`] when the stage waits for no answer, or for a better one; [`AskError::Answered`] when somebody
    /// else's came before.
    ///
    /// # Cancel safety
    ///
    /// A dropped future may have answered.
    pub async fn answer(&self, run: RunId, stage: &str, approval: Approval) -> Result<Asked, AskError> {
        ask::answer(&self.core, run, stage, approval).await
    }

    /// The name under which it holds its leases.
    #[must_use]
    pub fn worker(&self) -> &WorkerId {
        &self.core.worker
    }

    /// Where runs, events and logs are kept.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.core.store
    }

    /// Keeps a run and puts it into the store's queue, for any engine that [works](Self::work) on it.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the run is refused or cannot be kept. What is refused here would be refused by
    /// [`start`](Self::start).
    ///
    /// # Cancel safety
    ///
    /// A dropped future may have kept the run; one that is not in the queue yet is taken up by
    /// [`resume`](Self::resume).
    pub async fn enqueue(
        &self,
        pipeline: &dyn Pipeline,
        options: StartOptions,
        queue: QueueOptions,
    ) -> Result<RunRecord, StartError> {
        work::enqueue(&self.core, pipeline, options, queue).await
    }

    /// Takes runs off the store's queue and drives them, until [`shutdown`](Self::shutdown) and all that was taken is
    /// in other hands or at its end. Any number of engines may work on one queue: each run has one of them at a time,
    /// and when that one stops, dies or is cut off, another goes on where it was.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the runs that it has taken to their drivers; the queue learns of their ends when their
    /// leases are over.
    pub async fn work(&self, options: WorkOptions) {
        work::work(&self.core, options).await;
    }

    /// Lets go of all runs without touching their jobs, and waits until that is done: another engine can take them up
    /// at once. No new run is started.
    pub async fn shutdown(&self) {
        self.core.closing.store(true, Ordering::Release);
        self.core.stopping.notify_waiters();
        let runs: Vec<_> = self.core.runs().values().cloned().collect();
        for bus in &runs {
            bus.hand_over();
        }
        for bus in runs {
            let _ = bus.ended.subscribe().wait_for(Option::is_some).await;
        }
    }
}
