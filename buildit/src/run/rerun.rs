//! A rerun of what failed: what of an earlier run it goes on from.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Run;
use crate::event::{StageResult, TakenResult};
use crate::graph::StageIndex;
use crate::id::StageName;
use crate::job::Status;

/// How a stage of an earlier run ended, for a run that goes on from there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedStage {
    /// The stage.
    pub stage: StageName,
    /// How it ended.
    pub result: StageResult,
    /// The attempt, and what that left.
    pub taken: TakenResult,
}

impl Run {
    /// What a rerun of what failed in this run goes on from: every stage that ended well and needs none, direct or
    /// not, that did not. The others run again, or are looked at again: those whose condition was false, too.
    ///
    /// `taken` has the results that this run itself took from earlier ones. `None` when nothing failed: all stages
    /// would be carried.
    #[must_use]
    pub fn carried(&self, taken: &HashMap<StageName, TakenResult>) -> Option<Vec<CarriedStage>> {
        let again = self.again();
        if !again.contains(&true) {
            return None;
        }
        let carried = self.graph().stages().filter(|stage| !again[stage.index()]).filter_map(|stage| {
            let result = self.result(stage).filter(|result| result.status != Status::Skipped)?;
            let name = self.graph().name(stage);
            let own = || TakenResult {
                key: None,
                run: self.info().id,
                stage: name.clone(),
                attempt: self.attempts(stage),
                products: self.products(stage).cloned().map(Box::new),
            };
            // One that was carried already is still that of the run that made it. A kept result has its log here.
            let taken = taken.get(name).filter(|taken| taken.key.is_none()).cloned().unwrap_or_else(own);
            Some(CarriedStage { stage: name.clone(), result, taken })
        });
        Some(carried.collect())
    }

    /// Which stages run again: those that did not end well, and all that come after them. What was not selected is not
    /// selected again.
    fn again(&self) -> Vec<bool> {
        let graph = self.graph();
        let mut again = vec![false; graph.len()];
        let mut stack: Vec<StageIndex> = graph.stages().filter(|stage| self.failed(*stage)).collect();
        while let Some(stage) = stack.pop() {
            if !std::mem::replace(&mut again[stage.index()], true) {
                stack.extend(graph.dependents(stage));
            }
        }
        again
    }

    /// Whether it failed and that counts, or came to nothing because something else did.
    fn failed(&self, stage: StageIndex) -> bool {
        use crate::event::StageReason::{Cancelled, FailFast, NeedFailed};
        let Some(result) = self.result(stage) else { return true };
        match result.status {
            Status::Succeeded => false,
            Status::Skipped => {
                matches!(result.reason.as_deref(), Some(NeedFailed { .. } | Cancelled | FailFast { .. }))
            }
            _ => !result.allowed,
        }
    }
}
