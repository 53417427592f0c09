//! Working on the store's queue: any number of engines take runs off it and drive them.
//!
//! ```text
//! claim ──► take up ──► drive ──► complete       it ended
//!                          ├────► hand over      this engine stops: the next one goes on at once
//!                          ├────► give back      it cannot be driven here, or not now: later, a little longer each time
//!                          └────► nothing        another engine has it
//! ```
//!
//! A run whose engine dies without a word is taken again when its lease ends.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::clock::later;
use super::core::Core;
use super::error::{ResumeError, RunError, StartError};
use super::options::{QueueOptions, StartOptions, WorkOptions};
use super::start::check;
use crate::backoff::Backoff;
use crate::id::{FencingToken, RunId};
use crate::pipeline::Pipeline;
use crate::store::{Claim, Enqueue, NewRun, QueuedJob, RunRecord, StoreError};

/// How long a run that could not be driven waits at least and at most before it is taken again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// Keeps a run and puts it into the queue, in one step.
pub(super) async fn enqueue(
    core: &Core,
    pipeline: &dyn Pipeline,
    options: StartOptions,
    queue: QueueOptions,
) -> Result<RunRecord, StartError> {
    put(core, check(core, pipeline, options).await?.new, queue).await
}

/// Keeps a run that may be started, in the queue.
pub(super) async fn put(core: &Core, new: NewRun, queue: QueueOptions) -> Result<RunRecord, StartError> {
    let QueueOptions { priority, scheduled_for, max_attempts } = queue;
    let scheduled_for = scheduled_for.unwrap_or_else(|| core.clock.now());
    let job = Enqueue { run: new.id, tenant: new.tenant, priority, scheduled_for, max_attempts };
    Ok(core.store.create_queued(new, job).await?)
}

/// Takes runs off the queue and drives them, until the engine shuts down and they are in other hands.
pub(super) async fn work(core: &Arc<Core>, options: WorkOptions) {
    let mut driven = JoinSet::new();
    let mut stopping = std::pin::pin!(core.stopping.notified());
    // From here on no shutdown is missed.
    stopping.as_mut().enable();
    while !core.is_closing() {
        while driven.try_join_next().is_some() {}
        let mut changed = core.store.queue_changed().fuse();
        // Listens before the look, so that nothing that comes after it is missed.
        let _ = futures_util::poll!(&mut changed);
        let limit = options.runs.saturating_sub(driven.len());
        if limit > 0 {
            let claim = Claim { worker: core.worker.clone(), limit, lease: core.lease };
            match core.store.claim(claim, core.clock.now()).await {
                Ok(taken) => {
                    for job in taken {
                        driven.spawn(drive(Arc::clone(core), job));
                    }
                }
                Err(error) => tracing::warn!(%error, "nothing can be taken off the queue"),
            }
        }
        let is_full = driven.len() >= options.runs;
        let next_look = core.clock.sleep_until(later(core.clock.now(), options.look));
        tokio::select! {
            () = &mut stopping => {}
            Some(_) = driven.join_next() => {}
            () = &mut changed, if !is_full => {}
            () = next_look => {}
        }
    }
    while driven.join_next().await.is_some() {}
}

/// Drives one run that was taken, and tells the queue what became of it.
async fn drive(core: Arc<Core>, job: QueuedJob) {
    let run = job.run;
    let (mut token, result) = match super::resume::resume(&core, run).await {
        Ok(Some(handle)) => {
            let ended = handle.wait().await.map(drop).map_err(Trouble::Run);
            (handle.token(), ended)
        }
        Ok(None) => (job.token, Ok(())),
        Err(error) => (job.token, Err(Trouble::Resume(error))),
    };
    token = token.max(job.token);
    let word = match result {
        Ok(()) => Word::Complete,
        Err(Trouble::Run(RunError::HandedOver) | Trouble::Resume(ResumeError::ShuttingDown)) => Word::HandOver,
        Err(Trouble::Run(RunError::LeaseLost) | Trouble::Resume(ResumeError::Elsewhere(_))) => return,
        Err(trouble) => {
            let pause = PAUSE.0.saturating_mul(1 << job.attempt.min(16)).min(PAUSE.1);
            tracing::warn!(%run, attempt = job.attempt, %trouble, "the run goes back into the queue");
            Word::GiveBack(later(core.clock.now(), pause))
        }
    };
    let told = tell(&core, run, token, &word).await;
    match told {
        // Who has taken it over tells the queue.
        Ok(()) | Err(StoreError::Fenced | StoreError::NoRun(_)) => {}
        Err(error) => tracing::warn!(%run, %error, "the queue could not be told; the lease will end by itself"),
    }
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Run(RunError),
    #[error("{0}")]
    Resume(ResumeError),
}

/// What the queue is told.
#[derive(Debug)]
enum Word {
    Complete,
    HandOver,
    GiveBack(Timestamp),
}

/// Tells the queue, again for a while when the store fails.
async fn tell(core: &Core, run: RunId, token: FencingToken, word: &Word) -> Result<(), StoreError> {
    let mut waits = Backoff::brief(&run);
    loop {
        let told = match *word {
            Word::Complete => core.store.complete(run, token).await,
            Word::HandOver => core.store.hand_over(run, token).await,
            Word::GiveBack(at) => core.store.give_back(run, token, at).await,
        };
        match told {
            Err(error @ StoreError::Backend { .. }) => match waits.next() {
                Some(wait) => core.clock.sleep_until(later(core.clock.now(), wait)).await,
                None => return Err(error),
            },
            told => return told,
        }
    }
}
