//! What there is to say of a run, from its events.

use std::collections::BTreeMap;

use buildit::event::{Event, EventBody, RunStatus, StageReason, StageResult};
use buildit::id::StageName;
use buildit::job::{Cause, Status};
use buildit::store::CommitState;
use jiff::Timestamp;

use crate::view::words;

/// How it stands, in a word and in a few more.
pub(super) type Said = (CommitState, String);

/// A run, as its events tell it.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// The number of the last event.
    pub(super) seq: u64,
    since: Option<Timestamp>,
    last: Option<Timestamp>,
    status: RunStatus,
    cancelled_by: Option<String>,
    /// Stages that wait for a person, and what they ask.
    waiting: BTreeMap<StageName, String>,
    /// Stages whose failure counts, in the order in which they failed, and why.
    failed: Vec<(StageName, Option<StageReason>)>,
    /// Stages that their own conditions have kept from running, and why.
    skipped: Vec<(StageName, String)>,
}

impl Story {
    /// Goes on with the next event.
    pub(super) fn hear(&mut self, event: &Event) {
        self.seq = event.seq;
        self.since = self.since.or(Some(event.time));
        self.last = Some(event.time);
        match &event.body {
            EventBody::RunStarted => self.status = RunStatus::Running,
            EventBody::CancelRequested { reason } => self.cancelled_by = Some(reason.to_string()),
            EventBody::ApprovalRequested { stage, message, .. } => {
                self.waiting.insert(stage.clone(), message.to_string());
            }
            EventBody::ApprovalGiven { stage, missing: 0, .. } => drop(self.waiting.remove(stage)),
            EventBody::StageFinished { stage, result } => {
                self.waiting.remove(stage);
                let reason = result.reason.as_deref();
                match result.status {
                    Status::Skipped if is_its_own(reason) => {
                        self.skipped.push((stage.clone(), words_of(reason)));
                    }
                    Status::Failed | Status::TimedOut | Status::Lost if !result.allowed => {
                        self.failed.push((stage.clone(), reason.cloned()));
                    }
                    _ => {}
                }
            }
            EventBody::RunFinished { status } => self.status = *status,
            _ => {}
        }
    }

    /// How it stands with the run.
    pub(super) fn said(&self) -> Said {
        let took = match (self.since, self.last) {
            (Some(since), Some(last)) => words::span(since, last),
            _ => String::new(),
        };
        match self.status {
            RunStatus::Succeeded => (CommitState::Succeeded, format!("Succeeded in {took}{}", self.skipped())),
            RunStatus::Failed => (self.failure(), format!("{} after {took}", self.failures())),
            RunStatus::Cancelled => {
                let by = self.cancelled_by.as_ref().map_or_else(String::new, |by| format!(": {by}"));
                (CommitState::Cancelled, format!("Cancelled{by}"))
            }
            _ => match self.waiting.iter().next() {
                Some((stage, question)) => (CommitState::Pending, waits(stage, question)),
                None if self.status == RunStatus::Queued => queued(),
                None => (CommitState::Running, "Running".to_owned()),
            },
        }
    }

    /// Whether nothing that a stage did is to blame.
    fn failure(&self) -> CommitState {
        let is_broken = |(_, reason): &(StageName, Option<StageReason>)| {
            matches!(reason, Some(StageReason::Attempt { cause: Cause::Lost | Cause::Infrastructure, .. }))
        };
        match !self.failed.is_empty() && self.failed.iter().all(is_broken) {
            true => CommitState::Errored,
            false => CommitState::Failed,
        }
    }

    fn failures(&self) -> String {
        match &self.failed[..] {
            [] => "Failed".to_owned(),
            [(stage, Some(reason @ (StageReason::Rejected { .. } | StageReason::ApprovalTimedOut)))] => {
                format!("{stage}: {reason},")
            }
            [(stage, _)] => format!("{stage} failed"),
            [(first, _), more @ ..] => format!("{first} and {} more failed", more.len()),
        }
    }

