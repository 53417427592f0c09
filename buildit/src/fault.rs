//! Crash points: the places between two steps of I/O where an engine may die, named so that a test can make it die
//! at each of them (EXECUTORS: "starting exactly once").

use std::fmt::Debug;

use crate::id::JobId;

/// A place between two steps of the protocol by which a job starts and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CrashPoint {
    /// `AttemptStarted` is decided and not yet stored.
    BeforeStartAppended,
    /// `AttemptStarted` is durable; the job does not exist.
    StartAppended,
    /// What the job needs beside it (a network, services) is there and ready; the job itself is not. Only where a
    /// backend has such things.
    ServicesReady,
    /// The job was begun under a name that nobody takes for it; its files are not there.
    Drafted,
    /// The job is complete, and does not have its name yet.
    Filled,
    /// The job exists and is inert.
    Created,
    /// The lease was confirmed; the job is still inert.
    Confirmed,
    /// The job was released: its first instruction may have run.
    Released,
    /// Some of the job's log is stored.
    LogStored,
    /// The job ended and its exit is recorded at the backend; the engine has not read it.
    Exited,
    /// The outcome, with its products stored, is known and not yet appended.
    BeforeOutcomeAppended,
    /// The outcome is durable; the job's remains are still there.
    OutcomeAppended,
    /// The job's remains are removed.
    Removed,
    /// The run's last event is durable; `reap` has not run.
    RunFinished,
}

impl CrashPoint {
    /// All of them, in the order in which a job meets them.
    pub const ALL: [Self; 14] = [
        Self::BeforeStartAppended,
        Self::StartAppended,
        Self::ServicesReady,
        Self::Drafted,
        Self::Filled,
        Self::Created,
        Self::Confirmed,
        Self::Released,
        Self::LogStored,
        Self::Exited,
        Self::BeforeOutcomeAppended,
        Self::OutcomeAppended,
        Self::Removed,
        Self::RunFinished,
    ];
}

/// Told whenever the engine reaches a crash point. A test's plan kills the process there; a real engine has none.
pub trait FaultPlan: Debug + Send + Sync + 'static {
    /// The engine is at this point, with this job if one is meant.
    fn reach(&self, point: CrashPoint, job: Option<&JobId>);
}
