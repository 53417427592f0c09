//! The queue of runs that wait for an engine.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{NewRun, RunRecord, RunStore, Share, StoreError};
use crate::id::{FencingToken, RunId, TenantId, WorkerId};

/// Holds runs until an engine takes them, with leases that end by themselves.
#[async_trait]
pub trait QueueStore: RunStore {
    /// Adds a run. One that is there already, waiting, taken or dead, stays as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoRun`] when the store has no such run; any other [`StoreError`] when it was not kept.
    async fn enqueue(&self, job: Enqueue) -> Result<(), StoreError>;

    /// Keeps a new run as [`create_run`](RunStore::create_run) does, and adds it as this job.
    ///
    /// A store that can does both or nothing: a run that is kept and not queued is driven by nobody, and holds its
    /// concurrency group. As it is here it does one after the other, which a crash may come between.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoRun`] when the job is of another run; otherwise as of both.
    async fn create_queued(&self, run: NewRun, job: Enqueue) -> Result<RunRecord, StoreError> {
        job.check(&run)?;
        let record = self.create_run(run).await?;
        self.enqueue(job).await?;
        Ok(record)
    }

    /// Adds many runs. A store may add them in one step, or one after another.
    ///
    /// # Errors
    ///
    /// As of [`enqueue`](Self::enqueue); then some may have been added, and it can be called again.
    async fn enqueue_all(&self, jobs: Vec<Enqueue>) -> Result<(), StoreError> {
        for job in jobs {
            self.enqueue(job).await?;
        }
        Ok(())
    }

    /// Takes up to `claim.limit` runs that may be taken at `now`. First come those that were taken before and whose
    /// lease has ended; then those that are due, unleased, within their tenant's limit and not behind another run of
    /// their concurrency group (or asked to end, so that they can). It takes fewer only when no more may be taken.
    ///
    /// [Turns](super::Turns) say how tenants share them by the weights of their [`Share`]s, and in which order they are
    /// given back. Of one tenant those of higher priority go first, and of one priority in the order in which they were
    /// added.
    ///
    /// A claim is the lease on the run itself: [`RunStore::append`](super::RunStore::append) takes its token, and
    /// whoever held the run before is fenced. A lease that ended by itself counts as given back, so a run that kills
    /// every engine that takes it becomes a dead letter too.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Vec<QueuedJob>, StoreError>;

    /// Extends a lease until `until`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fenced`] when another has taken the run since.
    async fn renew(&self, run: RunId, token: FencingToken, until: Timestamp) -> Result<(), StoreError>;

    /// Removes a run that has ended.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fenced`] when another has taken the run since.
    async fn complete(&self, run: RunId, token: FencingToken) -> Result<(), StoreError>;

    /// Removes many runs that have ended, and gives those that it did not remove because another has taken them since,
    /// or because they are there no more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails; then some may have been removed.
    async fn complete_all(&self, runs: &[(RunId, FencingToken)]) -> Result<Vec<RunId>, StoreError> {
        let mut refused = Vec::new();
        for (run, token) in runs {
            match self.complete(*run, *token).await {
                Err(StoreError::Fenced | StoreError::NoRun(_)) => refused.push(*run),
                completed => completed?,
            }
        }
        Ok(refused)
    }

    /// Ends the lease and gives the run back, to be taken from `at` on; one that was taken `max_attempts` times is a
    /// dead letter.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fenced`] when another has taken the run since.
    async fn give_back(&self, run: RunId, token: FencingToken, at: Timestamp) -> Result<(), StoreError>;

    /// Ends the lease and gives the run back, to be taken at once, as if it had not been taken: its engine stops, and
    /// the run is not to blame.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fenced`] when another has taken the run since.
    async fn hand_over(&self, run: RunId, token: FencingToken) -> Result<(), StoreError>;

    /// Waits until there may be something to take that was not there before. It is a hint, which may come for nothing
    /// or not at all: whoever waits also looks from time to time.
    async fn queue_changed(&self) {
        std::future::pending().await
    }

    /// The runs that nobody will take any more, in the order in which they died.
    ///
    /// They have not ended, so each holds its concurrency group until it is [queued again](Self::requeue). One that is
    /// asked to end by a later run of its group may be taken once more, to do that.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn dead_letters(&self) -> Result<Vec<RunId>, StoreError>;

    /// Makes a dead letter wait again, with no attempts counted.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoRun`] when it is none.
    async fn requeue(&self, run: RunId, at: Timestamp) -> Result<(), StoreError>;

    /// Sets what a tenant may have of the workers from the next claim on; [`Share::default`] is what one has of which
    /// nothing was said. What is under way beyond a limit goes on.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not kept.
    async fn set_share(&self, tenant: TenantId, share: Share) -> Result<(), StoreError>;
}

/// A run that is to wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enqueue {
    /// The run.
    pub run: RunId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Higher goes first; 0 is usual.
    pub priority: i32,
    /// Not before this.
    pub scheduled_for: Timestamp,
    /// How often it may be taken before it is a dead letter; at least once.
    pub max_attempts: u32,
}

impl Enqueue {
    /// Refuses a job that is not of this run.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoRun`] then.
    pub fn check(&self, run: &NewRun) -> Result<(), StoreError> {
        if self.run == run.id { Ok(()) } else { Err(StoreError::NoRun(self.run)) }
    }
}

/// Who takes how much for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who takes.
    pub worker: WorkerId,
    /// At most this many.
    pub limit: usize,
    /// How long the leases hold; at most 60 s.
    pub lease: Duration,
}

/// A run that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedJob {
    /// The run.
    pub run: RunId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Proof of the lease.
    pub token: FencingToken,
    /// How often it has been taken, this time included.
    pub attempt: u32,
}

/// A lease that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who wants to drive the run.
    pub worker: WorkerId,
    /// Until when.
    pub until: Timestamp,
}
