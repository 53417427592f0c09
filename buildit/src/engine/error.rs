//! What can go wrong with a run, beside the run itself.

use std::sync::Arc;

use crate::artifact::BlobError;
use crate::diagnostic::Diagnostics;
use crate::environment::EnvironmentError;
use crate::executor::LogError;
use crate::id::{Digest, ExecutorName, RunId, StageName};
use crate::pipeline::PipelineError;
use crate::run::{InputError, ReplayError};
use crate::secret::SecretError;
use crate::store::StoreError;

/// An engine could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Two executors have the same name.
    #[error("two executors are named `{0}`")]
    DoubleExecutor(ExecutorName),
    /// A limit was set for an executor that is not there.
    #[error("there is no executor `{0}` to limit")]
    UnknownExecutor(ExecutorName),
    /// A lease must be longer than nothing and at most 60 s.
    #[error("a lease must be longer than 0 and at most 60 s")]
    BadLease,
}

/// A run could not be started. Nothing of it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The pipeline gave no spec.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The run is refused: all reasons, each with its place.
    #[error("the run is refused:\n{0}")]
    Diagnostics(#[from] Diagnostics),
    /// A secret cannot be had or used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// An environment cannot be read.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The run was not kept.
    #[error("the run cannot be kept")]
    Store(#[from] StoreError),
    /// Something that it goes on from, or its source, is not kept any more.
    #[error("the run needs blob {0}, which is not kept any more")]
    Gone(Digest),
    /// The blob store cannot tell.
    #[error("the blobs that the run needs cannot be looked at")]
    Blobs(#[source] BlobError),
    /// The engine shuts down.
    #[error("the engine is shutting down")]
    ShuttingDown,
}

/// A run could not be run again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RerunError {
    /// It has not ended.
    #[error("run {0} has not ended")]
    NotEnded(RunId),
    /// Nothing of it failed, so that there is nothing to go on with.
    #[error("nothing failed in run {0}")]
    NothingFailed(RunId),
    /// Its plan is none.
    #[error("the run cannot be run again here:\n{0}")]
    Diagnostics(#[from] Diagnostics),
    /// Its events are not those of its plan.
    #[error("the run's record is broken")]
    Replay(#[from] ReplayError),
    /// The run cannot be read.
    #[error("the run cannot be read")]
    Store(#[from] StoreError),
}

/// A run could not be taken up again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// Another engine drives it.
    #[error("another engine drives run {0}")]
    Elsewhere(RunId),
    /// The run has a job, or stages, for an executor that this engine does not have.
    #[error("the run needs the executor `{0}`, which this engine does not have")]
    NoExecutor(ExecutorName),
    /// Its plan is none, or its stages can go nowhere.
    #[error("the run cannot go on here:\n{0}")]
    Diagnostics(#[from] Diagnostics),
    /// Its events are not those of its plan.
    #[error("the run's record is broken")]
    Replay(#[from] ReplayError),
    /// A secret cannot be had or used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The store failed.
    #[error("the run cannot be read")]
    Store(#[from] StoreError),
    /// The engine shuts down.
    #[error("the engine is shutting down")]
    ShuttingDown,
}

/// An answer to an approval was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApproveError {
    /// There is no such stage.
    #[error("there is no stage `{0}`")]
    NoStage(String),
    /// It cannot be taken now, or not like this.
    #[error(transparent)]
    Refused(#[from] InputError),
    /// This engine does not drive the run any more.
    #[error("this engine does not drive the run any more")]
    NotDriven,
}

/// What was asked of a run is not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// It has ended.
    #[error("the run has ended")]
    Ended,
    /// The answer was not taken.
    #[error(transparent)]
    Refused(#[from] ApproveError),
    /// Somebody else has answered.
    #[error("somebody else has answered `{0}` already")]
    Answered(StageName),
    /// Its plan is none.
    #[error("the run cannot be read here:\n{0}")]
    Diagnostics(#[from] Diagnostics),
    /// Its events are not those of its plan.
    #[error("the run's record is broken")]
    Replay(#[from] ReplayError),
    /// The store failed.
    #[error("the run cannot be asked")]
    Store(#[from] StoreError),
}

/// A run went out of this engine's hands before it ended. It is open in the store, and can be taken up again.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The engine was shut down; jobs that outlive it go on.
    #[error("the engine was shut down before the run ended")]
    HandedOver,
    /// Another engine has taken it over.
    #[error("another engine has taken the run over")]
    LeaseLost,
    /// The store failed for so long that the lease ended; another engine may take the run over.
    #[error("the store failed for so long that this engine's lease on the run has ended")]
    LeaseEnded(#[source] Arc<StoreError>),
    /// The store failed, and went on failing.
    #[error("the run's events cannot be stored")]
    Store(#[source] Arc<StoreError>),
    /// The log of a job cannot be stored. Its end is not recorded: whoever takes the run up takes the job over, and
    /// stores what is missing of its log.
    #[error("the run breaks off at `{stage}`")]
    Log {
        /// The job's stage.
        stage: StageName,
        /// Why it cannot be stored.
        #[source]
        source: Arc<LogError>,
    },
    /// The driver of the run broke: a defect of the engine.
    #[error("the driver of the run broke")]
    Broken,
}
