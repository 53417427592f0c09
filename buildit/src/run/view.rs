//! What can be seen of a run.

use std::sync::Arc;

use jiff::Timestamp;

#[cfg(feature = "engine")]
use super::state::Cell;
use super::state::{Active, Phase};
use super::{Run, RunInfo};
use crate::event::{Approval, RunStatus, StageResult, StopReason};
use crate::graph::{Graph, StageIndex};
use crate::id::ExecutorName;
use crate::job::{JobProducts, Status};
use crate::pipeline::{PipelineSpec, RunContext};

/// A job that should be running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedJob<'a> {
    /// The stage.
    pub stage: StageIndex,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The executor that it went to.
    pub executor: &'a ExecutorName,
    /// When it was decided to start it.
    pub started: Timestamp,
    /// Why it is to stop, if it is.
    pub stop: Option<StopReason>,
}

/// Where a stage is, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StagePhase {
    /// It waits for what it needs.
    Pending,
    /// It may start.
    Ready,
    /// It waits for a person.
    Waiting,
    /// It waits for a time to pass before its first attempt.
    Held,
    /// An attempt runs.
    Running,
    /// It waits for its next attempt.
    Backoff,
    /// It has ended.
    Ended(Status),
}

impl Run {
    /// The stages that may start now, in the order in which they became so, as many as `max-parallel` of the pipeline
    /// allows: every need, condition, approval and wait is behind them. A stage whose wait between two attempts is
    /// over comes first: it has waited before.
    pub fn ready(&self, now: Timestamp) -> impl Iterator<Item = StageIndex> {
        let all = self.ready_again(now).chain(self.state.ready.iter(&self.state.cells).map(place));
        all.take(self.free_slots())
    }

    /// The stages whose wait between two attempts is over.
    pub(crate) fn ready_again(&self, now: Timestamp) -> impl Iterator<Item = StageIndex> {
        self.state.backoffs.range(..=(now, u32::MAX)).map(|(_, at)| place(*at))
    }

    /// The stages that became ready since this was last asked; `seen` begins at 0. One that is ready still may come
    /// twice.
    #[cfg(feature = "engine")]
    pub(crate) fn newly_ready(&self, seen: &mut u64) -> impl Iterator<Item = StageIndex> {
        let (new, pushed) = self.state.ready.since(*seen, &self.state.cells);
        *seen = pushed;
        new.map(place)
    }

    /// The stages that become ready when this one succeeds, if their conditions hold: they wait for nothing else.
    #[cfg(feature = "engine")]
    pub(crate) fn ready_after(&self, stage: StageIndex) -> impl Iterator<Item = StageIndex> {
        self.fixed.graph.dependents(stage).iter().copied().filter(|next| {
            let cell = self.state.cells[next.index()];
            cell.phase() == Phase::Pending && cell.word == 1 && !cell.has(Cell::APPROVAL | Cell::ENVIRONMENT)
        })
    }

    /// The first of the stages that may start now.
    #[must_use]
    pub fn next_ready(&self, now: Timestamp) -> Option<StageIndex> {
        self.ready(now).next()
    }

    /// Whether this stage may start now, but for `max-parallel`.
    pub(crate) fn is_ready(&self, stage: StageIndex, now: Timestamp) -> bool {
        let at = stage.index() as u32;
        self.free_slots() > 0
            && match self.phase(stage) {
                Some(Phase::Ready) => true,
                Some(Phase::Backoff) => self.state.times.get(&at).is_some_and(|time| *time <= now),
                _ => false,
            }
    }

    fn free_slots(&self) -> usize {
        let limit = self.fixed.spec.max_parallel.map_or(usize::MAX, |limit| limit.get() as usize);
        if self.state.finished.is_some() { 0 } else { limit.saturating_sub(self.state.active.len()) }
    }

