//! The port [`Backend`]: what holds jobs that outlive the engine.
//!
//! The protocol that makes a start happen at most once is written once, in [`Durable`](crate::durable::Durable);
//! a backend only does its steps, each idempotent by the job's id.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::cancel::Stop;
use crate::executor::{ExecutorError, JobContext, Unsupported};
use crate::id::{JobId, RunId};
use crate::job::{JobOutcome, JobSpec};

/// Holds jobs that outlive the engine. Every method is idempotent by the job's id.
#[async_trait]
pub trait Backend: Debug + Send + Sync + 'static {
    /// The name of the executor that it makes.
    fn name(&self) -> &str;

    /// See [`Executor::supports`](crate::executor::Executor::supports).
    ///
    /// # Errors
    ///
    /// [`Unsupported`] with what is missing.
    fn supports(&self, job: &JobSpec) -> Result<(), Unsupported>;

    /// Makes the job, inert, under its [backend name](JobId::backend_name), with its inputs laid out and its
    /// services started. One that exists already is left as it is, whatever state it is in.
    ///
    /// What takes long here (the pull of an image) watches [`JobContext::cancel`] and gives up with the outcome
    /// [`JobOutcome::cancelled`]; after the grace period the future is dropped.
    ///
    /// # Errors
    ///
    /// [`CreateError::Job`] ends the attempt with that outcome (a missing image, a bad input);
    /// [`CreateError::Backend`] when the backend broke.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a part of the job, which [`remove`](Self::remove) removes.
    async fn create(&self, job: &JobSpec, ctx: &JobContext) -> Result<Created, CreateError>;

    /// Opens the gate of a job that was created. The job's own first instruction makes a claim that can be made only
    /// once, so a second start, by whomever, runs nothing.
    ///
    /// # Errors
    ///
    /// [`ExecutorError`] when the backend broke.
    async fn start(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError>;

    /// Passes the job's output on from the context's cursor until the job has ended and all of it is passed on.
    ///
    /// # Errors
    ///
    /// [`ExecutorError`] when the backend broke or the log cannot be stored.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future and calling again with the stored cursor loses and doubles nothing.
    async fn follow(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError>;

    /// Asks the whole tree of the job to end, or kills it. A job that has ended is fine, and so is one that was
    /// never started: it never will be, and counts as [`Stopping::Requested`].
    ///
    /// # Errors
    ///
    /// [`ExecutorError`] when the backend broke.
    async fn stop(&self, job: &JobId, how: Stop) -> Result<Stopping, ExecutorError>;

    /// How the job ended, with its outputs collected and stored; [`JobOutcome::lost`] when nothing can tell.
    /// Called after [`follow`](Self::follow) has returned. What was stopped on request is told as the backend sees
    /// it, by a signal or an exit code: [`Durable`](crate::durable::Durable) knows of the request.
    ///
    /// # Errors
    ///
    /// [`ExecutorError`] when the backend broke.
    async fn outcome(&self, job: &JobSpec, ctx: &JobContext) -> Result<JobOutcome, ExecutorError>;

    /// Removes all that is left of the job.
    ///
    /// # Errors
    ///
    /// [`ExecutorError`] when something could not be removed.
    async fn remove(&self, job: &JobId) -> Result<(), ExecutorError>;

    /// Removes all that is left of a run.
    ///
    /// # Errors
    ///
    /// [`ExecutorError`] when something could not be removed.
    async fn reap(&self, run: RunId) -> Result<(), ExecutorError>;
}

/// Whether a job was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is new.
    New,
    /// An earlier engine made it; it may have been started, and may have ended.
    Existing,
}

/// What a request to stop found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopping {
    /// The job had ended before, so its outcome owes nothing to this request.
    AlreadyEnded,
    /// The job was told to end, or will never start.
    Requested,
}

/// Why a job could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The job itself is to blame: this is its outcome.
    #[error("the job cannot be started: {}", .0.message.as_deref().unwrap_or("no reason given"))]
    Job(Box<JobOutcome>),
    /// The backend broke.
    #[error(transparent)]
    Backend(#[from] ExecutorError),
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Backend + ?Sized> Backend for $pointer<T> {
            fn name(&self) -> &str {
                (**self).name()
            }

            fn supports(&self, job: &JobSpec) -> Result<(), Unsupported> {
                (**self).supports(job)
            }

            async fn create(&self, job: &JobSpec, ctx: &JobContext) -> Result<Created, CreateError> {
                (**self).create(job, ctx).await
            }

            async fn start(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError> {
                (**self).start(job, ctx).await
            }

            async fn follow(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError> {
                (**self).follow(job, ctx).await
            }

            async fn stop(&self, job: &JobId, how: Stop) -> Result<Stopping, ExecutorError> {
                (**self).stop(job, how).await
            }

            async fn outcome(&self, job: &JobSpec, ctx: &JobContext) -> Result<JobOutcome, ExecutorError> {
                (**self).outcome(job, ctx).await
            }

            async fn remove(&self, job: &JobId) -> Result<(), ExecutorError> {
                (**self).remove(job).await
            }

            async fn reap(&self, run: RunId) -> Result<(), ExecutorError> {
                (**self).reap(run).await
            }
        }
    };
}
forward!(Arc);
forward!(Box);
