//! [`Retry`]: what provably started nothing is tried again.

use std::time::Duration;

use async_trait::async_trait;

use crate::backoff::Backoff;
use crate::cancel::Stop;
use crate::executor::{Adoption, Executor, ExecutorError, JobContext, RetryClass, Unsupported};
use crate::id::{JobId, RunId};
use crate::job::{JobOutcome, JobSpec};

/// Calls an executor again after an error that provably started nothing ([`RetryClass::Safe`]), with growing waits.
///
/// It makes no attempt that the run's record does not show: to the record it is one attempt that took longer to
/// start. A job that failed is never tried again here.
#[derive(Clone, Debug)]
pub struct Retry<E> {
    inner: E,
    limit: u32,
    first_wait: Duration,
}

impl<E: Executor> Retry<E> {
    /// At most `limit` more calls; the first after about `first_wait`, each further one after twice as long.
    pub fn new(inner: E, limit: u32, first_wait: Duration) -> Self {
        Self { inner, limit, first_wait }
    }
}

/// No wait is longer: a backend that came back should not be left alone for hours.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: Executor> Executor for Retry<E> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn supports(&self, job: &JobSpec) -> Result<(), Unsupported> {
        self.inner.supports(job)
    }

    async fn run(&self, job: &JobSpec, ctx: JobContext) -> Result<JobOutcome, ExecutorError> {
        let mut waits = Backoff::new(self.limit, self.first_wait, LONGEST_WAIT, &job.id);
        loop {
            let error = match self.inner.run(job, ctx.clone()).await {
                Err(error) if error.retry_class() == RetryClass::Safe => error,
                ended => return ended,
            };
            let Some(wait) = waits.next() else { return Err(error) };
            tracing::debug!(%error, ?wait, job = %job.id, "nothing was started; trying again");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = ctx.cancel().raised(Stop::Gracefully) => return Ok(JobOutcome::cancelled()),
            }
        }
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
    async fn only_what_started_nothing_is_tried_again_and_not_for_ever() {
        let cases = [
            (RetryClass::Safe, 2, 3, true),
            (RetryClass::Safe, 9, 4, false),
            (RetryClass::Adopt, 1, 1, false),
            (RetryClass::Never, 1, 1, false),
        ];
        for (class, failures, calls, succeeds) in cases {
            let probe = std::sync::Arc::new(Probe::failing(failures, class));
            let retry = Retry::new(probe.clone(), 3, Duration::from_secs(1));
            let ended = retry.run(&job(1), context(CancelSignal::new())).await;
            assert_eq!((probe.calls(), ended.is_ok()), (calls, succeeds), "{class:?}");
        }
    }
}
