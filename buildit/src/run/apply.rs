//! The only place where the state of a run changes.

use jiff::Timestamp;

use super::join::{arrive, blocks, settle};
use super::outcome::{after, ended};
use super::state::{Active, Cell, Ended, Phase, State};
use super::{Fixed, Run, join, protection};
use crate::event::{Approval, EventBody, StageReason, StageResult, StopReason};
use crate::graph::StageIndex;
use crate::id::ExecutorName;
use crate::job::{JobOutcome, Status};

impl Run {
    /// Takes in an event. Live runs and replays change their state in this one way.
    ///
    /// An event that cannot follow on this state (which no decision of a run gives) changes nothing but the number of
    /// events; [`replay`](Self::replay) reports it.
    pub fn apply(&mut self, time: Timestamp, event: &EventBody<StageIndex>) {
        if self.follows(event) {
            let Self { fixed, state } = self;
            change(fixed, state, time, event);
            drop_done(state);
        }
        self.state.seq += 1;
    }

    /// Whether this event can follow on the present state.
    pub(super) fn follows(&self, event: &EventBody<StageIndex>) -> bool {
        let state = &self.state;
        let phase = |stage: StageIndex| state.cells.get(stage.index()).map(|cell| cell.phase());
        let runs = |stage: StageIndex, attempt| {
            phase(stage) == Some(Phase::Running)
                && state.active(stage.index() as u32).is_some_and(|active| active.attempt == attempt)
        };
        state.finished.is_none()
            && match event {
                EventBody::RunStarted => !state.started,
                EventBody::CancelRequested { .. } => true,
                // A later version may judge a condition differently; what was recorded stays true. So a stage that
                // was about to be skipped by today's judgement may go on as it did.
                EventBody::ApprovalRequested { stage, .. } => {
                    matches!(phase(*stage), Some(Phase::Gate | Phase::Settled))
                }
                EventBody::StageHeld { stage, .. } => matches!(phase(*stage), Some(Phase::Gate | Phase::Settled)),
                EventBody::HoldEnded { stage } => phase(*stage) == Some(Phase::Held),
                EventBody::ApprovalGiven { stage, .. } => phase(*stage) == Some(Phase::Waiting),
                EventBody::ResultMissed { stage, .. } => {
                    matches!(phase(*stage), Some(Phase::Ready | Phase::Settled))
                }
                EventBody::AttemptStarted { stage, attempt, .. } => {
                    matches!(phase(*stage), Some(Phase::Ready | Phase::Backoff | Phase::Settled))
                        && u32::from(state.cell(stage.index() as u32).attempts) + 1 == *attempt
                }
                EventBody::StopRequested { stage, attempt, .. } | EventBody::AttemptFinished { stage, attempt, .. } => {
                    runs(*stage, *attempt)
                }
                EventBody::RetryScheduled { stage, .. } => phase(*stage) == Some(Phase::Ended),
                EventBody::ResultTaken { stage, .. } | EventBody::StageFinished { stage, .. } => {
                    phase(*stage).is_some_and(|phase| phase.status().is_none() && phase != Phase::Running)
                }
                EventBody::RunFinished { .. } => state.open == 0,
            }
    }
}

fn change(fixed: &Fixed, state: &mut State, time: Timestamp, event: &EventBody<StageIndex>) {
    let place = |stage: &StageIndex| stage.index() as u32;
    match event {
        EventBody::RunStarted => {
            state.started = true;
            for at in 0..state.cells.len() as u32 {
                if state.cell(at).word == 0 && state.cell(at).phase() == Phase::Pending {
                    arrive(fixed, state, at);
                }
            }
        }
        EventBody::CancelRequested { reason } => {
            state.cancelled.get_or_insert_with(|| reason.clone());
        }
        EventBody::ApprovalRequested { stage, deadline, .. } => {
            state.set_phase(place(stage), Phase::Waiting);
            if let Some(deadline) = deadline {
                state.set_deadline(place(stage), *deadline);
            }
        }
        EventBody::ApprovalGiven { stage, approval, missing } => answer(state, time, place(stage), approval, *missing),
        EventBody::StageHeld { stage, until } => {
            state.holds.insert(place(stage), *until);
            if protection::needed(fixed, place(stage)) > 0 {
                state.set_phase(place(stage), Phase::Gate);
            } else {
                hold(state, place(stage), *until);
            }
        }
        EventBody::HoldEnded { stage } => {
            state.clear_time(place(stage));
            state.set_phase(place(stage), Phase::Ready);
        }
        EventBody::ResultTaken { stage, result } => {
            if let Some(products) = &result.products {
                state.products.insert(place(stage), products.clone());
            }
        }
        EventBody::ResultMissed { .. } => {}
        EventBody::AttemptStarted { stage, attempt, executor } => {
            start(fixed, state, time, place(stage), *attempt, executor);
        }
        EventBody::StopRequested { stage, reason, .. } => stop(state, place(stage), *reason),
        EventBody::AttemptFinished { stage, outcome, .. } => end(fixed, state, place(stage), outcome),
        EventBody::RetryScheduled { stage, at, .. } => {
            let stage = place(stage);
            state.take_active(stage);
            state.set_phase(stage, Phase::Backoff);
            state.set_backoff(stage, *at);
        }
        EventBody::StageFinished { stage, result } => finish(fixed, state, *stage, result),
        EventBody::RunFinished { status } => state.finished = Some(*status),
    }
}