    fn skipped(&self) -> String {
        match &self.skipped[..] {
            [] => String::new(),
            [(stage, why)] => format!("; {stage} skipped: {why}"),
            several => format!("; {} stages skipped", several.len()),
        }
    }
}

/// How it stands with a run that is in the queue.
pub(super) fn queued() -> Said {
    (CommitState::Pending, "In the queue".to_owned())
}

fn waits(stage: &StageName, question: &str) -> String {
    let asks = if question.is_empty() { String::new() } else { format!(": {question}") };
    format!("{stage} waits for approval{asks}")
}

/// What an event says of the stage that it is of, if it says something.
pub(super) fn of_stage(event: &EventBody) -> Option<(&StageName, Said)> {
    match event {
        EventBody::AttemptStarted { stage, .. } => Some((stage, (CommitState::Running, "Running".to_owned()))),
        EventBody::ApprovalRequested { stage, message, .. } => {
            Some((stage, (CommitState::Pending, waits(stage, message))))
        }
        EventBody::StageFinished { stage, result } => Some((stage, ended(result))),
        _ => None,
    }
}

/// How a stage ended. One that its own condition has kept from running is good; one that something else has kept from it
/// is not, or a commit would pass that nobody has looked at.
fn ended(result: &StageResult) -> Said {
    let reason = result.reason.as_deref();
    let why = words_of(reason);
    let because = if why.is_empty() { String::new() } else { format!(": {why}") };
    match result.status {
        Status::Succeeded if result.cached => (CommitState::Succeeded, "An earlier result was taken".to_owned()),
        Status::Succeeded => (CommitState::Succeeded, "Succeeded".to_owned()),
        Status::Skipped if is_its_own(reason) => (CommitState::Succeeded, format!("Skipped{because}")),
        Status::Skipped | Status::Cancelled => (CommitState::Cancelled, format!("Not run{because}")),
        _ if result.allowed => (CommitState::Succeeded, format!("Failed, as it may{because}")),
        Status::Lost => (CommitState::Errored, format!("Lost{because}")),
        Status::TimedOut => (CommitState::Failed, format!("Took too long{because}")),
        _ => (CommitState::Failed, format!("Failed{because}")),
    }
}

/// Whether a stage was skipped for a reason of its own, and not because of what became of others.
fn is_its_own(reason: Option<&StageReason>) -> bool {
    matches!(reason, Some(StageReason::When { .. } | StageReason::NotSelected | StageReason::BranchNotAllowed { .. }))
}

