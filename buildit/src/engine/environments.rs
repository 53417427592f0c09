//! The environments that a run's stages name, asked for when the run is made.

use std::sync::Arc;

use super::core::Core;
use super::place::placed;
use crate::diagnostic::Diagnostic;
use crate::environment::EnvironmentError;
use crate::plan::{Plan, StageFlags, problem_of_variable};
use crate::store::NewRun;

/// The run with the environments that its selected stages name. Those that cannot be used are told as findings; an engine
/// without a source of them says so when it looks for an executor.
pub(super) async fn find(
    core: &Core,
    plan: &Plan,
    selected: &[bool],
    new: NewRun,
    findings: &mut Vec<Diagnostic>,
) -> Result<NewRun, EnvironmentError> {
    let Some(source) = &core.environments else { return Ok(without(new)) };
    let mut new = without(new);
    let stages = plan.spec().stages.iter().zip(plan.flags()).zip(selected);
    let naming = stages.filter(|((_, flags), selected)| **selected && flags.has(StageFlags::ENVIRONMENT));
    for ((stage, _), _) in naming {
        let Some(name) = stage.environment.as_deref() else { continue };
        if new.context.environments.contains_key(name) {
            continue;
        }
        let Some(environment) = source.environment(new.tenant, name).await? else {
            let finding = Diagnostic::error("unknown-environment", format!("there is no environment `{name}`"));
            findings.push(placed(stage, "environment", finding));
            continue;
        };
        let problems = environment.variables.iter().filter_map(|(name, value)| problem_of_variable(name, value));
        findings.extend(problems.map(|finding| placed(stage, "environment", finding)));
        Arc::make_mut(&mut new.context).environments.insert(name.to_owned(), environment);
    }
    Ok(new)
}

/// The run without what an earlier one, or its embedding program, says of environments.
fn without(mut new: NewRun) -> NewRun {
    if !new.context.environments.is_empty() {
        Arc::make_mut(&mut new.context).environments.clear();
    }
    new
}