    /// The jobs that should be running now, in no particular order. Constant time for each.
    pub fn wanted(&self) -> impl Iterator<Item = WantedJob<'_>> {
        self.state.active.iter().filter(|active| active.ended.is_none()).map(|active| self.job_of(active))
    }

    /// The job of this stage that should be running now, if one should.
    #[must_use]
    pub fn wanted_of(&self, stage: StageIndex) -> Option<WantedJob<'_>> {
        self.state
            .active(stage.index() as u32)
            .filter(|active| active.ended.is_none())
            .map(|active| self.job_of(active))
    }

    /// The earliest time at which [`Input::Tick`](super::Input::Tick) brings something or a stage becomes ready:
    /// a timeout, the end of a wait between attempts, the deadline of an approval.
    #[must_use]
    pub fn next_wakeup(&self, now: Timestamp) -> Option<Timestamp> {
        if self.state.finished.is_some() {
            return None;
        }
        let deadline = self.state.deadlines.first();
        let backoff = self.state.backoffs.range((now, u32::MAX)..).find(|(time, _)| *time > now);
        deadline.into_iter().chain(backoff).map(|(time, _)| *time).min()
    }

    /// Where the run is.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        let state = &self.state;
        let waits = state.count(Phase::Waiting) > 0;
        let moves =
            [Phase::Ready, Phase::Gate, Phase::Held, Phase::Settled, Phase::Running, Phase::Ended, Phase::Backoff];
        match state.finished {
            Some(status) => status,
            None if !state.started => RunStatus::Queued,
            None if waits && moves.iter().all(|phase| state.count(*phase) == 0) => RunStatus::Waiting,
            None => RunStatus::Running,
        }
    }

    /// Whether the run was asked to end, and by whom or what.
    #[must_use]
    pub fn cancel_reason(&self) -> Option<&str> {
        self.state.cancelled.as_deref()
    }

    /// How many events happened to it: the number of the last one.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.state.seq
    }

    /// Where a stage is.
    ///
    /// # Panics
    ///
    /// When the stage is of another, larger pipeline.
    #[must_use]
    pub fn stage(&self, stage: StageIndex) -> StagePhase {
        match self.state.cells[stage.index()].phase() {
            Phase::Pending => StagePhase::Pending,
            Phase::Ready => StagePhase::Ready,
            Phase::Gate | Phase::Waiting => StagePhase::Waiting,
            Phase::Held => StagePhase::Held,
            Phase::Running | Phase::Ended => StagePhase::Running,
            Phase::Backoff => StagePhase::Backoff,
            // What remains is a word for how it ended, or `Settled`: as good as ended, with its result known.
            other => StagePhase::Ended(other.status().unwrap_or_else(|| self.settled(stage))),
        }
    }

    fn settled(&self, stage: StageIndex) -> Status {
        let at = stage.index() as u32;
        self.state.results.get(&at).map_or(Status::Skipped, |result| result.status)
    }

    /// How a stage ended, if it has.
    #[must_use]
    pub fn result(&self, stage: StageIndex) -> Option<StageResult> {
        let status = self.phase(stage)?.status()?;
        Some(match self.state.results.get(&(stage.index() as u32)) {
            Some(result) => (**result).clone(),
            None => StageResult { status, ..StageResult::succeeded() },
        })
    }

    /// How many attempts of a stage were started.
    #[must_use]
    pub fn attempts(&self, stage: StageIndex) -> u32 {
        self.state.cells.get(stage.index()).map_or(0, |cell| u32::from(cell.attempts))
    }

    /// Not before this the next attempt of a stage that waits for one starts.
    #[must_use]
    pub fn next_attempt(&self, stage: StageIndex) -> Option<Timestamp> {
        let waits = self.phase(stage) == Some(Phase::Backoff);
        waits.then(|| self.state.times.get(&(stage.index() as u32)).copied()).flatten()
    }

    /// What the last attempt of a stage left: outputs, artifacts, reports; `None` when that is nothing.
    #[must_use]
    pub fn products(&self, stage: StageIndex) -> Option<&JobProducts> {
        self.state.products.get(&(stage.index() as u32)).map(|products| &**products)
    }

    /// Whether any stage left anything. Constant time, so that whoever gathers inputs need not look at all needs.
    #[must_use]
    pub fn has_products(&self) -> bool {
        !self.state.products.is_empty()
    }

    /// Until when a stage waits for its time to pass.
    #[must_use]
    pub fn held_until(&self, stage: StageIndex) -> Option<Timestamp> {
        let waits = self.phase(stage) == Some(Phase::Held);
        waits.then(|| self.state.holds.get(&(stage.index() as u32)).copied()).flatten()
    }

    /// What a person answered for a stage; of several who agreed, the names of all and the fields of the latest.
    #[must_use]
    pub fn approval(&self, stage: StageIndex) -> Option<&Approval> {
        self.state.approvals.get(&(stage.index() as u32)).map(|approval| &**approval)
    }

    /// The stages that wait for a person, in the order in which they were written. It looks at every stage.
    pub fn waiting(&self) -> impl Iterator<Item = StageIndex> {
        let left = if self.state.count(Phase::Waiting) == 0 { 0 } else { self.state.cells.len() };
        let cells = self.state.cells[..left].iter().enumerate();
        cells.filter(|(_, cell)| cell.phase() == Phase::Waiting).map(|(at, _)| StageIndex::new(at))
    }

    /// How many stages ended with this word.
    #[must_use]
    pub fn ended(&self, status: Status) -> usize {
        self.state.count(status.into()) as usize
    }

    /// How many stages have not ended.
    #[must_use]
    pub fn open(&self) -> usize {
        self.state.open as usize
    }

    /// The pipeline, expanded and compiled.
    #[must_use]
    pub fn spec(&self) -> &Arc<PipelineSpec> {
        &self.fixed.spec
    }

    /// The pipeline's graph.
    #[must_use]
    pub fn graph(&self) -> &Arc<Graph> {
        &self.fixed.graph
    }

    /// What the run was started with.
    #[must_use]
    pub fn context(&self) -> &Arc<RunContext> {
        &self.fixed.context
    }

    /// Which run it is.
    #[must_use]
    pub fn info(&self) -> RunInfo {
        self.fixed.info
    }

    pub(super) fn phase(&self, stage: StageIndex) -> Option<Phase> {
        self.state.cells.get(stage.index()).map(|cell| cell.phase())
    }

    fn job_of<'a>(&'a self, active: &'a Active) -> WantedJob<'a> {
        WantedJob {
            stage: StageIndex::new(active.stage as usize),
            attempt: active.attempt,
            executor: &self.state.executors[active.executor as usize],
            started: active.started,
            stop: active.stop,
        }
    }
}

fn place(at: u32) -> StageIndex {
    StageIndex::new(at as usize)
}
