//! What the driver of a run is told.

use tokio::sync::oneshot;

use super::error::{ApproveError, RunError};
use super::looks::Looked;
use super::slots::Slot;
use crate::event::Approval;
use crate::graph::StageIndex;
use crate::id::JobId;
use crate::job::JobOutcome;

/// An attempt that ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) stage: StageIndex,
    pub(super) job: JobId,
    /// No outcome when the run goes out of this engine's hands: nothing may be written about the attempt.
    pub(super) outcome: Result<JobOutcome, RunError>,
}

/// What the driver of a run is told.
#[derive(Debug)]
pub(super) enum Message {
    /// An attempt ended.
    Ended(Ended),
    /// Whether there are earlier results of these stages.
    Looked(Vec<(StageIndex, Looked)>),
    /// A slot that was asked for.
    Slot(Slot),
    /// A person answered.
    Approve { stage: StageIndex, approval: Approval, reply: oneshot::Sender<Result<(), ApproveError>> },
    /// The run is to end. Whoever asks may want to know when that is durable.
    Cancel { reason: String, reply: Option<oneshot::Sender<Result<(), ApproveError>>> },
    /// The run is to end at once.
    Kill { reason: String },
    /// It is the run's turn in its concurrency group.
    Turn,
    /// This engine's lease has ended: another engine has taken the run over, or the store failed for so long.
    LeaseLost(RunError),
    /// The engine shuts down and leaves jobs alone.
    HandOver,
}
