//! Jobs whose remains are kept back, for a person to look at.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use buildit::backend::{Backend, CreateError, Created, Stopping};
use buildit::cancel::Stop;
use buildit::executor::{ExecutorError, JobContext, Unsupported};
use buildit::id::{JobId, RunId};
use buildit::job::{JobOutcome, JobSpec, Status};

/// What is kept back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Nothing.
    Nothing,
    /// Jobs that failed.
    Failed,
    /// All jobs.
    All,
}

/// A backend whose jobs stay until [`let_go`](Self::let_go).
#[derive(Debug)]
pub(crate) struct Held<B> {
    inner: B,
    hold: Hold,
    jobs: Mutex<HashSet<JobId>>,
}

impl<B: Backend> Held<B> {
    /// The backend, of whose jobs these are kept back.
    pub(crate) fn new(inner: B, hold: Hold) -> Self {
        Self { inner, hold, jobs: Mutex::default() }
    }

    /// The backend itself.
    pub(crate) fn inner(&self) -> &B {
        &self.inner
    }

    /// Whether something of this job is kept back.
    pub(crate) fn holds(&self, job: &JobId) -> bool {
        self.jobs().contains(job)
    }

    /// Removes what was kept back of a run.
    pub(crate) async fn let_go(&self, run: RunId) -> Result<(), ExecutorError> {
        self.jobs().retain(|job| job.run != run);
        self.inner.reap(run).await
    }

    fn jobs(&self) -> std::sync::MutexGuard<'_, HashSet<JobId>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Backend> Backend for Held<B> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn supports(&self, job: &JobSpec) -> Result<(), Unsupported> {
        self.inner.supports(job)
    }

    async fn create(&self, job: &JobSpec, ctx: &JobContext) -> Result<Created, CreateError> {
        self.inner.create(job, ctx).await
    }

    async fn start(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError> {
        self.inner.start(job, ctx).await
    }

    async fn follow(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError> {
        self.inner.follow(job, ctx).await
    }

    async fn stop(&self, job: &JobId, how: Stop) -> Result<Stopping, ExecutorError> {
        self.inner.stop(job, how).await
    }

    async fn outcome(&self, job: &JobSpec, ctx: &JobContext) -> Result<JobOutcome, ExecutorError> {
        let outcome = self.inner.outcome(job, ctx).await?;
        let held = match self.hold {
            Hold::Nothing => false,
            Hold::Failed => !matches!(outcome.status, Status::Succeeded | Status::Cancelled),
            Hold::All => true,
        };
        if held {
            self.jobs().insert(job.id.clone());
        }
        Ok(outcome)
    }

    async fn remove(&self, job: &JobId) -> Result<(), ExecutorError> {
        if self.holds(job) { Ok(()) } else { self.inner.remove(job).await }
    }

    async fn reap(&self, run: RunId) -> Result<(), ExecutorError> {
        let held = self.jobs().iter().any(|job| job.run == run);
        if held { Ok(()) } else { self.inner.reap(run).await }
    }
}
