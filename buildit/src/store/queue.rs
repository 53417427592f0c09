//! The queue of runs that wait for an engine.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::id::{FencingToken, RunId, TenantId, WorkerId};

/// Holds runs until an engine takes them, with leases that end by themselves.
#[async_trait]
pub trait QueueStore: Debug + Send + Sync + 'static {
    /// Adds a run. One that is there already, waiting, taken or dead, stays as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoRun`] when the store has no such run; any other [`StoreError`] when it was not kept.
    async fn enqueue(&self, job: Enqueue) -> Result<(), StoreError>;

    /// Takes up to `claim.limit` runs that may be taken at `now`: due, and unleased or with an ended lease; those of
    /// higher priority first, and of one priority in the order in which they were added.
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
