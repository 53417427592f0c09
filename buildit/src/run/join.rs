//! What becomes of a stage when all that it needs has ended.

use super::Fixed;
use super::state::{Cell, Phase, State};
use super::{protection, when};
use crate::event::{StageReason, StageResult};
use crate::job::Status;

/// Every need of this stage has ended (or it has none, and the run began).
pub(super) fn arrive(fixed: &Fixed, state: &mut State, at: u32) {
    let cell = state.cell(at);
    if state.is_ending_for(cell) {
        // It is pending, so the cancellation that is under way ends it.
        return;
    }
    if cell.has(Cell::NEED_FAILED) && !cell.has(Cell::ASKS) {
        let reason = failed_need(fixed, state, at);
        return settle(state, at, StageResult::skipped(reason));
    }
    if cell.has(Cell::WHEN)
        && let Some(condition) = fixed.stage(at).when.as_deref()
    {
        match when::evaluate(fixed, state, at, condition) {
            Ok(verdict) if verdict.holds => {}
            Ok(verdict) => {
                return settle(state, at, StageResult::skipped(StageReason::When { clause: verdict.clause }));
            }
            Err(error) => {
                let message = error.to_string();
                return settle(state, at, failed(cell, StageReason::WhenFailed { message }));
            }
        }
    }
    let protection = if cell.has(Cell::ENVIRONMENT) { protection::of(fixed, at) } else { None };
    if let Some(reason) = protection.and_then(|(name, rules)| protection::refusal(&fixed.context, name, rules)) {
        return settle(state, at, failed(cell, reason));
    }
    if cell.has(Cell::APPROVAL) || protection.is_some_and(|(_, rules)| rules.waits()) {
        state.set_phase(at, Phase::Gate);
        state.due.push_back(at);
    } else {
        state.set_phase(at, Phase::Ready);
    }
}

/// How a stage ends is known; recording it is due.
pub(super) fn settle(state: &mut State, at: u32, result: StageResult) {
    state.results.insert(at, Box::new(result));
    state.set_phase(at, Phase::Settled);
    state.due.push_back(at);
}

/// The result of a stage that failed without an attempt to blame.
pub(super) fn failed(cell: Cell, reason: StageReason) -> StageResult {
    StageResult {
        status: Status::Failed,
        exit_code: None,
        allowed: cell.has(Cell::ALLOW_FAILURE),
        cached: false,
        reason: Some(Box::new(reason)),
    }
}

/// Whether a stage that ended so keeps the stages that need it from starting.
pub(super) fn blocks(result: &StageResult) -> bool {
    match result.status {
        Status::Succeeded => false,
        Status::Skipped => matches!(result.reason.as_deref(), Some(StageReason::NeedFailed { .. })),
        Status::Failed | Status::TimedOut | Status::Cancelled | Status::Lost => !result.allowed,
    }
}

/// The first need in written order that keeps this stage from starting.
fn failed_need(fixed: &Fixed, state: &State, at: u32) -> StageReason {
    let stage = fixed.stage(at);
    let blocking = fixed.graph.needs(stage).find(|need| {
        let need = need.index() as u32;
        state.cell(need).phase().status().is_some() && state.results.get(&need).is_some_and(|result| blocks(result))
    });
    // Without a result that blocks, the flag that leads here would not be set.
    let need = blocking.map_or_else(|| stage.name.clone(), |need| fixed.graph.name(need).clone());
    StageReason::NeedFailed { need }
}
