//! What a run is told.

use super::ApprovalError;
use crate::event::{Approval, Miss, TakenResult};
use crate::graph::StageIndex;
use crate::id::ExecutorName;
use crate::job::JobOutcome;

/// Something that happened, as the driver of a run tells it.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The run leaves its queue.
    Begin,
    /// An attempt of a [ready](super::Run::ready) stage is to start.
    Start {
        /// The stage.
        stage: StageIndex,
        /// The executor that the attempt goes to.
        executor: ExecutorName,
    },
    /// A stage that waits for nothing but its start takes an earlier result. It needs no room among the jobs.
    Take {
        /// The stage.
        stage: StageIndex,
        /// The result, whose log is stored.
        result: Box<TakenResult>,
    },
    /// There is no earlier result for a stage that waits for nothing but its start.
    Miss {
        /// The stage.
        stage: StageIndex,
        /// Why.
        miss: Box<Miss>,
    },
    /// An attempt ended. An outcome [`Cancelled`](crate::job::Status::Cancelled) means that the attempt was stopped;
    /// the run knows why it was asked to. Any other outcome is taken as it is, so a job that ended by itself just
    /// before it was stopped keeps its own.
    Finished {
        /// The stage.
        stage: StageIndex,
        /// The attempt.
        attempt: u32,
        /// How.
        outcome: JobOutcome,
    },
    /// A person answered.
    Approve {
        /// The stage.
        stage: StageIndex,
        /// The answer.
        approval: Approval,
    },
    /// The run is to end.
    Cancel {
        /// Who or what wants that, for people.
        reason: &'a str,
    },
    /// Time has passed.
    Tick,
}

/// An input makes no sense in the present state of the run. It changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The run has begun already, or has ended.
    #[error("the run cannot begin: it has begun or ended already")]
    NotQueued,
    /// The run has ended.
    #[error("the run has ended")]
    RunEnded,
    /// The stage may not start now.
    #[error("the stage is not ready")]
    NotReady(StageIndex),
    /// This attempt does not run: it is over, or never started.
    #[error("attempt {attempt} of the stage does not run")]
    NotRunning {
        /// The stage.
        stage: StageIndex,
        /// The attempt.
        attempt: u32,
    },
    /// The answer cannot be taken.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
}
