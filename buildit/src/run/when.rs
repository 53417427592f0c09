//! What a run asks of conditions and references, and what they ask of it.

use super::state::{Cell, Phase, State};
use super::{Fixed, Run};
use crate::condition::{self, ConditionError, Flow, Verdict};
use crate::graph::StageIndex;
use crate::job::Status;
use crate::pipeline::When;
use crate::variables::{OutputValue, ResolveError, Scope, StageValues, resolve_plain};

/// Whether the condition of this stage holds, now that all that it needs has ended.
pub(super) fn evaluate(fixed: &Fixed, state: &State, at: u32, when: &When) -> Result<Verdict, ConditionError> {
    let cell = state.cell(at);
    let flow = Flow { need_failed: cell.has(Cell::NEED_FAILED), any_failed_before: cell.has(Cell::FAILED_BEFORE) };
    in_scope(fixed, state, at, |scope| condition::evaluate(when, scope, flow))
}

/// Whether the condition of this stage would hold if a stage before it had failed, allowed to or not.
pub(super) fn holds_after_failure(fixed: &Fixed, state: &State, at: u32, when: &When) -> bool {
    [false, true].into_iter().any(|need_failed| {
        let flow = Flow { need_failed, any_failed_before: true };
        in_scope(fixed, state, at, |scope| condition::evaluate(when, scope, flow)).is_ok_and(|verdict| verdict.holds)
    })
}

/// What a person is asked before this stage starts.
pub(super) fn message(fixed: &Fixed, state: &State, at: u32) -> Result<String, ResolveError> {
    let stage = fixed.stage(at);
    match stage.approval.as_ref().and_then(|approval| approval.message.as_deref()) {
        Some(message) => in_scope(fixed, state, at, |scope| Ok(resolve_plain(message, scope)?.into_owned())),
        None => Ok(match &stage.environment {
            Some(environment) => format!("Approve `{}` in `{environment}`?", stage.name),
            None => format!("Approve `{}`?", stage.name),
        }),
    }
}

fn in_scope<T>(fixed: &Fixed, state: &State, at: u32, ask: impl FnOnce(&Scope<'_>) -> T) -> T {
    let attempts = u32::from(state.cell(at).attempts);
    ask(&Scope {
        context: &fixed.context,
        plan: &fixed.spec,
        run: fixed.info,
        stage: Some(fixed.stage(at)),
        index: at,
        attempt: attempts.max(1),
        stages: &Seen { fixed, state },
        approval: state.approvals.get(&at).map(|approval| &**approval),
        environment: fixed.context.variables_of(fixed.stage(at)),
    })
}

/// A run as conditions and references see it.
#[derive(Clone, Copy)]
struct Seen<'a> {
    fixed: &'a Fixed,
    state: &'a State,
}

impl<'a> Seen<'a> {
    /// The word for a matrix is that of its worst cell: the first that neither succeeded nor was skipped.
    fn status(self, stage: &str) -> Option<Status> {
        let word = |stage: StageIndex| self.state.cell(stage.index() as u32).phase().status();
        let all: Vec<Status> = self.fixed.graph.resolve(stage).map(word).collect::<Option<_>>()?;
        let bad = all.iter().find(|status| !matches!(status, Status::Succeeded | Status::Skipped));
        bad.or_else(|| all.iter().find(|status| **status == Status::Succeeded)).or(all.first()).copied()
    }

    fn output(self, stage: &str, key: &str) -> OutputValue<'a> {
        let Some(stage) = self.fixed.graph.index(stage) else {
            return OutputValue::NotRun { reason: "does not exist" };
        };
        let at = stage.index() as u32;
        let cell = self.state.cell(at);
        match self.state.products.get(&at).and_then(|products| products.outputs.get(key)) {
            Some(value) => OutputValue::Value(value),
            None if cell.phase().status().is_none() => OutputValue::NotRun { reason: "has not ended yet" },
            None if cell.attempts > 0 || self.is_cached(at) => OutputValue::Unset,
            None => OutputValue::NotRun {
                reason: match cell.phase() {
                    Phase::Skipped => "was skipped",
                    Phase::Cancelled => "was cancelled before it started",
                    _ => "failed before it started",
                },
            },
        }
    }

    fn is_cached(self, at: u32) -> bool {
        self.state.results.get(&at).is_some_and(|result| result.cached)
    }

    fn need_outputs(self, index: u32, each: &mut dyn FnMut(&str, &str, &str)) {
        if self.state.products.is_empty() {
            return;
        }
        for need in self.fixed.graph.needs(self.fixed.stage(index)) {
            if let Some(products) = self.state.products.get(&(need.index() as u32)) {
                let name = self.fixed.graph.name(need);
                products.outputs.iter().for_each(|(key, value)| each(name, key, value));
            }
        }
    }
}

impl StageValues for Seen<'_> {
    fn status(&self, stage: &str) -> Option<Status> {
        (*self).status(stage)
    }

    fn output(&self, stage: &str, key: &str) -> OutputValue<'_> {
        (*self).output(stage, key)
    }

    fn need_outputs(&self, index: u32, each: &mut dyn FnMut(&str, &str, &str)) {
        (*self).need_outputs(index, each);
    }
}

impl StageValues for Run {
    fn status(&self, stage: &str) -> Option<Status> {
        self.seen().status(stage)
    }

    fn output(&self, stage: &str, key: &str) -> OutputValue<'_> {
        self.seen().output(stage, key)
    }

    fn need_outputs(&self, index: u32, each: &mut dyn FnMut(&str, &str, &str)) {
        self.seen().need_outputs(index, each);
    }
}

impl Run {
    fn seen(&self) -> Seen<'_> {
        Seen { fixed: &self.fixed, state: &self.state }
    }
}
