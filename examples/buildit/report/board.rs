//! What is known of a run, as it is shown: pure, fed with events and log lines.

use std::collections::VecDeque;
use std::time::Duration;

use buildit::event::{Event, EventBody, RunStatus, StageResult};
use buildit::id::{RunId, StageName};
use buildit::job::{Cause, LogLine, Status};
use buildit::pipeline::PipelineSpec;
use indexmap::IndexMap;
use jiff::Timestamp;

use crate::text::{clean, since};

/// Lines of a log that are kept to be shown when their stage fails. Enough for a compiler's errors, and a stage that
/// prints a gigabyte costs no more than they do.
const TAIL: usize = 1000;

/// A run, as it is shown.
#[derive(Debug)]
pub(crate) struct Board {
    /// The run's id.
    pub(crate) run: RunId,
    /// Its number within the pipeline.
    pub(crate) number: u64,
    /// The pipeline's name, as the file has it.
    pub(crate) pipeline: String,
    /// What the run is of, in a few words and fit to be shown: `main · 3f2a1c9`. May be empty.
    pub(crate) source: String,
    /// Its stages, in the order of the pipeline.
    pub(crate) stages: IndexMap<StageName, Shown>,
    /// Where it is.
    pub(crate) status: RunStatus,
    /// When it left its queue.
    pub(crate) started: Option<Timestamp>,
    /// The time of the last event.
    pub(crate) latest: Option<Timestamp>,
}

/// A stage, as it is shown.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// The matrix that it is a cell of, and the cell: `test` and `db=postgres,arch=amd64`.
    pub(crate) cell: Option<(StageName, String)>,
    /// What it needs.
    pub(crate) needs: Vec<StageName>,
    /// Where it is.
    pub(crate) state: StageState,
    /// Its latest attempt, from 1; 0 before the first.
    pub(crate) attempt: u32,
    /// When its latest attempt started.
    pub(crate) started: Option<Timestamp>,
    /// How long all its attempts took together.
    pub(crate) took: Duration,
    /// The last lines of its latest attempt.
    pub(crate) tail: VecDeque<LogLine>,
    /// How many lines the latest attempt had before those.
    pub(crate) dropped: u64,
}

/// Where a stage is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum StageState {
    /// It waits for its needs, or for a slot.
    #[default]
    Queued,
    /// It waits for a person.
    Waiting,
    /// An attempt is under way.
    Running,
    /// Another attempt will be made.
    Retrying(Timestamp),
    /// It ended.
    Done(StageResult),
}

impl Shown {
    /// Its result, if it has ended.
    pub(crate) fn result(&self) -> Option<&StageResult> {
        match &self.state {
            StageState::Done(result) => Some(result),
            _ => None,
        }
    }

    /// Whether it ended badly by itself, allowed or not.
    pub(crate) fn has_failed(&self) -> bool {
        self.result().is_some_and(|result| matches!(result.status, Status::Failed | Status::TimedOut | Status::Lost))
    }

    /// Whether the backend is to blame for its end.
    pub(crate) fn is_infrastructure(&self) -> bool {
        use buildit::event::StageReason::Attempt;
        self.result().is_some_and(|result| match result.reason.as_deref() {
            Some(Attempt { cause, .. }) => matches!(cause, Cause::Infrastructure | Cause::Lost),
            _ => result.status == Status::Lost,
        })
    }

    /// Whether its result is one of an earlier run, for which this one has made no attempt.
    pub(crate) fn is_cached(&self) -> bool {
        self.result().is_some_and(|result| result.cached)
    }

    /// How long it has been running, or ran.
    pub(crate) fn elapsed(&self, now: Timestamp) -> Duration {
        match (&self.state, self.started) {
            (StageState::Running, Some(started)) => self.took + since(started, now),
            _ => self.took,
        }
    }
}

impl Board {
    /// A run of this pipeline, of which nothing has happened yet.
    pub(crate) fn new(run: RunId, number: u64, plan: &PipelineSpec, source: impl Into<String>) -> Self {
        let stages = plan.stages.iter().map(|stage| {
            let cell = stage.cell.as_ref().map(|cell| {
                let values: Vec<_> = cell.values.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
                (cell.of.clone(), values.join(","))
            });
            (stage.name.clone(), Shown { cell, needs: stage.needs.clone(), ..Shown::default() })
        });
        Self {
            run,
            number,
            pipeline: plan.name.clone(),
            source: clean(&source.into()).into_owned(),
            stages: stages.collect(),
            status: RunStatus::Queued,
            started: None,
            latest: None,
        }
    }

    /// The run's name for people: `shop #12`.
    pub(crate) fn name(&self) -> String {
        format!("{} #{}", clean(&self.pipeline), self.number)
    }

    /// Takes an event in.
    pub(crate) fn apply(&mut self, event: &Event) {
        self.latest = Some(event.time);
        match &event.body {
            EventBody::RunStarted => {
                self.status = RunStatus::Running;
                self.started = Some(event.time);
            }
            EventBody::ApprovalRequested { stage, .. } => self.set(stage, StageState::Waiting),
            EventBody::ApprovalGiven { stage, missing: 0, .. } => self.set(stage, StageState::Queued),
            EventBody::AttemptStarted { stage, attempt, .. } => {
                if let Some(shown) = self.stages.get_mut(stage) {
                    shown.state = StageState::Running;
                    shown.attempt = *attempt;
                    shown.started = Some(event.time);
                    shown.tail.clear();
                    shown.dropped = 0;
                }
            }
            EventBody::AttemptFinished { stage, .. } => {
                if let Some(shown) = self.stages.get_mut(stage) {
                    shown.took = shown.elapsed(event.time);
                    shown.state = StageState::Queued;
                }
            }
            EventBody::RetryScheduled { stage, at, .. } => self.set(stage, StageState::Retrying(*at)),
            EventBody::StageFinished { stage, result } => {
                self.set(stage, StageState::Done(result.clone()));
                if let Some(shown) = self.stages.get_mut(stage)
                    && !shown.has_failed()
                {
                    shown.tail = VecDeque::new();
                }
            }
            EventBody::RunFinished { status } => self.status = *status,
            _ => {}
        }
    }

    /// Takes a line of a log in.
    pub(crate) fn log(&mut self, stage: &str, attempt: u32, line: &LogLine) {
        if let Some(shown) = self.stages.get_mut(stage)
            && shown.attempt == attempt
        {
            if shown.tail.len() == TAIL {
                shown.tail.pop_front();
                shown.dropped += 1;
            }
            shown.tail.push_back(line.clone());
        }
    }

    /// How long the run has been going, or went.
    pub(crate) fn elapsed(&self, now: Timestamp) -> Duration {
        let end = if self.status.is_final() { self.latest.unwrap_or(now) } else { now };
        self.started.map_or(Duration::ZERO, |started| since(started, end))
    }

    /// Whether the run failed and no stage did by itself.
    pub(crate) fn is_infrastructure_failure(&self) -> bool {
        let mut counts = self
            .stages
            .values()
            .filter(|shown| shown.has_failed() && shown.result().is_some_and(|result| !result.allowed));
        counts.clone().next().is_some() && counts.all(Shown::is_infrastructure)
    }

    fn set(&mut self, stage: &StageName, state: StageState) {
        if let Some(shown) = self.stages.get_mut(stage) {
            shown.state = state;
        }
    }
}
