//! [`RunProgress`]: what a list of runs shows, from the events alone.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Event, EventBody, RunStatus};
use crate::id::StageName;

/// Where a run is, as far as its events tell: the projection that every store keeps beside them, in the transaction
/// that appends them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProgress {
    /// Where the run is.
    pub status: RunStatus,
    /// When it left its queue.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When its first attempt started.
    #[serde(default)]
    pub worked_from: Option<Timestamp>,
    /// When the last attempt so far ended.
    #[serde(default)]
    pub worked_until: Option<Timestamp>,
    /// How many attempts are under way.
    pub running: u32,
    /// The stages that wait for a person.
    pub waiting: Vec<StageName>,
}

impl RunProgress {
    /// How long the run worked, once it has ended, in whole milliseconds; `None` when nothing of it started.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        // Of a run that an earlier version began, only its own start is known.
        let from = self.worked_from.or(self.started_at).filter(|_| self.status.is_final())?;
        let span = Duration::try_from(from.duration_until(self.worked_until?)).unwrap_or_default();
        Some(Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Takes the next event into account.
    pub fn apply(&mut self, event: &Event) {
        match &event.body {
            EventBody::RunStarted => {
                self.started_at = Some(event.time);
                self.status = RunStatus::Running;
            }
            EventBody::AttemptStarted { .. } => {
                self.running += 1;
                self.worked_from.get_or_insert(event.time);
            }
            EventBody::AttemptFinished { .. } => {
                self.running = self.running.saturating_sub(1);
                self.worked_until = Some(event.time);
            }
            EventBody::ApprovalRequested { stage, .. } => self.waiting.push(stage.clone()),
            EventBody::ApprovalGiven { stage, missing: 0, .. } | EventBody::StageFinished { stage, .. } => {
                self.waiting.retain(|waiting| waiting != stage);
            }
            EventBody::RunFinished { status } => {
                self.finished_at = Some(event.time);
                self.status = *status;
            }
            EventBody::ApprovalGiven { .. }
            | EventBody::StageHeld { .. }
            | EventBody::HoldEnded { .. }
            | EventBody::CancelRequested { .. }
            | EventBody::StopRequested { .. }
            | EventBody::RetryScheduled { .. }
            | EventBody::ResultTaken { .. }
            | EventBody::ResultMissed { .. } => {}
        }
        if matches!(self.status, RunStatus::Running | RunStatus::Waiting) {
            let waits = self.running == 0 && !self.waiting.is_empty();
            self.status = if waits { RunStatus::Waiting } else { RunStatus::Running };
        }
    }
}
