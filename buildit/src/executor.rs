//! The port [`Executor`]: what runs a job.
//!
//! A custom backend whose jobs end with the engine implements [`Executor`] directly, in about 30 lines. One whose jobs
//! outlive the engine implements [`Backend`](crate::backend::Backend) instead, and
//! [`Durable`](crate::durable::Durable) makes an executor of it.

mod context;

use std::fmt::{self, Debug};
use std::sync::Arc;

use async_trait::async_trait;
pub use context::{
    ArtifactInput, CacheInput, JobContext, JobContextBuilder, JobHost, JobInputs, JobSecrets, LeaseLost, LogCursor,
    LogError, LogWrite, Physical,
};

use crate::id::{JobId, RunId};
use crate::job::{JobOutcome, JobSpec};

/// Runs jobs.
#[async_trait]
pub trait Executor: Debug + Send + Sync + 'static {
    /// The name by which pipelines choose it: `local`, `docker`, ….
    fn name(&self) -> &str;

    /// Whether it can take this job. It is asked before a run starts, with references unresolved, and says all that
    /// is missing at once. It does no I/O, and gives the same answer for the same job each time: an engine keeps the
    /// answers for a pipeline that is started again.
    ///
    /// # Errors
    ///
    /// [`Unsupported`] with what is missing.
    fn supports(&self, job: &JobSpec) -> Result<(), Unsupported>;

    /// Runs the job to its end. Idempotent by [`JobSpec::id`] where [`adoption`](Self::adoption) says so: then it
    /// starts the job or takes over the one that is there.
    ///
    /// # Errors
    ///
    /// [`ExecutorError`] when the backend broke. A job that failed is an outcome.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops nothing: a job is stopped through the context's signal.
    async fn run(&self, job: &JobSpec, ctx: JobContext) -> Result<JobOutcome, ExecutorError>;

    /// Whether its jobs outlive the engine.
    fn adoption(&self) -> Adoption {
        Adoption::None
    }

    /// The outcome of this job is durable: remove what is left of it. Idempotent.
    ///
    /// # Errors
    ///
    /// [`ExecutorError`] when something could not be removed; [`reap`](Self::reap) tries again.
    async fn release(&self, _job: &JobId) -> Result<(), ExecutorError> {
        Ok(())
    }

    /// The run has ended: see to it that nothing of it is left. Idempotent.
    ///
    /// # Errors
    ///
    /// [`ExecutorError`] when something could not be removed.
    async fn reap(&self, _run: RunId) -> Result<(), ExecutorError> {
        Ok(())
    }
}

/// Whether the jobs of an executor outlive the engine that started them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// They end with their engine; a restarted engine calls the attempt lost.
    None,
    /// They go on; `run` with the same id takes them over.
    ByJobId,
}

/// What an executor lacks for a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Unsupported {
    /// What is missing, each with the part of the stage that asks for it (`image`, `resources`, …).
    pub missing: Vec<Missing>,
}

/// One thing that an executor lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The part of the stage that asks for it, as in [`Origins`](crate::pipeline::Origins).
    pub part: String,
    /// What is missing, for people: `the local executor runs no images`.
    pub reason: String,
}

impl Unsupported {
    /// One thing is missing.
    pub fn new(part: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { missing: vec![Missing { part: part.into(), reason: reason.into() }] }
    }

    /// `Ok` when nothing is missing.
    ///
    /// # Errors
    ///
    /// All that is missing.
    pub fn unless_empty(missing: Vec<Missing>) -> Result<(), Self> {
        if missing.is_empty() { Ok(()) } else { Err(Self { missing }) }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, missing) in self.missing.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            f.write_str(&missing.reason)?;
        }
        Ok(())
    }
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryClass {
    /// It provably started nothing, and may work the next time.
    Safe,
    /// It may have started something; the same call is to be made again, which adopts what is there.
    Adopt,
    /// It will fail again.
    Never,
}

/// The backend of an executor broke.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutorError {
    /// The backend failed.
    #[error("executor `{name}`: {message}")]
    Backend {
        /// The executor.
        name: String,
        /// What it was doing, for people, with no secret in it.
        message: String,
        /// Whether trying again can help.
        retry: RetryClass,
        /// What the backend said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// This engine no longer drives the run: it must start and write nothing more.
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    /// The job's log could not be stored.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl ExecutorError {
    /// The backend failed while it did this.
    pub fn backend(
        name: impl Into<String>,
        message: impl Into<String>,
        retry: RetryClass,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Backend { name: name.into(), message: message.into(), retry, source: Some(source.into()) }
    }

    /// Whether trying again can help.
    #[must_use]
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Backend { retry, .. } => *retry,
            Self::LeaseLost(_) => RetryClass::Never,
            Self::Log(_) => RetryClass::Adopt,
        }
    }
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Executor + ?Sized> Executor for $pointer<T> {
            fn name(&self) -> &str {
                (**self).name()
            }

            fn supports(&self, job: &JobSpec) -> Result<(), Unsupported> {
                (**self).supports(job)
            }

            async fn run(&self, job: &JobSpec, ctx: JobContext) -> Result<JobOutcome, ExecutorError> {
                (**self).run(job, ctx).await
            }

            fn adoption(&self) -> Adoption {
                (**self).adoption()
            }

            async fn release(&self, job: &JobId) -> Result<(), ExecutorError> {
                (**self).release(job).await
            }

            async fn reap(&self, run: RunId) -> Result<(), ExecutorError> {
                (**self).reap(run).await
            }
        }
    };
}
forward!(Arc);
forward!(Box);
