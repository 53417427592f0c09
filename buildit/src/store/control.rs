//! The queue as people see and steer it, and the workers that take from it.

use std::num::NonZeroU32;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{QueueStore, Share, StoreError};
use crate::id::{RunId, TenantId, WorkerId};

/// Shows and steers the queue. What it changes holds from the next [claim](QueueStore::claim) on.
#[async_trait]
pub trait QueueControl: QueueStore {
    /// Runs in the queue, by priority, the highest first, and then by age: those that wait in the order in which they
    /// are taken. At most `limit`, behind `after`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn queued(
        &self,
        filter: &QueueFilter,
        after: Option<QueuePlace>,
        limit: usize,
    ) -> Result<Vec<QueuedRun>, StoreError>;

    /// A run in the queue; none when it is not there.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn queued_run(&self, run: RunId) -> Result<Option<QueuedRun>, StoreError>;

    /// How many runs of all tenants are in the queue, for each way to stand there that some have.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn queue_depths(&self) -> Result<Vec<(QueueStatus, u64)>, StoreError>;

    /// What holds for all runs of a tenant.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn queue_line(&self, tenant: TenantId) -> Result<QueueLine, StoreError>;

    /// Whether new runs are taken of this tenant, or without one of any. What is under way goes on, and is taken over
    /// when its engine dies.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not kept.
    async fn set_intake(&self, tenant: Option<TenantId>, intake: Intake) -> Result<(), StoreError>;

    /// Gives a run in the queue another priority. Among those of that it keeps its age.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoRun`] when it is not there.
    async fn set_priority(&self, run: RunId, priority: i32) -> Result<(), StoreError>;

    /// Notes that a worker is there, as [`Worker`] says; one that is known keeps its intake. It says so again before
    /// that has expired.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not kept.
    async fn note_worker(&self, worker: Worker) -> Result<(), StoreError>;

    /// The workers that were noted, by their ids, at most `limit`, behind `after`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn workers(&self, after: Option<&WorkerId>, limit: usize) -> Result<Vec<Worker>, StoreError>;

    /// Whether a worker takes runs: one that does not finishes what it has, and is given nothing, not even what dead
    /// workers leave.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it is not known.
    async fn set_worker_intake(&self, worker: &WorkerId, intake: Intake) -> Result<(), StoreError>;

    /// Forgets a worker that is no more. Idempotent.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not forgotten.
    async fn forget_worker(&self, worker: &WorkerId) -> Result<(), StoreError>;

    /// Forgets the workers that were last seen before this; how many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they were not forgotten.
    async fn sweep_workers(&self, before: Timestamp) -> Result<u64, StoreError>;
}

/// Whether runs are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intake {
    /// They are.
    #[default]
    Open,
    /// No new ones are, for the moment.
    Paused,
}

impl Intake {
    /// Whether no new runs are taken.
    #[must_use]
    pub fn is_paused(self) -> bool {
        self == Self::Paused
    }

    /// Paused or open.
    #[must_use]
    pub fn paused(is_paused: bool) -> Self {
        if is_paused { Self::Paused } else { Self::Open }
    }
}

/// Which runs in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueFilter {
    /// How they stand.
    pub status: QueueStatus,
    /// Whose, or by whom taken.
    pub of: QueueOf,
}

/// Whose runs in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueOf {
    /// This tenant's.
    Tenant(TenantId),
    /// Those of any tenant that this worker has taken.
    Worker(WorkerId),
}

/// How a run stands in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueStatus {
    /// It may be taken when its turn comes.
    Waiting,
    /// It is not due, as far as it was looked at.
    Scheduled,
    /// It waits for an earlier run of its concurrency group.
    Behind,
    /// A worker has it.
    Taken,
    /// A dead letter: nobody takes it any more.
    Dead,
}

impl QueueStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Scheduled, Self::Behind, Self::Taken, Self::Dead];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Scheduled => "scheduled",
            Self::Behind => "behind",
            Self::Taken => "taken",
            Self::Dead => "dead",
        }
    }

    /// The one of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// A place in the order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePlace {
    /// The priority.
    pub priority: i32,
    /// The age: larger is younger.
    pub age: u64,
}

/// A run in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedRun {
    /// The run.
    pub run: RunId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its pipeline.
    pub pipeline: String,
    /// Its number there.
    pub number: u64,
    /// How it stands.
    pub status: QueueStatus,
    /// Where it is in the list.
    pub place: QueuePlace,
    /// Not before this.
    pub scheduled_for: Timestamp,
    /// How often it was taken.
    pub attempts: u32,
    /// How often it may be.
    pub max_attempts: u32,
    /// Who has it.
    pub worker: Option<WorkerId>,
    /// Until when, unless that is renewed.
    pub leased_until: Option<Timestamp>,
}

/// What holds for all runs of a tenant in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLine {
    /// What it may have of the workers.
    pub share: Share,
    /// How many of its runs are taken.
    pub running: u64,
    /// Whether its runs are taken.
    pub intake: Intake,
    /// Whether those of any tenant are.
    pub everywhere: Intake,
}

/// Who takes runs off the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Its id, under which it claims.
    pub id: WorkerId,
    /// What people call it: its host and address.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// Since when it is there.
    pub since: Timestamp,
    /// How many runs it drives at once at most; none when it only serves.
    pub runs: Option<NonZeroU32>,
    /// Until when it counts as there: one that has not been noted again by then is lost.
    pub seen_until: Timestamp,
    /// Whether it takes runs.
    pub intake: Intake,
}
