//! What happened in a run: the record that everything else about the run follows from.

mod cached;

pub use cached::{Change, Difference, IngredientKind, Miss, TakenResult};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{ExecutorName, StageName};
use crate::job::{Cause, JobOutcome, Status};
use crate::pipeline::ApprovalField;

/// An event with its place in the run's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number within the run, from 1, without gaps.
    pub seq: u64,
    /// When it was decided.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

/// What happened. `S` is how a stage is named: by [`StageName`] in what is stored and published, by index within the
/// state machine (which is why a live run never looks a name up).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
#[non_exhaustive]
pub enum EventBody<S = StageName> {
    /// The run left its queue.
    RunStarted,
    /// Somebody or something wants the run to end.
    CancelRequested {
        /// Who or what, for people.
        reason: Box<str>,
    },
    /// A stage waits for a person.
    ApprovalRequested {
        /// The stage.
        stage: S,
        /// What is asked.
        message: Box<str>,
        /// What is to be filled in.
        fields: Vec<ApprovalField>,
        /// When the answer comes too late.
        deadline: Option<Timestamp>,
        /// How many people must agree.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        needed: u32,
    },
    /// A person answered.
    ApprovalGiven {
        /// The stage.
        stage: S,
        /// The answer.
        approval: Box<Approval>,
        /// How many more must agree: until then the stage goes on waiting.
        #[serde(default, skip_serializing_if = "is_nothing")]
        missing: u32,
    },
    /// A stage waits for a time to pass, because its environment wants it.
    StageHeld {
        /// The stage.
        stage: S,
        /// Until when.
        until: Timestamp,
    },
    /// The time has passed.
    HoldEnded {
        /// The stage.
        stage: S,
    },
    /// An earlier result is taken, and no attempt is made. The log of one with a key is stored by now, as that of
    /// attempt 0; that of another is only where it was.
    ResultTaken {
        /// The stage.
        stage: S,
        /// The result.
        result: Box<TakenResult>,
    },
    /// A stage that is `cacheable` has to run.
    ResultMissed {
        /// The stage.
        stage: S,
        /// Why.
        miss: Box<Miss>,
    },
    /// An attempt may start; nothing was started before this was durable.
    AttemptStarted {
        /// The stage.
        stage: S,
        /// The attempt, from 1.
        attempt: u32,
        /// The executor that it goes to.
        executor: ExecutorName,
    },
    /// A running attempt is to stop.
    StopRequested {
        /// The stage.
        stage: S,
        /// The attempt.
        attempt: u32,
        /// Why.
        reason: StopReason,
    },
    /// An attempt ended.
    AttemptFinished {
        /// The stage.
        stage: S,
        /// The attempt.
        attempt: u32,
        /// How.
        outcome: JobOutcome,
    },
    /// Another attempt will be made.
    RetryScheduled {
        /// The stage.
        stage: S,
        /// The attempt that will be made.
        attempt: u32,
        /// Not before this.
        at: Timestamp,
    },
    /// A stage ended, once for each stage.
    StageFinished {
        /// The stage.
        stage: S,
        /// How.
        result: StageResult,
    },
    /// The run ended: the last event.
    RunFinished {
        /// How.
        status: RunStatus,
    },
}

impl<S> EventBody<S> {
    /// The stage that it is about; `None` for what happens to the run as a whole.
    #[must_use]
    pub fn stage(&self) -> Option<&S> {
        match self {
            Self::RunStarted | Self::CancelRequested { .. } | Self::RunFinished { .. } => None,
            Self::ApprovalRequested { stage, .. }
            | Self::ApprovalGiven { stage, .. }
            | Self::StageHeld { stage, .. }
            | Self::HoldEnded { stage }
            | Self::ResultTaken { stage, .. }
            | Self::ResultMissed { stage, .. }
            | Self::AttemptStarted { stage, .. }
            | Self::StopRequested { stage, .. }
            | Self::AttemptFinished { stage, .. }
            | Self::RetryScheduled { stage, .. }
            | Self::StageFinished { stage, .. } => Some(stage),
        }
    }

    /// The same with each stage named in another way.
    ///
    /// # Errors
    ///
    /// What `name` gives for the stage of this event.
    pub fn try_map_stage<T, E>(self, name: impl FnOnce(S) -> Result<T, E>) -> Result<EventBody<T>, E> {
        Ok(match self {
            Self::RunStarted => EventBody::RunStarted,
            Self::CancelRequested { reason } => EventBody::CancelRequested { reason },
            Self::ApprovalRequested { stage, message, fields, deadline, needed } => {
                EventBody::ApprovalRequested { stage: name(stage)?, message, fields, deadline, needed }
            }
            Self::ApprovalGiven { stage, approval, missing } => {
                EventBody::ApprovalGiven { stage: name(stage)?, approval, missing }
            }
            Self::StageHeld { stage, until } => EventBody::StageHeld { stage: name(stage)?, until },
            Self::HoldEnded { stage } => EventBody::HoldEnded { stage: name(stage)? },
            Self::ResultTaken { stage, result } => EventBody::ResultTaken { stage: name(stage)?, result },
            Self::ResultMissed { stage, miss } => EventBody::ResultMissed { stage: name(stage)?, miss },
            Self::AttemptStarted { stage, attempt, executor } => {
                EventBody::AttemptStarted { stage: name(stage)?, attempt, executor }
            }
            Self::StopRequested { stage, attempt, reason } => {
                EventBody::StopRequested { stage: name(stage)?, attempt, reason }
            }
            Self::AttemptFinished { stage, attempt, outcome } => {
                EventBody::AttemptFinished { stage: name(stage)?, attempt, outcome }
            }
            Self::RetryScheduled { stage, attempt, at } => {
                EventBody::RetryScheduled { stage: name(stage)?, attempt, at }
            }
            Self::StageFinished { stage, result } => EventBody::StageFinished { stage: name(stage)?, result },
            Self::RunFinished { status } => EventBody::RunFinished { status },
        })
    }
}

