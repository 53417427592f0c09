//! A run as it is looked at: its record and its events as one value.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use buildit::event::{Approval, Event, EventBody, RunStatus, StageReason};
use buildit::id::{RunId, StageName};
use buildit::job::{Cause, JobProducts, Status};
use buildit::pipeline::{ApprovalField, PipelineSpec, RunContext};
use buildit::store::RunRecord;
use jiff::Timestamp;

/// A run with its stages.
#[derive(Clone, Debug)]
pub(crate) struct RunView {
    pub(crate) id: RunId,
    pub(crate) plan: Arc<PipelineSpec>,
    pub(crate) context: Arc<RunContext>,
    pub(crate) rerun_of: Option<RunId>,
    /// How it ended.
    ended: Option<RunStatus>,
    pub(crate) cancel_reason: Option<Box<str>>,
    pub(crate) created_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    /// The last event that is in it.
    pub(crate) seq: u64,
    /// As the pipeline has them.
    pub(crate) stages: Vec<StageView>,
    by_name: HashMap<StageName, usize>,
}

/// A stage of a run.
#[derive(Clone, Debug)]
pub(crate) struct StageView {
    pub(crate) name: StageName,
    pub(crate) needs: Vec<StageName>,
    pub(crate) state: StageState,
    pub(crate) allowed: bool,
    pub(crate) cached: bool,
    pub(crate) exit_code: Option<i32>,
    pub(crate) reason: Option<StageReason>,
    pub(crate) attempts: Vec<AttemptView>,
    /// When the next attempt is made.
    pub(crate) retry_at: Option<Timestamp>,
    /// Until when its environment has it wait.
    pub(crate) held_until: Option<Timestamp>,
    pub(crate) question: Option<Question>,
    pub(crate) answer: Option<Approval>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) products: Option<Box<JobProducts>>,
    /// Whose log and products an earlier result is.
    pub(crate) taken_from: Option<(RunId, StageName, u32)>,
}

/// An attempt of a stage.
#[derive(Clone, Debug)]
pub(crate) struct AttemptView {
    pub(crate) number: u32,
    pub(crate) executor: String,
    pub(crate) started_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) status: Option<Status>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) cause: Option<Cause>,
    pub(crate) message: Option<Box<str>>,
}

/// What a person is asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) message: Box<str>,
    pub(crate) fields: Vec<ApprovalField>,
    pub(crate) deadline: Option<Timestamp>,
    /// Who has said yes, where several must.
    pub(crate) given: Vec<String>,
    /// How many more must.
    pub(crate) missing: u32,
}

/// Where a stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StageState {
    Queued,
    Running,
    Waiting,
    Ended(Status),
}

impl StageState {
    /// The word as scripts read it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Ended(status) => status.as_str(),
        }
    }
}

impl RunView {
    /// The run before anything has happened.
    pub(crate) fn new(record: &RunRecord) -> Self {
        let run = &record.run;
        let mut stages: Vec<StageView> = run.plan.stages.iter().map(|stage| StageView::new(stage)).collect();
        let by_name: HashMap<StageName, usize> =
            stages.iter().enumerate().map(|(place, stage)| (stage.name.clone(), place)).collect();
        for carried in run.carried.iter() {
            if let Some(&place) = by_name.get(&carried.stage) {
                let (stage, taken) = (&mut stages[place], &carried.taken);
                stage.products.clone_from(&taken.products);
                stage.taken_from = Some((taken.run, taken.stage.clone(), taken.attempt));
            }
        }
        Self {
            id: run.id,
            plan: Arc::clone(&run.plan),
            context: Arc::clone(&run.context),
            rerun_of: run.rerun_of,
            ended: None,
            cancel_reason: None,
            created_at: run.created_at,
            started_at: None,
            finished_at: None,
            seq: 0,
            stages,
            by_name,
        }
    }

    pub(crate) fn stage(&self, name: &str) -> Option<&StageView> {
        self.by_name.get(name).map(|&place| &self.stages[place])
    }

    /// The same after one more event. The stage that it changed, if it changed one.
    pub(crate) fn apply(&mut self, event: Event) -> Option<&StageView> {
        let Event { seq, time, body } = event;
        self.seq = seq;
        match &body {
            EventBody::RunStarted => self.started_at = Some(time),
            EventBody::CancelRequested { reason } => self.cancel_reason = Some(reason.clone()),
            EventBody::RunFinished { status } => {
                self.ended = Some(*status);
                self.finished_at = Some(time);
            }
            _ => {}
        }
        let place = *self.by_name.get(body.stage()?)?;
        self.stages[place].apply(time, body);
        Some(&self.stages[place])
    }

