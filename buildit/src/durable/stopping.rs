//! Following a job while watching for the request to stop it.

use std::time::Duration;

use super::{Durable, wait_or};
use crate::backend::{Backend, Stopping};
use crate::backoff::Backoff;
use crate::cancel::Stop;
use crate::executor::{ExecutorError, JobContext, RetryClass};
use crate::id::JobId;
use crate::job::{Cause, JobOutcome, JobSpec, Status};

/// How long a killed job's end, with the rest of its log, is waited for before the backend counts as broken. Long,
/// because gigabytes of log may still be read; bounded, because a wedged backend must not hold its run for ever.
const KILL_WAIT: Duration = Duration::from_secs(300);

/// Waits until a stop was asked for and the grace period is over, or at once for [`Stop::Now`].
pub(super) async fn patience(ctx: &JobContext) {
    ctx.cancel().raised(Stop::Gracefully).await;
    tokio::select! {
        () = ctx.cancel().raised(Stop::Now) => {}
        () = tokio::time::sleep(ctx.grace()) => {}
    }
}

impl<B: Backend> Durable<B> {
    pub(super) async fn stop(&self, job: &JobId, how: Stop) -> Result<Stopping, ExecutorError> {
        let mut backoff = Backoff::brief(job);
        loop {
            match self.backend.stop(job, how).await {
                Ok(found) => return Ok(found),
                Err(error) => wait_or(error, &mut backoff).await?,
            }
        }
    }

    /// Follows the job to its end; what the request to stop it found, if there was one.
    pub(super) async fn follow(&self, job: &JobSpec, ctx: &JobContext) -> Result<Option<Stopping>, ExecutorError> {
        let follow = self.backend.follow(job, ctx);
        tokio::pin!(follow);
        tokio::select! {
            biased;
            // Asked first: a job that is adopted in order to be stopped must not end as if nobody had asked.
            () = ctx.cancel().raised(Stop::Gracefully) => {}
            followed = &mut follow => return followed.map(|()| None),
        }
        let how = ctx.cancel().level();
        let mut ended = None;
        let stop = self.stop(&job.id, how);
        let patience = patience(ctx);
        tokio::pin!(stop, patience);
        let mut is_patient = how < Stop::Now;
        // The answer is waited for even when the job ends meanwhile: it tells whether the request ended it. But it may be
        // the job that keeps it from coming, and for that the grace period is all there is.
        let found = loop {
            tokio::select! {
                biased;
                found = &mut stop => break found?,
                followed = &mut follow, if ended.is_none() => ended = Some(followed),
                () = &mut patience, if is_patient => {
                    is_patient = false;
                    break Stopping::Requested;
                }
            }
        };
        if let Some(followed) = ended {
            return followed.map(|()| Some(found));
        }
        if found == Stopping::AlreadyEnded {
            return follow.await.map(|()| Some(found));
        }
        if how < Stop::Now {
            if is_patient {
                tokio::select! {
                    biased;
                    followed = &mut follow => return followed.map(|()| Some(found)),
                    () = &mut patience => {}
                }
            }
            let kill = self.stop(&job.id, Stop::Now);
            tokio::pin!(kill);
            tokio::select! {
                killed = &mut kill => { killed?; }
                followed = &mut follow => return followed.map(|()| Some(found)),
            }
        }
        tokio::select! {
            followed = &mut follow => followed.map(|()| Some(found)),
            () = tokio::time::sleep(KILL_WAIT) => Err(ExecutorError::Backend {
                name: self.backend.name().to_owned(),
                message: format!("the job did not end within {} s of being killed", KILL_WAIT.as_secs()),
                retry: RetryClass::Adopt,
                source: None,
            }),
        }
    }
}

/// The outcome in the light of the request to stop: what the request ended is cancelled, and keeps its products.
///
/// A job that had ended by itself keeps its outcome, so that a timeout that passed while no engine was there does not
/// undo a success. One that a signal ended was most likely stopped by an earlier engine, at the same request.
pub(super) fn attribute(outcome: JobOutcome, request: Option<Stopping>) -> JobOutcome {
    let by_request = match request {
        None => false,
        Some(Stopping::Requested) => true,
        Some(Stopping::AlreadyEnded) => {
            outcome.cause == Some(Cause::Signal) || outcome.exit_code.is_some_and(|code| STOPPED.contains(&code))
        }
    };
    if !by_request {
        return outcome;
    }
    JobOutcome { status: Status::Cancelled, cause: None, message: None, ..outcome }
}

/// How a shell reports a child that SIGTERM or SIGKILL ended.
const STOPPED: [i32; 2] = [128 + 15, 128 + 9];
