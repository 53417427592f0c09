//! A judge that knows the rules and nothing of the state machine: it looks at the history of a run, one event after
//! the other, and says what may happen and where each stage must be. It is slow and simple on purpose: everything is
//! looked up anew each time.

use jiff::{SignedDuration, Timestamp};

use crate::event::{Event, EventBody, RunStatus, StageReason, StageResult, StopReason};
use crate::job::{JobOutcome, Status};
use crate::pipeline::{PipelineSpec, StageSpec, When};
use crate::run::StagePhase;

#[derive(Default)]
struct Past {
    started: Vec<Timestamp>,
    ended: Vec<(Timestamp, JobOutcome)>,
    stop: Option<StopReason>,
    retry_at: Option<Timestamp>,
    asked: Option<Option<Timestamp>>,
    answer: Option<bool>,
    taken: bool,
    result: Option<StageResult>,
}

impl Past {
    fn runs(&self) -> bool {
        self.started.len() > self.ended.len()
    }
}

pub(super) struct Judge<'a> {
    spec: &'a PipelineSpec,
    pasts: Vec<Past>,
    begun: bool,
    cancelled: bool,
    failed_fast: bool,
    finished: Option<RunStatus>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(spec: &'a PipelineSpec) -> Self {
        let pasts = spec.stages.iter().map(|_| Past::default()).collect();
        Self { spec, pasts, begun: false, cancelled: false, failed_fast: false, finished: None }
    }

    fn at(&self, name: &str) -> usize {
        self.spec.stages.iter().position(|stage| stage.name == *name).expect("a known stage")
    }

    fn needs(&self, at: usize) -> Vec<usize> {
        self.spec.stages[at].needs.iter().map(|need| self.at(need)).collect()
    }

    fn asks(stage: &StageSpec) -> bool {
        matches!(stage.when.as_deref(), Some(When::Expression(text)) if text != "false")
    }

    /// A failure that counts.
    fn failed(result: &StageResult) -> bool {
        !matches!(result.status, Status::Succeeded | Status::Skipped) && !result.allowed
    }

    fn blocks(result: &StageResult) -> bool {
        Self::failed(result) || matches!(result.reason.as_deref(), Some(StageReason::NeedFailed { .. }))
    }

    fn all_needs_ended(&self, at: usize) -> bool {
        self.needs(at).into_iter().all(|need| self.pasts[need].result.is_some())
    }

    fn need_blocks(&self, at: usize) -> bool {
        self.needs(at).into_iter().any(|need| self.pasts[need].result.as_ref().is_some_and(Self::blocks))
    }

    fn failed_before(&self, at: usize) -> bool {
        let failed = |need: usize| self.pasts[need].result.as_ref().is_some_and(Self::failed);
        self.needs(at).into_iter().any(|need| failed(need) || self.failed_before(need))
    }

    fn condition_holds(&self, at: usize) -> bool {
        match self.spec.stages[at].when.as_deref() {
            Some(When::Expression(text)) if text == "false" => false,
            Some(When::Expression(text)) if text == "failure()" => self.failed_before(at),
            _ => true,
        }
    }

    /// Whether the run is ending for this stage.
    fn is_ending(&self, at: usize) -> bool {
        self.cancelled || self.failed_fast && !Self::asks(&self.spec.stages[at])
    }

    /// Whether a stage that was never started may go on to its approval and its first attempt.
    fn may_go(&self, at: usize) -> bool {
        self.begun
            && self.all_needs_ended(at)
            && (!self.need_blocks(at) || Self::asks(&self.spec.stages[at]))
            && self.condition_holds(at)
    }

    /// Takes the next event, which must be right.
    pub(super) fn see(&mut self, event: &Event) {
        assert!(self.finished.is_none(), "an event after the last one: {event:?}");
        let time = event.time;
        match &event.body {
            EventBody::RunStarted => {
                assert!(!self.begun);
                self.begun = true;
            }
            EventBody::CancelRequested { .. } => self.cancelled = true,
            EventBody::ApprovalRequested { stage, deadline, .. } => {
                let at = self.at(stage);
                assert!(self.may_go(at) && !self.is_ending(at));
                assert!(self.pasts[at].asked.is_none() && self.pasts[at].started.is_empty());
                let timeout = self.spec.stages[at].approval.as_ref().expect("it asks for approval").timeout;
                assert_eq!(*deadline, timeout.map(|timeout| time + timeout));
                self.pasts[at].asked = Some(*deadline);
            }
            EventBody::ApprovalGiven { stage, approval, .. } => {
                let at = self.at(stage);
                let past = &mut self.pasts[at];
                let deadline = past.asked.expect("it was asked");
                assert!(past.answer.is_none() && past.result.is_none() && deadline.is_none_or(|late| time < late));
                if approval.approved {
                    for field in &self.spec.stages[at].approval.as_ref().expect("it asks").fields {
                        assert!(!field.required || !approval.fields[&field.name].is_empty());
                    }
                }
                past.answer = Some(approval.approved);
            }
            EventBody::StageHeld { .. } | EventBody::HoldEnded { .. } => panic!("no stage has an environment"),
            EventBody::ResultTaken { stage, .. } | EventBody::ResultMissed { stage, .. } => {
                let at = self.at(stage);
                // It needs no room among the jobs.
                assert_eq!(self.expected(at, time), StagePhase::Ready, "{event:?}");
                assert!(self.pasts[at].started.is_empty() && !self.pasts[at].taken);
                self.pasts[at].taken = matches!(event.body, EventBody::ResultTaken { .. });
            }
            EventBody::AttemptStarted { stage, attempt, .. } => {
                let at = self.at(stage);
                assert_eq!(self.expected(at, time), StagePhase::Ready, "{event:?}");
                let past = &mut self.pasts[at];
                past.started.push(time);
                assert_eq!(past.started.len(), *attempt as usize);
                (past.stop, past.retry_at) = (None, None);
                let running = self.pasts.iter().filter(|past| past.runs()).count();
                assert!(self.spec.max_parallel.is_none_or(|limit| running <= limit.get() as usize));
            }
            EventBody::StopRequested { stage, attempt, reason } => {
                let at = self.at(stage);
                let past = &self.pasts[at];
                assert!(past.runs() && past.stop.is_none() && past.started.len() == *attempt as usize);
                match reason {
                    StopReason::Timeout => assert!(self.deadline(at).is_some_and(|late| late <= time)),
                    StopReason::Cancel => assert!(self.cancelled),
                    StopReason::FailFast => assert!(self.is_ending(at) && self.failed_fast),
                }
                self.pasts[at].stop = Some(*reason);
            }
            EventBody::AttemptFinished { stage, attempt, outcome } => {
                let at = self.at(stage);
                let past = &mut self.pasts[at];
                assert!(past.runs() && past.started.len() == *attempt as usize);
                assert!(!(outcome.status == Status::Cancelled && past.stop == Some(StopReason::Timeout)));
                past.ended.push((time, outcome.clone()));
            }
            EventBody::RetryScheduled { stage, attempt, at: when } => {
                let at = self.at(stage);
                let past = &self.pasts[at];
                assert!(self.is_retried(at) && past.ended.len() + 1 == *attempt as usize);
                let wait = self.spec.stages[at].retry.as_ref().expect("it retries").backoff;
                let wait = wait * (1 << (past.ended.len() - 1));
                assert_eq!(*when, past.ended.last().expect("it ended").0 + wait);
                self.pasts[at].retry_at = Some(*when);
            }
            EventBody::StageFinished { stage, result } => {
                let at = self.at(stage);
                assert!(self.pasts[at].result.is_none(), "{stage} ends twice");
                self.judge_result(at, time, result);
                self.pasts[at].result = Some(result.clone());
                self.failed_fast |= self.spec.fail_fast && !self.cancelled && Self::failed(result);
            }
            EventBody::RunFinished { status } => {
                assert!(self.pasts.iter().all(|past| past.result.is_some()));
                let failed = self.pasts.iter().any(|past| past.result.as_ref().is_some_and(Self::failed));
                let expected = match (self.cancelled, failed) {
                    (true, _) => RunStatus::Cancelled,
                    (false, true) => RunStatus::Failed,
                    (false, false) => RunStatus::Succeeded,
                };
                assert_eq!(*status, expected);
                self.finished = Some(*status);
            }
        }
    }

    /// When the running attempt has taken too long.
    fn deadline(&self, at: usize) -> Option<Timestamp> {
        let past = &self.pasts[at];
        let started = past.started.last().filter(|_| past.runs() && past.stop.is_none())?;
        self.spec.stages[at].timeout.map(|timeout| *started + SignedDuration::try_from(timeout).expect("it is short"))
    }

    /// Whether another attempt follows on the last one.
    fn is_retried(&self, at: usize) -> bool {
        let Some((_, last)) = self.pasts[at].ended.last() else { return false };
        let failed = matches!(last.status, Status::Failed | Status::TimedOut | Status::Lost);
        let cause = last.cause.and_then(crate::job::Cause::retry_cause);
        !self.is_ending(at)
            && failed
            && self.spec.stages[at].retry.as_ref().is_some_and(|retry| {
                self.pasts[at].ended.len() <= retry.limit as usize
                    && cause.is_some_and(|cause| retry.on.is_empty() || retry.on.contains(&cause))
            })
    }

    fn judge_result(&self, at: usize, time: Timestamp, result: &StageResult) {
        let (past, stage) = (&self.pasts[at], &self.spec.stages[at]);
        assert!(!past.runs(), "{} ends while it runs", stage.name);
        let swept = |result: &StageResult| {
            let reason = result.reason.as_deref();
            match reason {
                Some(StageReason::Cancelled) => self.cancelled,
                Some(StageReason::FailFast { .. }) => self.is_ending(at) && self.failed_fast,
                _ => false,
            }
        };
        match (result.status, past.ended.last()) {
            (Status::Skipped, last) => {
                assert!(last.is_none() && self.all_needs_ended(at));
                match result.reason.as_deref().expect("a skip has a reason") {
                    StageReason::NeedFailed { need } => {
                        assert!(stage.needs.contains(need) && self.need_blocks(at) && !Self::asks(stage));
                        assert!(self.pasts[self.at(need)].result.as_ref().is_some_and(Self::blocks));
                    }
                    StageReason::When { .. } => {
                        assert!(!self.condition_holds(at) && (!self.need_blocks(at) || Self::asks(stage)));
                    }
                    other => panic!("skipped because {other}"),
                }
            }
            (Status::Succeeded, None) => {
                assert!(past.taken && *result == StageResult::taken());
            }
            (Status::Cancelled, None) => assert!(swept(result), "{result:?}"),
            (Status::Cancelled, Some(_)) if past.retry_at.is_some() => assert!(swept(result), "{result:?}"),
            (Status::Failed, None) => {
                match result.reason.as_deref().expect("a failure has a reason") {
                    StageReason::Rejected { .. } => assert_eq!(past.answer, Some(false)),
                    StageReason::ApprovalTimedOut => {
                        assert!(past.answer.is_none() && past.asked.flatten().is_some_and(|late| late <= time));
                    }
                    other => panic!("failed because {other}"),
                }
                assert_eq!(result.allowed, stage.allow_failure);
            }
            (status, Some((_, last))) => {
                assert_eq!((status, result.exit_code), (last.status, last.exit_code));
                assert!(!self.is_retried(at), "{} has an attempt left", stage.name);
                let failed = matches!(status, Status::Failed | Status::TimedOut | Status::Lost);
                assert_eq!(result.allowed, failed && stage.allow_failure);
            }
            (status, None) => panic!("{} is {status:?} without an attempt", stage.name),
        }
    }

    /// Where this stage must be once everything that follows by itself has happened.
    pub(super) fn expected(&self, at: usize, now: Timestamp) -> StagePhase {
        let past = &self.pasts[at];
        if let Some(result) = &past.result {
            return StagePhase::Ended(result.status);
        }
        if past.runs() {
            return StagePhase::Running;
        }
        assert!(!self.is_ending(at), "a stage of an ending run is left over");
        if let Some(retry_at) = past.retry_at {
            return if retry_at <= now { StagePhase::Ready } else { StagePhase::Backoff };
        }
        if !self.begun || !self.all_needs_ended(at) {
            return StagePhase::Pending;
        }
        assert!(self.may_go(at), "a stage that cannot start is left over");
        match (&self.spec.stages[at].approval, past.answer) {
            (None, _) | (_, Some(true)) => StagePhase::Ready,
            _ => StagePhase::Waiting,
        }
    }

    /// The next time at which something happens by itself.
    pub(super) fn next_wakeup(&self, now: Timestamp) -> Option<Timestamp> {
        let each = self.pasts.iter().enumerate().filter(|(_, past)| past.result.is_none());
        each.filter_map(|(at, past)| {
            let waits = past.asked.flatten().filter(|_| past.answer.is_none());
            let again = past.retry_at.filter(|time| *time > now);
            self.deadline(at).or(waits).or(again)
        })
        .min()
    }

    /// Where the run must be.
    pub(super) fn status(&self, now: Timestamp) -> RunStatus {
        if let Some(status) = self.finished {
            return status;
        }
        if !self.begun {
            return RunStatus::Queued;
        }
        let phases: Vec<_> = (0..self.pasts.len()).map(|at| self.expected(at, now)).collect();
        let moves = |phase: &StagePhase| matches!(phase, StagePhase::Ready | StagePhase::Running | StagePhase::Backoff);
        if phases.contains(&StagePhase::Waiting) && !phases.iter().any(moves) {
            RunStatus::Waiting
        } else {
            RunStatus::Running
        }
    }
}
