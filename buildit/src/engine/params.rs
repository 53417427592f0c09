//! Whether a run was given what its pipeline asks for.

use crate::diagnostic::Diagnostic;
use crate::pipeline::{PipelineSpec, RunContext};
use crate::variables::closest;

/// All that is wrong with the parameters of a run, and with the choice of its stages.
pub(super) fn check(spec: &PipelineSpec, context: &RunContext) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for param in &spec.params {
        let part = format!("params.{}", param.name);
        let finding = match context.params.get(&param.name).or(param.default.as_ref()) {
            None => Diagnostic::error("missing-param", format!("parameter `{}` was not given", param.name)),
            Some(value) if !param.choices.is_empty() && !param.choices.contains(value) => {
                let message = format!("parameter `{}` cannot be `{value}`", param.name);
                Diagnostic::error("bad-param", message).with_help(format!("choose {}", param.choices.join(", ")))
            }
            Some(_) => continue,
        };
        let finding = finding.with_part(None, part, None);
        findings.push(match &param.origin {
            Some(origin) => finding.with_origin(origin.clone()),
            None => finding,
        });
    }
    for name in context.params.keys().filter(|name| spec.params.iter().all(|param| param.name != **name)) {
        let finding = Diagnostic::error("unknown-param", format!("the pipeline has no parameter `{name}`"));
        findings.push(match closest(name, spec.params.iter().map(|param| param.name.as_str())) {
            Some(meant) => finding.with_help(format!("did you mean `{meant}`?")),
            None => finding,
        });
    }
    findings
}
