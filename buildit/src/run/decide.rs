//! What follows: from an input, and from the state and the time alone.

use jiff::Timestamp;

use super::outcome::{after, ended, fail_fast, follow_up, normalize};
use super::state::{Cell, Phase};
use super::{ApprovalError, CarriedStage, Input, InputError, Run, approval, join, protection, when};
use crate::event::{Approval, EventBody, RunStatus, StageReason, StageResult, StopReason};
use crate::graph::StageIndex;
use crate::job::{Cause, Status};
use crate::pipeline::ApprovalSpec;

type Out<'a> = &'a mut Vec<EventBody<StageIndex>>;

impl Run {
    /// The events that follow from `input`, added to `out`; nothing is changed. The same state, input and time give
    /// the same events. [`advance`](Self::advance) decides and applies in one go.
    ///
    /// # Errors
    ///
    /// [`InputError`] when the input makes no sense in this state; `out` is as before.
    pub fn decide(&self, input: Input<'_>, now: Timestamp, out: Out<'_>) -> Result<(), InputError> {
        if self.state.finished.is_some() && !matches!(input, Input::Tick) {
            return Err(InputError::RunEnded);
        }
        match input {
            Input::Begin => self.begin(out)?,
            Input::Start { stage, executor } => {
                if !self.is_ready(stage, now) {
                    return Err(InputError::NotReady(stage));
                }
                let attempt = u32::from(self.state.cell(stage.index() as u32).attempts) + 1;
                out.push(EventBody::AttemptStarted { stage, attempt, executor });
            }
            Input::Take { stage, result } => {
                self.waits_to_start(stage)?;
                out.push(EventBody::ResultTaken { stage, result });
                out.push(EventBody::StageFinished { stage, result: StageResult::taken() });
            }
            Input::Miss { stage, miss } => {
                self.waits_to_start(stage)?;
                out.push(EventBody::ResultMissed { stage, miss });
            }
            Input::Finished { stage, attempt, outcome } => {
                let at = stage.index() as u32;
                let active = self.state.active(at).filter(|active| active.attempt == attempt && active.ended.is_none());
                let active = active.ok_or(InputError::NotRunning { stage, attempt })?;
                let outcome = normalize(&self.fixed, active, outcome);
                let ended = ended(&self.fixed, &self.state, active, &outcome);
                out.push(EventBody::AttemptFinished { stage, attempt, outcome });
                out.push(follow_up(&self.fixed, &self.state, at, attempt, ended, now));
            }
            Input::Approve { stage, approval } => {
                if self.phase(stage) != Some(Phase::Waiting) {
                    return Err(ApprovalError::NotWaiting.into());
                }
                out.push(self.answer(stage, approval)?);
            }
            Input::Cancel { reason } => {
                if self.state.cancelled.is_none() {
                    out.push(EventBody::CancelRequested { reason: reason.into() });
                }
            }
            Input::Tick => self.decide_due(now, out),
        }
        Ok(())
    }

    fn answer(&self, stage: StageIndex, approval: Approval) -> Result<EventBody<StageIndex>, ApprovalError> {
        let at = stage.index() as u32;
        let agreed = self.state.approvers.get(&at).map(Vec::as_slice).unwrap_or_default();
        if approval.approved && agreed.iter().any(|by| **by == *approval.by) {
            return Err(ApprovalError::Again { by: approval.by });
        }
        let nothing = ApprovalSpec::default();
        let spec = self.fixed.stage(at).approval.as_deref().unwrap_or(&nothing);
        let approval = Box::new(approval::check(spec, approval)?);
        let needed = protection::needed(&self.fixed, at).saturating_sub(agreed.len() as u32);
        let missing = if approval.approved { needed.saturating_sub(1) } else { 0 };
        Ok(EventBody::ApprovalGiven { stage, approval, missing })
    }

    fn waits_to_start(&self, stage: StageIndex) -> Result<(), InputError> {
        match self.phase(stage) {
            Some(Phase::Ready) => Ok(()),
            _ => Err(InputError::NotReady(stage)),
        }
    }

    fn begin(&self, out: Out<'_>) -> Result<(), InputError> {
        if self.state.started || self.state.cancelled.is_some() {
            return Err(InputError::NotQueued);
        }
        out.push(EventBody::RunStarted);
        let only = &self.fixed.context.only;
        if !only.is_empty() {
            // A name that means nothing was refused before the run was made; here it makes the whole part empty.
            let selected = self.fixed.graph.select(&self.fixed.spec, only.iter().map(String::as_str));
            let selected = selected.unwrap_or_else(|_| vec![false; self.fixed.graph.len()]);
            for stage in self.fixed.graph.stages() {
                if !selected[stage.index()] {
                    out.push(EventBody::StageFinished {
                        stage,
                        result: StageResult::skipped(StageReason::NotSelected),
                    });
                }
            }
        }
        // A stage that the plan does not have was never in the run that they come from.
        for CarriedStage { stage, result, taken } in &*self.fixed.carried {
            if let Some(stage) = self.fixed.graph.index(stage) {
                out.push(EventBody::ResultTaken { stage, result: Box::new(taken.clone()) });
                out.push(EventBody::StageFinished { stage, result: StageResult { cached: true, ..result.clone() } });
            }
        }
        Ok(())
    }