fn words_of(reason: Option<&StageReason>) -> String {
    reason.map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use buildit::event::Approval;
    use jiff::SignedDuration;

    use super::*;

    fn said(bodies: Vec<EventBody>) -> Said {
        let mut story = Story::default();
        for (seq, body) in (1..).zip(bodies) {
            let time = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(10 * seq);
            story.hear(&Event { seq: seq.unsigned_abs(), time, body });
        }
        story.said()
    }

    fn finished(stage: &str, result: StageResult) -> EventBody {
        EventBody::StageFinished { stage: stage.into(), result }
    }

    fn failed(stage: &str, cause: Cause) -> EventBody {
        let reason = Some(Box::new(StageReason::Attempt { cause, message: None }));
        finished(stage, StageResult { status: Status::Failed, reason, ..StageResult::succeeded() })
    }

    fn over(status: RunStatus) -> EventBody {
        EventBody::RunFinished { status }
    }

    fn asked(stage: &str, message: &str) -> EventBody {
        let (stage, message, fields) = (stage.into(), message.into(), Vec::new());
        EventBody::ApprovalRequested { stage, message, fields, deadline: None, needed: 1 }
    }

    fn given(stage: &str) -> EventBody {
        EventBody::ApprovalGiven { stage: stage.into(), approval: Box::new(Approval::yes("ada")), missing: 0 }
    }

    #[test]
    fn a_run_that_is_not_over_waits_or_runs() {
        assert_eq!(said(vec![]), (CommitState::Pending, "In the queue".to_owned()));
        assert_eq!(said(vec![EventBody::RunStarted]), (CommitState::Running, "Running".to_owned()));
        let waits = said(vec![EventBody::RunStarted, asked("deploy", "To production?"), asked("email", "")]);
        assert_eq!(waits, (CommitState::Pending, "deploy waits for approval: To production?".to_owned()));
        let next = said(vec![EventBody::RunStarted, asked("deploy", ""), asked("email", ""), given("deploy")]);
        assert_eq!(next, (CommitState::Pending, "email waits for approval".to_owned()));
        let on = said(vec![EventBody::RunStarted, asked("deploy", ""), given("deploy")]);
        assert_eq!(on.0, CommitState::Running);
    }

    #[test]
    fn a_success_tells_what_was_skipped_and_why() {
        let when = |clause: &str| StageResult::skipped(StageReason::When { clause: clause.into() });
        let one =
            said(vec![EventBody::RunStarted, finished("deploy", when("branch is main")), over(RunStatus::Succeeded)]);
        let text = "Succeeded in 20.0 s; deploy skipped: its condition is false: branch is main";
        assert_eq!(one, (CommitState::Succeeded, text.to_owned()));
        let two = said(vec![finished("a", when("x")), finished("b", when("y")), over(RunStatus::Succeeded)]);
        assert_eq!(two.1, "Succeeded in 20.0 s; 2 stages skipped");
    }

    #[test]
    fn a_failure_names_the_stage_and_says_whose_it_is() {
        let of = |events: Vec<EventBody>| said(events.into_iter().chain([over(RunStatus::Failed)]).collect());
        let failure = of(vec![EventBody::RunStarted, failed("test", Cause::Exit)]);
        assert_eq!(failure, (CommitState::Failed, "test failed after 20.0 s".to_owned()));
        let both = of(vec![failed("a", Cause::Exit), failed("b", Cause::Infrastructure)]);
        assert_eq!(both, (CommitState::Failed, "a and 1 more failed after 20.0 s".to_owned()));
        assert_eq!(of(vec![failed("a", Cause::Lost)]).0, CommitState::Errored);
        let reason = Some(Box::new(StageReason::Rejected { by: "ada".into() }));
        let rejected = StageResult { status: Status::Failed, reason, ..StageResult::succeeded() };
        let rejected = of(vec![asked("deploy", ""), finished("deploy", rejected)]);
        assert_eq!(rejected, (CommitState::Failed, "deploy: rejected by ada, after 20.0 s".to_owned()));
        let cancelled = said(vec![EventBody::CancelRequested { reason: "by ada".into() }, over(RunStatus::Cancelled)]);
        assert_eq!(cancelled, (CommitState::Cancelled, "Cancelled: by ada".to_owned()));
    }

    #[test]
    fn a_stage_is_good_when_its_own_condition_skips_it_and_only_then() {
        let of = |result: StageResult| of_stage(&finished("s", result)).unwrap().1;
        let when = StageReason::When { clause: "branch is main".into() };
        let skipped = "Skipped: its condition is false: branch is main".to_owned();
        assert_eq!(of(StageResult::skipped(when)), (CommitState::Succeeded, skipped));
        let need = StageReason::NeedFailed { need: "build".into() };
        let not_run = "Not run: needs `build`, which did not succeed".to_owned();
        assert_eq!(of(StageResult::skipped(need)), (CommitState::Cancelled, not_run));
        assert_eq!(of(StageResult::taken()).0, CommitState::Succeeded);
        let allowed = StageResult { status: Status::Failed, allowed: true, ..StageResult::succeeded() };
        assert_eq!(of(allowed), (CommitState::Succeeded, "Failed, as it may".to_owned()));
        assert_eq!(of_stage(&EventBody::RunStarted), None);
    }
}