fn answer(state: &mut State, time: Timestamp, at: u32, approval: &Approval, missing: u32) {
    if !approval.approved {
        state.clear_time(at);
        state.approvals.insert(at, Box::new(approval.clone()));
        let reason = StageReason::Rejected { by: approval.by.clone() };
        return settle(state, at, join::failed(state.cell(at), reason));
    }
    let mut answered = approval.clone();
    if let Some(before) = state.approvals.get(&at) {
        answered.by = format!("{}, {}", before.by, approval.by);
    }
    state.approvals.insert(at, Box::new(answered));
    if missing > 0 {
        state.approvers.entry(at).or_default().push(approval.by.as_str().into());
        return;
    }
    state.clear_time(at);
    match state.holds.get(&at).copied().filter(|until| time < *until) {
        Some(until) => hold(state, at, until),
        None => state.set_phase(at, Phase::Ready),
    }
}

fn hold(state: &mut State, at: u32, until: Timestamp) {
    state.set_phase(at, Phase::Held);
    state.set_deadline(at, until);
}

fn start(fixed: &Fixed, state: &mut State, time: Timestamp, at: u32, attempt: u32, executor: &ExecutorName) {
    let cell = state.cell(at);
    if cell.attempts > 0 {
        state.clear_time(at);
    }
    state.cells[at as usize].attempts = cell.attempts.saturating_add(1);
    state.set_phase(at, Phase::Running);
    let (executor, started) = (state.executor(executor), time);
    state.push_active(Active { stage: at, attempt, executor, started, stop: None, ended: None });
    *state.unstopped(at) += 1;
    if cell.has(Cell::TIMEOUT)
        && let Some(timeout) = fixed.stage(at).timeout
    {
        state.set_deadline(at, after(time, timeout));
    }
}

fn stop(state: &mut State, at: u32, reason: StopReason) {
    let place = state.cell(at).word as usize;
    if state.active[place].stop.is_none() {
        *state.unstopped(at) -= 1;
    }
    state.active[place].stop = Some(reason);
    state.clear_time(at);
}

fn end(fixed: &Fixed, state: &mut State, at: u32, outcome: &JobOutcome) {
    let place = state.cell(at).word as usize;
    if state.active[place].stop.is_none() {
        *state.unstopped(at) -= 1;
    }
    let ended: Ended = ended(fixed, state, &state.active[place], outcome);
    state.active[place].ended = Some(ended);
    state.clear_time(at);
    match &outcome.products {
        Some(products) => {
            state.products.insert(at, products.clone());
        }
        None if !state.products.is_empty() => {
            state.products.remove(&at);
        }
        None => {}
    }
    state.set_phase(at, Phase::Ended);
    state.due.push_back(at);
}

fn finish(fixed: &Fixed, state: &mut State, stage: StageIndex, result: &StageResult) {
    let at = stage.index() as u32;
    match state.cell(at).phase() {
        Phase::Ended => {
            state.take_active(at);
        }
        Phase::Waiting | Phase::Held | Phase::Backoff => state.clear_time(at),
        _ => {}
    }
    let plain = result.status == Status::Succeeded && *result == StageResult::succeeded();
    if !plain {
        state.results.insert(at, Box::new(result.clone()));
    } else if !state.results.is_empty() {
        state.results.remove(&at);
    }
    state.cells[at as usize].word = 0;
    state.set_phase(at, result.status.into());
    let failed = !matches!(result.status, Status::Succeeded | Status::Skipped) && !result.allowed;
    state.failures += u32::from(failed);
    let bequest = state.cell(at).bequest(failed, blocks(result));
    for dependent in fixed.graph.dependents(stage) {
        let cell = &mut state.cells[dependent.index()];
        if cell.phase() == Phase::Pending {
            cell.set(bequest);
            cell.word -= 1;
            if cell.word == 0 {
                arrive(fixed, state, dependent.index() as u32);
            }
        }
    }
    // Only now: what needs this stage is skipped because of it, and the rest ends because the pipeline fails fast.
    if failed && fixed.spec.fail_fast && state.failed_fast.is_none() && state.cancelled.is_none() {
        state.failed_fast = Some(at);
    }
}

/// Takes stages off the front of the due list about which nothing is to be decided any more.
fn drop_done(state: &mut State) {
    while let Some(&at) = state.due.front()
        && !matches!(state.cell(at).phase(), Phase::Settled | Phase::Gate | Phase::Ended)
    {
        state.due.pop_front();
    }
}
