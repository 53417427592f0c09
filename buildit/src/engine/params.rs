//! Whether a run was given what its pipeline asks for, and nothing that must not be kept.

use crate::diagnostic::Diagnostic;
use crate::pipeline::{PipelineSpec, RunContext};
use crate::secret::Masker;
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

/// What of a run's context holds a secret: it would be kept with the run, in clear (guarantee G4). Nothing of the
/// value is in the finding, and of a name no more than its mask.
pub(super) fn in_clear(spec: &PipelineSpec, context: &RunContext, masker: &Masker) -> Vec<Diagnostic> {
    if masker.is_empty() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (kind, part, values) in [
        ("parameter", "params", &context.params),
        ("environment variable", "env", &context.env),
        ("custom value", "custom", &context.custom),
    ] {
        for (name, _) in values.iter().filter(|(name, value)| masker.holds(name) || masker.holds(value)) {
            let shown = masker.mask(name);
            let finding = Diagnostic::error("secret-in-clear", format!("the {kind} `{shown}` holds a secret"))
                .with_help("it would be kept with the run; let the stage read it as a secret: `secrets \"NAME\"`")
                .with_part(None, format!("{part}.{shown}"), None);
            let param = spec.params.iter().find(|param| part == "params" && param.name == *name);
            findings.push(match param.and_then(|param| param.origin.clone()) {
                Some(origin) => finding.with_origin(origin),
                None => finding,
            });
        }
    }
    for (name, environment) in &context.environments {
        let held = |(name, value): &(&String, &String)| masker.holds(name) || masker.holds(value);
        for (variable, _) in environment.variables.iter().filter(held) {
            let (name, shown) = (masker.mask(name), masker.mask(variable));
            let message = format!("the variable `{shown}` of environment `{name}` holds a secret");
            findings.push(
                Diagnostic::error("secret-in-clear", message)
                    .with_help("it would be kept with the run; make it a secret of the environment"),
            );
        }
    }
    let git = &context.git;
    let mut texts = vec![
        ("branch", &git.branch),
        ("tag", &git.tag),
        ("commit message", &git.message),
        ("commit's author", &git.author),
        ("author's address", &git.author_email),
        ("run's address", &context.url),
    ];
    if let Some(request) = &context.pull_request {
        texts.extend([
            ("pull request's title", &request.title),
            ("pull request's base", &request.base),
            ("pull request's head", &request.head),
        ]);
    }
    findings.extend(
        texts
            .into_iter()
            .filter(|(_, text)| masker.holds(text))
            .map(|(what, _)| Diagnostic::error("secret-in-clear", format!("the {what} holds a secret"))),
    );
    if context.changes.iter().flatten().any(|path| masker.holds(path)) {
        findings.push(Diagnostic::error("secret-in-clear", "the name of a file that changed holds a secret"));
    }
    findings
}