    /// Where it is. One that can do nothing but wait for a person says so.
    pub(crate) fn status(&self) -> RunStatus {
        let is_any = |state| self.stages.iter().any(|stage| stage.state == state);
        match (self.ended, self.started_at) {
            (Some(ended), _) => ended,
            (None, None) => RunStatus::Queued,
            (None, Some(_)) if is_any(StageState::Waiting) && !is_any(StageState::Running) => RunStatus::Waiting,
            (None, Some(_)) => RunStatus::Running,
        }
    }

    /// From the start of its first attempt to the end of its last stage, when it has ended.
    pub(crate) fn duration(&self) -> Option<Duration> {
        let begun = self.stages.iter().filter_map(StageView::started_at).min()?;
        let ended = self.finished_at?;
        Duration::try_from(ended.duration_since(begun)).ok()
    }

    /// Whether anything failed that a rerun would run again.
    pub(crate) fn has_failed(&self) -> bool {
        self.ended.is_some() && self.stages.iter().any(|stage| stage.state.is_failure())
    }
}

impl StageState {
    pub(crate) fn is_failure(self) -> bool {
        matches!(self, Self::Ended(Status::Failed | Status::TimedOut | Status::Lost))
    }
}

impl StageView {
    fn new(stage: &buildit::pipeline::StageSpec) -> Self {
        Self {
            name: stage.name.clone(),
            needs: stage.needs.clone(),
            state: StageState::Queued,
            allowed: false,
            cached: false,
            exit_code: None,
            reason: None,
            attempts: Vec::new(),
            retry_at: None,
            held_until: None,
            question: None,
            answer: None,
            finished_at: None,
            products: None,
            taken_from: None,
        }
    }

    /// When its first attempt began.
    pub(crate) fn started_at(&self) -> Option<Timestamp> {
        self.attempts.first().map(|attempt| attempt.started_at)
    }

    fn apply(&mut self, time: Timestamp, body: EventBody) {
        match body {
            EventBody::ApprovalRequested { message, fields, deadline, needed, .. } => {
                self.state = StageState::Waiting;
                self.question = Some(Question { message, fields, deadline, given: Vec::new(), missing: needed });
            }
            EventBody::ApprovalGiven { approval, missing: 0, .. } => {
                self.state = StageState::Queued;
                self.question = None;
                self.answer = Some(*approval);
            }
            EventBody::ApprovalGiven { approval, missing, .. } => {
                if let Some(question) = &mut self.question {
                    question.given.push(approval.by.clone());
                    question.missing = missing;
                }
            }
            EventBody::StageHeld { until, .. } => self.held_until = Some(until),
            EventBody::HoldEnded { .. } => self.held_until = None,
            EventBody::ResultTaken { result, .. } => {
                self.products = result.products;
                self.taken_from = Some((result.run, result.stage, result.attempt));
            }
            EventBody::AttemptStarted { attempt, executor, .. } => {
                self.state = StageState::Running;
                self.retry_at = None;
                self.attempts.push(AttemptView {
                    number: attempt,
                    executor: executor.to_string(),
                    started_at: time,
                    finished_at: None,
                    status: None,
                    exit_code: None,
                    cause: None,
                    message: None,
                });
            }
            EventBody::AttemptFinished { attempt, outcome, .. } => {
                self.state = StageState::Queued;
                self.products = outcome.products;
                if let Some(of) = self.attempts.iter_mut().find(|of| of.number == attempt) {
                    of.finished_at = Some(time);
                    of.status = Some(outcome.status);
                    of.exit_code = outcome.exit_code;
                    of.cause = outcome.cause;
                    of.message = outcome.message;
                }
            }
            EventBody::RetryScheduled { at, .. } => self.retry_at = Some(at),
            EventBody::StageFinished { result, .. } => {
                self.state = StageState::Ended(result.status);
                self.question = None;
                self.held_until = None;
                self.allowed = result.allowed;
                self.cached = result.cached;
                self.exit_code = result.exit_code;
                self.reason = result.reason.map(|reason| *reason);
                self.finished_at = Some(time);
            }
            _ => {}
        }
    }
}
