//! Names of environment variables: which can be set, which are ours, which would be two things at once.

use indexmap::IndexMap;

use super::findings::Findings;
use crate::diagnostic::Diagnostic;
use crate::pipeline::{PipelineSpec, StageSpec};
use crate::variables::{LONGEST_VALUE, NAMESPACES, Reference, Variable, is_code_variable};

/// Variables of the executors, beside those of the namespaces.
const OWN: &[&str] = &["BUILDIT_OUTPUT", "BUILDIT_SUMMARY", "BUILDIT_JOB_ID"];

/// Whether the variable is one that BuildIt sets itself.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("BUILDIT_") else { return false };
    let of_namespace = |namespace: &&str| {
        rest.strip_prefix(namespace.to_ascii_uppercase().as_str()).is_some_and(|rest| rest.starts_with('_'))
    };
    OWN.contains(&name) || NAMESPACES.iter().any(of_namespace)
}

/// What is wrong with an environment that sets this variable to this value.
#[must_use]
pub fn problem_of_variable(name: &str, value: &str) -> Option<Diagnostic> {
    if value.len() > LONGEST_VALUE || value.contains('\0') {
        let message = format!("the value of `{name}` has a NUL, or more than {LONGEST_VALUE} bytes");
        return Some(Diagnostic::error("bad-value", message));
    }
    problem(name, "")
}

/// What is wrong with setting this variable to this text.
pub(super) fn problem(name: &str, text: &str) -> Option<Diagnostic> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Some(Diagnostic::error(
            "bad-env-name",
            format!("`{}` cannot be the name of an environment variable", name.escape_debug()),
        ));
    }
    if is_reserved(name) {
        return Some(
            Diagnostic::error("reserved-env", format!("`{name}` is set by BuildIt itself"))
                .with_help("give it a name of your own"),
        );
    }
    if is_code_variable(name) && crate::variables::may_refer(text) {
        return Some(
            Diagnostic::error("reference-in-code", format!("a shell reads the value of `{name}` as code"))
                .with_help("write the value out, without a reference"),
        );
    }
    None
}

pub(super) fn check_pipeline(spec: &PipelineSpec, out: &mut Findings) {
    for (name, text) in &spec.env {
        if let Some(finding) = problem(name, text) {
            out.pipeline(spec, format!("env.{name}"), None, finding);
        }
    }
    let mut names = IndexMap::new();
    for param in &spec.params {
        let name = Variable::Param(param.name.clone()).environment_name();
        if let Some(other) = names.insert(name.clone(), &param.name).filter(|other| **other != param.name) {
            let message =
                format!("`params.{}` and `params.{other}` would both be the environment variable `{name}`", param.name);
            let finding = Diagnostic::error("name-collision", message).with_help("rename one of them");
            out.add(finding.with_part(None, format!("params.{}", param.name), None), param.origin.clone());
        }
    }
}

/// `reads` are the variables of the stage's scripts.
pub(super) fn check_stage(stage: &StageSpec, reads: &IndexMap<String, Reference>, out: &mut Findings) {
    for (name, text) in &stage.env {
        if let Some(finding) = problem(name, text) {
            out.stage(stage, format!("env.{name}"), None, finding);
        }
    }
    for secret in &stage.secrets {
        if let Some(text) = stage.env.get(secret).filter(|text| **text != format!("${{secrets.{secret}}}")) {
            let _ = text;
            let message = format!("`{secret}` is a secret of the stage and set in its `env`");
            let finding =
                Diagnostic::error("name-collision", message).with_help("rename the variable, or take one of them out");
            out.stage(stage, format!("env.{secret}"), None, finding);
        }
        if let Some(finding) = problem(secret, "") {
            out.stage(stage, "secrets".into(), None, finding);
        }
    }
    if stage.matrix.is_none() && stage.approval.is_none() {
        return;
    }
    let axes = stage.matrix.iter().flat_map(|matrix| matrix.axes.keys()).map(|axis| Variable::Matrix(axis.clone()));
    let fields = stage.approval.iter().flat_map(|approval| &approval.fields);
    let fields = fields.map(|field| Variable::Approval(field.name.clone()));
    let mut names: IndexMap<String, Variable> = IndexMap::new();
    let known = reads.iter().map(|(name, reference)| (name.clone(), reference.variable.clone()));
    for (name, variable) in axes.chain(fields).map(|variable| (variable.environment_name(), variable)).chain(known) {
        if let Some(other) = names.insert(name.clone(), variable.clone()).filter(|other| *other != variable) {
            let message = format!("`{variable}` and `{other}` would both be the environment variable `{name}`");
            out.stage(stage, variable.namespace().to_owned(), None, Diagnostic::error("name-collision", message));
        }
    }
}