fn one() -> u32 {
    1
}

fn is_one(number: &u32) -> bool {
    *number == 1
}

fn is_nothing(number: &u32) -> bool {
    *number == 0
}

/// A person's answer to a stage that waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who answered.
    pub by: String,
    /// Whether the stage may go on.
    pub approved: bool,
    /// What was filled in.
    #[serde(default)]
    pub fields: IndexMap<String, String>,
}

impl Approval {
    /// A yes of this person.
    pub fn yes(by: impl Into<String>) -> Self {
        Self { by: by.into(), approved: true, fields: IndexMap::new() }
    }

    /// A no of this person.
    pub fn no(by: impl Into<String>) -> Self {
        Self { by: by.into(), approved: false, fields: IndexMap::new() }
    }

    /// The same with a field filled in.
    #[must_use]
    pub fn with_field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }
}

/// Why a running attempt is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// It took longer than it may.
    Timeout,
    /// The run was cancelled.
    Cancel,
    /// Another stage failed, and the pipeline is to fail fast.
    FailFast,
}

/// How a stage ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageResult {
    /// The word for it.
    pub status: Status,
    /// The exit code of its last attempt, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Whether it failed and that does not count.
    #[serde(default)]
    pub allowed: bool,
    /// Whether an earlier result was taken and no attempt made.
    #[serde(default)]
    pub cached: bool,
    /// Why it ended like this, where the word alone does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<StageReason>>,
}

impl StageResult {
    /// It succeeded by its own attempt.
    #[must_use]
    pub fn succeeded() -> Self {
        Self { status: Status::Succeeded, exit_code: Some(0), allowed: false, cached: false, reason: None }
    }

    /// It succeeded in an earlier run, and that result was taken.
    #[must_use]
    pub fn taken() -> Self {
        Self { cached: true, ..Self::succeeded() }
    }

    /// It never started, for this reason.
    #[must_use]
    pub fn skipped(reason: StageReason) -> Self {
        Self { status: Status::Skipped, exit_code: None, allowed: false, cached: false, reason: Some(Box::new(reason)) }
    }
}

/// Why a stage ended as it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum StageReason {
    /// Its own `when` was false; the text says which clause.
    When {
        /// The clause.
        clause: String,
    },
    /// A stage that it needs failed, or was skipped because of a failure.
    NeedFailed {
        /// That stage.
        need: StageName,
    },
    /// It was not asked for (`--stage`).
    NotSelected,
    /// The run was cancelled before it started.
    Cancelled,
    /// Another stage failed, and the pipeline is to fail fast.
    FailFast {
        /// That stage.
        failed: StageName,
    },
    /// The approval was refused.
    Rejected {
        /// By whom.
        by: String,
    },
    /// Nobody answered in time.
    ApprovalTimedOut,
    /// Its environment is not for runs of this branch.
    BranchNotAllowed {
        /// The environment.
        environment: String,
        /// The run's branch; empty when it has none that counts.
        branch: String,
        /// Whose runs may work there.
        allowed: Vec<String>,
    },
    /// Its `when` could not be evaluated.
    WhenFailed {
        /// What went wrong.
        message: String,
    },
    /// Its last attempt failed for this cause.
    Attempt {
        /// The cause.
        cause: Cause,
        /// One line for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
}

impl std::fmt::Display for StageReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::When { clause } => write!(f, "its condition is false: {clause}"),
            Self::NeedFailed { need } => write!(f, "needs `{need}`, which did not succeed"),
            Self::NotSelected => f.write_str("not selected"),
            Self::Cancelled => f.write_str("the run was cancelled"),
            Self::FailFast { failed } => write!(f, "`{failed}` failed, and the pipeline fails fast"),
            Self::Rejected { by } => write!(f, "rejected by {by}"),
            Self::ApprovalTimedOut => f.write_str("nobody approved in time"),
            Self::BranchNotAllowed { environment, branch, allowed } => {
                let allowed = allowed.join(", ");
                match branch.as_str() {
                    "" => write!(f, "environment `{environment}` is only for the branches {allowed}"),
                    _ => write!(f, "environment `{environment}` is not for the branch `{branch}`, only for {allowed}"),
                }
            }
            Self::WhenFailed { message } => write!(f, "its condition cannot be evaluated: {message}"),
            Self::Attempt { cause, message: Some(message) } => write!(f, "{}: {message}", cause.as_str()),
            Self::Attempt { cause, message: None } => f.write_str(cause.as_str()),
        }
    }
}

/// The word for where a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It waits for its turn.
    #[default]
    Queued,
    /// It is under way.
    Running,
    /// All that it could do now waits for a person.
    Waiting,
    /// Every stage that counts succeeded or was skipped by its own condition.
    Succeeded,
    /// A failure that counts happened.
    Failed,
    /// It was cancelled.
    Cancelled,
}

impl RunStatus {
    /// The word as scripts read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more can happen.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}
