//! [`Limit`]: at most so many jobs at once.

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::cancel::Stop;
use crate::executor::{Adoption, Executor, ExecutorError, JobContext, Unsupported};
use crate::id::{JobId, RunId};
use crate::job::{JobOutcome, JobSpec};

/// Lets at most so many jobs into an executor at once; the others wait in the order in which they came.
///
/// It is for an executor that several engines of one process share. One engine alone does better with its own limit
/// for an executor, because a stage that waits there counts as waiting: here it counts as running, timeout included.
#[derive(Debug)]
pub struct Limit<E> {
    inner: E,
    slots: Semaphore,
}

impl<E: Executor> Limit<E> {
    /// At most `jobs` at once; 0 counts as 1.
    pub fn new(inner: E, jobs: usize) -> Self {
        Self { inner, slots: Semaphore::new(jobs.clamp(1, Semaphore::MAX_PERMITS)) }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: Executor> Executor for Limit<E> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn supports(&self, job: &JobSpec) -> Result<(), Unsupported> {
        self.inner.supports(job)
    }

    async fn run(&self, job: &JobSpec, ctx: JobContext) -> Result<JobOutcome, ExecutorError> {
        // What is to be stopped needs no slot: the executor only has to say how it ended.
        let _slot = tokio::select! {
            biased;
            slot = self.slots.acquire() => slot.ok(),
            () = ctx.cancel().raised(Stop::Gracefully) => None,
        };
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
    use std::sync::Arc;

    use super::*;
    use crate::cancel::CancelSignal;
    use crate::wrap::tests::{Probe, context, job};

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_limit_run_at_once_and_all_run() {
        let probe = Arc::new(Probe::taking(std::time::Duration::from_secs(1)));
        let limit = Arc::new(Limit::new(probe.clone(), 2));
        let jobs: Vec<_> = (1..=10)
            .map(|attempt| {
                let limit = limit.clone();
                tokio::spawn(async move { limit.run(&job(attempt), context(CancelSignal::new())).await })
            })
            .collect();
        for job in jobs {
            assert_eq!(job.await.unwrap().unwrap(), JobOutcome::succeeded());
        }
        assert_eq!((probe.most_at_once(), probe.calls()), (2, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_reaches_a_job_that_waits() {
        let probe = Arc::new(Probe::taking(std::time::Duration::from_secs(3600)));
        let limit = Arc::new(Limit::new(probe.clone(), 1));
        let first = tokio::spawn({
            let limit = limit.clone();
            async move { limit.run(&job(1), context(CancelSignal::new())).await }
        });
        tokio::task::yield_now().await;
        let cancel = CancelSignal::new();
        cancel.raise(Stop::Gracefully);
        assert_eq!(limit.run(&job(2), context(cancel)).await.unwrap(), JobOutcome::cancelled());
        first.abort();
    }
}
