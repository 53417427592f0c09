//! What is left of jobs and runs at their executors is removed, once their ends are durable.

use std::fmt::Debug;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::ReusableBoxFuture;

use super::boxed::reuse;
use super::bus::RunBus;
use super::clock::later;
use super::core::Core;
use crate::backoff::Backoff;
use crate::executor::Adoption;
use crate::fault::CrashPoint;
use crate::id::{JobId, RunId};

/// How long a step of an executor may go on after its job was broken off: a request that is with a container engine.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// The removals that are under way.
#[derive(Debug, Default)]
pub(super) struct Releases {
    tasks: JoinSet<()>,
    /// The memory of the last removal that was done at once, for the next one.
    spare: Option<ReusableBoxFuture<'static, ()>>,
}

impl Releases {
    /// Removes what is left of a job, in the background unless it is nothing.
    pub(super) fn release(&mut self, core: &Arc<Core>, executor: usize, job: JobId) {
        if !self.tasks.is_empty() {
            while self.tasks.try_join_next().is_some() {}
        }
        let core = Arc::clone(core);
        let removal = async move {
            if let Err(error) = core.executors[executor].executor.release(&job).await {
                tracing::warn!(%job, %error, "what is left of a job goes with its run");
            }
            core.reach(CrashPoint::Removed, Some(&job));
        };
        let mut removal = reuse(&mut self.spare, removal);
        match removal.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(()) => self.spare = Some(removal),
            Poll::Pending => drop(self.tasks.spawn(removal)),
        }
    }

    /// Waits for all of them.
    pub(super) async fn all(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Removes what this engine may have made of a run after another one has taken it over, ended it and cleared away: made
/// inert, it can never be started, and nobody else will look for it. Of a run that goes on, whoever ends it does.
pub(super) async fn clear_up(core: &Core, run: RunId) {
    if !core.store.run(run).await.is_ok_and(|record| record.status.is_final()) {
        return;
    }
    // Twice: a step that was under way when its job was broken off may end after the first time.
    for wait in [UNDER_WAY, Duration::ZERO] {
        for registered in core.executors.iter().filter(|executor| executor.adoption == Adoption::ByJobId) {
            if let Err(error) = registered.executor.reap(run).await {
                tracing::warn!(%run, executor = %registered.name, %error, "something of a run that was taken over is left");
            }
        }
        core.clock.sleep_until(later(core.clock.now(), wait)).await;
    }
}

/// Removes what is left of a run that has ended, and notes that nothing is. Where that fails the run stays open, and
/// the next engine that resumes tries again.
pub(super) async fn close(core: &Core, bus: &RunBus, used: &[bool]) {
    let run = bus.info.id;
    let mut is_clean = true;
    for (registered, _) in core.executors.iter().zip(used).filter(|(_, used)| **used) {
        let mut waits = Backoff::brief(&run);
        while let Err(error) = registered.executor.reap(run).await {
            let Some(wait) = waits.next() else {
                tracing::error!(%run, executor = %registered.name, %error, "something of the run is left");
                is_clean = false;
                break;
            };
            core.clock.sleep_until(later(core.clock.now(), wait)).await;
        }
    }
    if !is_clean {
        return;
    }
    let mut waits = Backoff::new(3, Duration::from_millis(100), Duration::from_secs(1), &run);
    while let Err(error) = core.store.close_run(run, bus.token()).await {
        let Some(wait) = waits.next() else {
            tracing::warn!(%run, %error, "the run is clean, which could not be noted");
            return;
        };
        core.clock.sleep_until(later(core.clock.now(), wait)).await;
    }
}
