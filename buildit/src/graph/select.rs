//! A part of a pipeline: some stages and what they need.

use super::{Graph, StageIndex, build};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::pipeline::PipelineSpec;

impl Graph {
    /// Which stages run when only these are asked for (`--stage`): they and all that they need, by index. No name
    /// means all stages; the name of a matrix means all of its cells.
    ///
    /// # Errors
    ///
    /// `unknown-stage` for each name that means nothing.
    pub fn select<'a>(
        &self,
        spec: &PipelineSpec,
        only: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<bool>, Diagnostics> {
        let mut findings = Vec::new();
        let mut stack: Vec<StageIndex> = Vec::new();
        let mut asked = false;
        for name in only {
            asked = true;
            let stages = self.resolve(name);
            if stages.is_empty() {
                let mut finding = Diagnostic::error("unknown-stage", format!("there is no stage `{name}`"));
                finding.help =
                    build::guess(name, self.names.all(), &mut 100_000).map(|guess| format!("did you mean `{guess}`?"));
                findings.push(finding);
            }
            stack.extend(stages);
        }
        if !findings.is_empty() {
            return Err(Diagnostics(findings));
        }
        let mut selected = vec![!asked; self.len()];
        while let Some(stage) = stack.pop() {
            if !std::mem::replace(&mut selected[stage.index()], true) {
                stack.extend(self.needs(&spec.stages[stage.index()]));
            }
        }
        Ok(selected)
    }
}
