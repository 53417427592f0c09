//! An executor that runs nothing.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::script::Script;
use crate::cancel::Stop;
use crate::executor::{Executor, ExecutorError, JobContext, Unsupported};
use crate::id::JobId;
use crate::job::{JobOutcome, JobSpec, Stream};

/// An executor that runs nothing and does what its [`Script`] says: it succeeds, fails, hangs until it is stopped,
/// loses its job, writes log lines and outputs. It counts what it was asked to run. Clones share their counts.
///
/// Jobs that take time wait on tokio's timers, so a test of days takes milliseconds when the runtime's time is paused
/// (see [`SimulatedClock`](super::SimulatedClock)).
///
/// ```
/// use buildit::testing::{Act, Script, ScriptedExecutor};
///
/// let executor = ScriptedExecutor::new("local", Script::new().stage("test", [Act::fail(1), Act::succeed()]));
/// // … hand a clone to an engine, run a pipeline, then:
/// assert_eq!(executor.attempts("test"), 0);
/// ```
#[derive(Clone, Debug)]
pub struct ScriptedExecutor {
    name: Arc<str>,
    script: Arc<Script>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    started: Vec<JobId>,
    running: usize,
    most_running: usize,
}

impl ScriptedExecutor {
    /// An executor of this name.
    pub fn new(name: impl Into<Arc<str>>, script: Script) -> Self {
        Self { name: name.into(), script: Arc::new(script), seen: Arc::default() }
    }

    /// How many attempts of this stage it was asked to run.
    #[must_use]
    pub fn attempts(&self, stage: &str) -> usize {
        self.with(|seen| seen.started.iter().filter(|job| job.stage == *stage).count())
    }

    /// The jobs that it was asked to run, in that order.
    #[must_use]
    pub fn started(&self) -> Vec<JobId> {
        self.with(|seen| seen.started.clone())
    }

    /// How many jobs ran at once at most.
    #[must_use]
    pub fn most_running(&self) -> usize {
        self.with(|seen| seen.most_running)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Counts a job out, also when its future is dropped.
struct Running<'a>(&'a ScriptedExecutor);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.with(|seen| seen.running -= 1);
    }
}

#[async_trait]
impl Executor for ScriptedExecutor {
    fn name(&self) -> &str {
        &self.name
    }

    fn supports(&self, _: &JobSpec) -> Result<(), Unsupported> {
        Ok(())
    }

    async fn run(&self, job: &JobSpec, ctx: JobContext) -> Result<JobOutcome, ExecutorError> {
        self.with(|seen| {
            seen.started.push(job.id.clone());
            seen.running += 1;
            seen.most_running = seen.most_running.max(seen.running);
        });
        let _running = Running(self);
        let act = self.script.act(&job.stage, job.id.attempt);
        for line in &act.log {
            ctx.log_line(&job.id, Stream::Stdout, line).await?;
        }
        let ends = async {
            if !act.after.is_zero() {
                tokio::time::sleep(act.after).await;
            }
            match act.outcome() {
                Some(outcome) => outcome,
                None => std::future::pending().await,
            }
        };
        let outcome = tokio::select! {
            biased;
            outcome = ends => outcome,
            () = ctx.cancel().raised(Stop::Gracefully) => JobOutcome::cancelled(),
        };
        ctx.flush(&job.id).await?;
        Ok(outcome)
    }
}
