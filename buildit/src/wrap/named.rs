//! [`Named`]: an executor under another name.

use async_trait::async_trait;

use crate::executor::{Adoption, Executor, ExecutorError, JobContext, Unsupported};
use crate::id::{ExecutorName, JobId, RunId};
use crate::job::{JobOutcome, JobSpec};

/// An executor under another name, so that one engine can have two of a kind: `docker-arm`, `docker-amd`.
#[derive(Clone, Debug)]
pub struct Named<E> {
    inner: E,
    name: ExecutorName,
}

impl<E: Executor> Named<E> {
    /// The executor under this name.
    pub fn new(name: impl Into<ExecutorName>, inner: E) -> Self {
        Self { inner, name: name.into() }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: Executor> Executor for Named<E> {
    fn name(&self) -> &str {
        &self.name
    }

    fn supports(&self, job: &JobSpec) -> Result<(), Unsupported> {
        self.inner.supports(job)
    }

    async fn run(&self, job: &JobSpec, ctx: JobContext) -> Result<JobOutcome, ExecutorError> {
        self.inner.run(job, ctx).await
    }

    fn adoption(&self) -> Adoption {
        self.inner.adoption()
    }

    async fn release(&self, job: &JobId) -> Result<(), ExecutorError> {
        self.inner.release(job).await
    }

    async fn reap(&self, run: RunId) -> Result<(), ExecutorError> {
        self.inner.reap(run).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::CancelSignal;
    use crate::wrap::tests::{Probe, context, job};

    #[tokio::test(start_paused = true)]
    async fn only_the_name_differs() {
        let named = Named::new("other", Probe::taking(std::time::Duration::ZERO));
        assert_eq!(named.name(), "other");
        assert_eq!(named.adoption(), Adoption::ByJobId);
        assert_eq!(named.run(&job(1), context(CancelSignal::new())).await.unwrap(), JobOutcome::succeeded());
    }
}
