//! [`Durable`]: an executor made of a [`Backend`].
//!
//! The protocol by which a job starts at most once, whatever crashes (guarantee G1), is here and nowhere else:
//!
//! 1. **create** the job, inert, under a name that follows from its id; one that exists is taken over;
//! 2. **confirm** the lease: an engine that was only paused stops here;
//! 3. **start** it: the job's own first instruction makes a claim that can be made once;
//! 4. **follow** its output to the end, and stop it when that is asked for;
//! 5. read its **outcome**; its remains go with [`Executor::release`], once the outcome is durable.

mod stopping;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

use crate::backend::{Backend, CreateError, Created};
use crate::backoff::Backoff;
use crate::cancel::Stop;
use crate::executor::{Adoption, Executor, ExecutorError, JobContext, RetryClass, Unsupported};
use crate::fault::CrashPoint;
use crate::id::{JobId, RunId};
use crate::job::{JobOutcome, JobSpec};

/// Makes an executor of a backend whose jobs outlive the engine: see the [module](self).
///
/// A call of the backend that failed in a way that adopts ([`RetryClass::Adopt`]) is made again a few times, with
/// growing waits. Following the log is not: that goes on from a fresh cursor, so the caller runs the job again, which
/// takes it over.
#[derive(Clone, Debug)]
pub struct Durable<B: Backend> {
    backend: B,
}

impl<B: Backend> Durable<B> {
    /// An executor whose jobs this backend holds.
    pub fn new(backend: B) -> Self {
        Self { backend }
    }

    /// The backend.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    async fn create(&self, job: &JobSpec, ctx: &JobContext) -> Result<Made, ExecutorError> {
        let mut backoff = Backoff::brief(&job.id);
        let create = async {
            loop {
                let error = match self.backend.create(job, ctx).await {
                    Ok(created) => return Ok(Made::There(created)),
                    Err(CreateError::Job(outcome)) => return Ok(Made::Never(*outcome)),
                    Err(CreateError::Backend(error)) => error,
                };
                wait_or(error, &mut backoff).await?;
            }
        };
        tokio::select! {
            biased;
            made = create => made,
            () = stopping::patience(ctx) => {
                // What was begun will never start, whoever finds it.
                self.stop(&job.id, Stop::Now).await?;
                Ok(Made::Never(JobOutcome::cancelled()))
            }
        }
    }

    async fn start(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError> {
        let mut backoff = Backoff::brief(&job.id);
        loop {
            match self.backend.start(job, ctx).await {
                Ok(()) => return Ok(()),
                Err(error) => wait_or(error, &mut backoff).await?,
            }
        }
    }

    async fn outcome(&self, job: &JobSpec, ctx: &JobContext) -> Result<JobOutcome, ExecutorError> {
        let mut backoff = Backoff::brief(&job.id);
        loop {
            match self.backend.outcome(job, ctx).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => wait_or(error, &mut backoff).await?,
            }
        }
    }
}

/// What came of the creation of a job.
enum Made {
    There(Created),
    Never(JobOutcome),
}

/// Waits before the same call, or gives the error back when that is hopeless.
async fn wait_or(error: ExecutorError, backoff: &mut Backoff) -> Result<(), ExecutorError> {
    if error.retry_class() != RetryClass::Adopt {
        return Err(error);
    }
    let Some(wait) = backoff.next() else { return Err(error) };
    tracing::debug!(%error, ?wait, "the backend stumbled");
    tokio::time::sleep(wait).await;
    Ok(())
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Backend> Executor for Durable<B> {
    fn name(&self) -> &str {
        self.backend.name()
    }

    fn supports(&self, job: &JobSpec) -> Result<(), Unsupported> {
        self.backend.supports(job)
    }

    async fn run(&self, job: &JobSpec, ctx: JobContext) -> Result<JobOutcome, ExecutorError> {
        let created = match self.create(job, &ctx).await? {
            Made::There(created) => created,
            Made::Never(outcome) => return Ok(outcome),
        };
        ctx.reach(CrashPoint::Created, &job.id);
        if ctx.cancel().is_raised() {
            if created == Created::New {
                self.stop(&job.id, Stop::Now).await?;
                return Ok(JobOutcome::cancelled());
            }
            // One that exists may have run, and even ended by itself: it is stopped and looked at below.
        } else {
            ctx.confirm_lease(&job.id).await?;
            ctx.reach(CrashPoint::Confirmed, &job.id);
            self.start(job, &ctx).await?;
            ctx.reach(CrashPoint::Released, &job.id);
        }
        let request = self.follow(job, &ctx).await?;
        ctx.flush(&job.id).await?;
        ctx.reach(CrashPoint::Exited, &job.id);
        Ok(stopping::attribute(self.outcome(job, &ctx).await?, request))
    }

    fn adoption(&self) -> Adoption {
        Adoption::ByJobId
    }

    async fn release(&self, job: &JobId) -> Result<(), ExecutorError> {
        let mut backoff = Backoff::brief(job);
        loop {
            match self.backend.remove(job).await {
                Ok(()) => return Ok(()),
                Err(error) => wait_or(error, &mut backoff).await?,
            }
        }
    }

    async fn reap(&self, run: RunId) -> Result<(), ExecutorError> {
        let mut backoff = Backoff::brief(&run);
        loop {
            match self.backend.reap(run).await {
                Ok(()) => return Ok(()),
                Err(error) => wait_or(error, &mut backoff).await?,
            }
        }
    }
}