    /// Whether [`decide_due`](Self::decide_due) may have something to say. Constant time.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let state = &self.state;
        state.finished.is_none()
            && (!state.due.is_empty()
                || state.open == 0
                || state.deadlines.first().is_some_and(|(time, _)| *time <= now)
                || self.is_sweep_due())
    }

    fn is_sweep_due(&self) -> bool {
        let state = &self.state;
        if state.cancelled.is_some() {
            state.idle_plain + state.idle_asking + state.unstopped_plain + state.unstopped_asking > 0
        } else {
            state.failed_fast.is_some() && state.idle_plain + state.unstopped_plain > 0
        }
    }

    /// What follows from the state and the time alone. Each stage is spoken of at most once.
    pub(super) fn decide_due(&self, now: Timestamp, out: Out<'_>) {
        let state = &self.state;
        if state.finished.is_some() {
            return;
        }
        if state.open == 0 {
            let status = match state {
                state if state.cancelled.is_some() => RunStatus::Cancelled,
                state if state.failures > 0 => RunStatus::Failed,
                _ => RunStatus::Succeeded,
            };
            out.push(EventBody::RunFinished { status });
            return;
        }
        for &at in &state.due {
            self.decide_stage(at, now, out);
        }
        if self.is_sweep_due() {
            self.sweep(out);
            return;
        }
        for &(_, at) in state.deadlines.range(..=(now, u32::MAX)) {
            self.decide_deadline(at, out);
        }
    }

    fn decide_stage(&self, at: u32, now: Timestamp, out: Out<'_>) {
        let cell = self.state.cell(at);
        let stage = StageIndex::new(at as usize);
        match cell.phase() {
            Phase::Settled => {
                if let Some(result) = self.state.results.get(&at) {
                    out.push(EventBody::StageFinished { stage, result: (**result).clone() });
                }
            }
            Phase::Ended => {
                if let Some((attempt, ended)) =
                    self.state.active(at).and_then(|active| Some((active.attempt, active.ended.clone()?)))
                {
                    out.push(follow_up(&self.fixed, &self.state, at, attempt, ended, now));
                }
            }
            Phase::Gate if !self.state.is_ending_for(cell) => {
                let rules = protection::of(&self.fixed, at).map(|(_, rules)| rules);
                if let Some(rules) = rules.filter(|rules| !rules.wait.is_zero())
                    && !self.state.holds.contains_key(&at)
                {
                    out.push(EventBody::StageHeld { stage, until: after(now, rules.wait) });
                    return;
                }
                let spec = self.fixed.stage(at).approval.as_deref();
                let (fields, timeout) = spec.map(|spec| (spec.fields.clone(), spec.timeout)).unwrap_or_default();
                out.push(match when::message(&self.fixed, &self.state, at) {
                    Ok(message) => EventBody::ApprovalRequested {
                        stage,
                        message: message.into(),
                        fields,
                        deadline: timeout.map(|timeout| after(now, timeout)),
                        needed: protection::needed(&self.fixed, at),
                    },
                    Err(error) => {
                        let reason = StageReason::Attempt { cause: Cause::Start, message: Some(error.to_string()) };
                        EventBody::StageFinished { stage, result: join::failed(cell, reason) }
                    }
                });
            }
            _ => {}
        }
    }

    fn decide_deadline(&self, at: u32, out: Out<'_>) {
        let stage = StageIndex::new(at as usize);
        match (self.state.cell(at).phase(), self.state.active(at)) {
            (Phase::Running, Some(active)) if active.stop.is_none() => {
                out.push(EventBody::StopRequested { stage, attempt: active.attempt, reason: StopReason::Timeout });
            }
            (Phase::Waiting, _) => {
                let result = join::failed(self.state.cell(at), StageReason::ApprovalTimedOut);
                out.push(EventBody::StageFinished { stage, result });
            }
            (Phase::Held, _) => out.push(EventBody::HoldEnded { stage }),
            _ => {}
        }
    }

    /// The run is ending: what has not started ends, and what runs is asked to stop. This looks at every stage, and
    /// happens once: nothing becomes idle afterwards.
    fn sweep(&self, out: Out<'_>) {
        let state = &self.state;
        let cancelled = state.cancelled.is_some();
        let (reason, stop) = if cancelled {
            (StageReason::Cancelled, StopReason::Cancel)
        } else {
            (fail_fast(&self.fixed, state), StopReason::FailFast)
        };
        if state.idle_plain > 0 || (cancelled && state.idle_asking > 0) {
            for (at, cell) in state.cells.iter().enumerate() {
                if cell.phase().is_idle() && state.is_ending_for(*cell) {
                    let result = StageResult { status: Status::Cancelled, ..StageResult::skipped(reason.clone()) };
                    out.push(EventBody::StageFinished { stage: StageIndex::new(at), result });
                }
            }
        }
        for active in &state.active {
            let asked = active.stop.is_some() || active.ended.is_some();
            if !asked && (cancelled || !state.cell(active.stage).has(Cell::ASKS)) {
                let stage = StageIndex::new(active.stage as usize);
                out.push(EventBody::StopRequested { stage, attempt: active.attempt, reason: stop });
            }
        }
    }
}
