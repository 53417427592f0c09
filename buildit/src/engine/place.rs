//! Which executor each stage goes to, decided before anything starts.

use std::sync::Arc;

use super::core::Core;
use super::placement::Placement;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::executor::{Missing, Unsupported};
use crate::id::{ExecutorName, JobId, RunId};
use crate::job::JobSpec;
use crate::pipeline::{Action, StageSpec};
use crate::plan::{Plan, StageFlags};

/// Finds an executor for each selected stage: the one that the run was sent to, or the one that the stage names,
/// or the first that can take it. Where a stage goes that is not selected does not matter, and that it could go
/// nowhere does not either.
///
/// # Errors
///
/// All stages that can go nowhere, with what is missing and the place that asks for it.
pub(super) fn find(
    core: &Core,
    plan: &Plan,
    selected: &[bool],
    sent_to: Option<&ExecutorName>,
) -> Result<Placement, Diagnostics> {
    let mut found = Vec::new();
    let mut findings = Vec::new();
    let mut job = None;
    for (index, (stage, flags)) in plan.spec().stages.iter().zip(plan.flags()).enumerate() {
        if !selected[index] {
            found.push(found.last().copied().unwrap_or_default());
            continue;
        }
        let before = findings.len();
        if flags.has(StageFlags::SPECIAL) {
            not_yet(core, stage, &mut findings);
        }
        let job = job.get_or_insert_with(|| asked_job(stage));
        job.id.stage = stage.name.clone();
        job.stage = Arc::clone(stage);
        job.index = u32::try_from(index).unwrap_or(u32::MAX);
        if findings.len() > before {
            continue;
        }
        match choose(core, stage, job, sent_to) {
            Ok(executor) => found.push(executor),
            Err(why) => findings.extend(why),
        }
    }
    if !findings.is_empty() {
        return Err(Diagnostics(findings));
    }
    let first = found.first().copied().unwrap_or_default();
    Ok(match found.iter().all(|executor| *executor == first) {
        true => Placement::All(first),
        false => Placement::Each(found.into()),
    })
}

/// A job as it is shown to an executor before the run starts: its references are not resolved yet.
fn asked_job(stage: &Arc<StageSpec>) -> JobSpec {
    JobSpec {
        id: JobId { run: RunId::new(), stage: stage.name.clone(), attempt: 1 },
        stage: Arc::clone(stage),
        index: 0,
        run_env: Arc::default(),
        variables: Default::default(),
    }
}

fn choose(
    core: &Core,
    stage: &StageSpec,
    job: &JobSpec,
    sent_to: Option<&ExecutorName>,
) -> Result<usize, Vec<Diagnostic>> {
    if let Some(name) = sent_to.or(stage.executor.as_ref()) {
        let Some(executor) = core.executor(name) else {
            let known: Vec<_> = core.executors.iter().map(|known| format!("`{}`", known.name)).collect();
            let finding = Diagnostic::error("unknown-executor", format!("there is no executor `{name}`"))
                .with_help(format!("there is {}", if known.is_empty() { "none".into() } else { known.join(", ") }));
            return Err(vec![placed(stage, "executor", finding)]);
        };
        return match core.executors[executor].executor.supports(job) {
            Ok(()) => Ok(executor),
            Err(lacks) => Err(unsupported(stage, name, &lacks)),
        };
    }
    let mut all = Vec::new();
    for (index, registered) in core.executors.iter().enumerate() {
        match registered.executor.supports(job) {
            Ok(()) => return Ok(index),
            Err(lacks) => all.extend(unsupported(stage, &registered.name, &lacks)),
        }
    }
    if all.is_empty() {
        let finding = Diagnostic::error("no-executor", "there is no executor at all");
        all.push(placed(stage, "stage", finding));
    }
    Err(all)
}

fn unsupported(stage: &StageSpec, name: &ExecutorName, lacks: &Unsupported) -> Vec<Diagnostic> {
    let finding = |missing: &Missing| {
        let message = format!("executor `{name}` cannot take stage `{}`: {}", stage.name, missing.reason);
        placed(stage, &missing.part, Diagnostic::error("unsupported", message))
    };
    lacks.missing.iter().map(finding).collect()
}

/// What parses and validates and that nothing can carry out yet: it is refused and never left out in silence.
fn not_yet(core: &Core, stage: &StageSpec, findings: &mut Vec<Diagnostic>) {
    let mut refuse = |part: &str, what: String| {
        let finding = Diagnostic::error("unsupported", format!("stage `{}`: this engine has no {what}", stage.name));
        findings.push(placed(stage, part, finding));
    };
    if !matches!(stage.action, Action::Run(_)) {
        let action = stage.action.name();
        refuse(action, format!("backend for `{action}`"));
    }
    if let Some(environment) = stage.environment.as_ref().filter(|_| core.environments.is_none()) {
        refuse("environment", format!("environments, so no `{environment}`"));
    }
    if !stage.runs_on.is_empty() {
        refuse("runs-on", "machines with labels".to_owned());
    }
}

pub(super) fn placed(stage: &StageSpec, part: &str, finding: Diagnostic) -> Diagnostic {
    let origins = &stage.origins;
    let head = part.split(['.', '[']).next().unwrap_or(part);
    let origin = origins.get(part).or_else(|| origins.get(head)).or_else(|| origins.get("stage"));
    let finding = finding.with_part(Some(stage.written_name().clone()), part.to_owned(), None);
    match origin {
        Some(origin) => finding.with_origin(origin.clone()),
        None => finding,
    }
}
