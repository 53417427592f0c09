//! Whether a run was given what its pipeline refers to.

use super::{Plan, environment};
use crate::diagnostic::Diagnostic;
use crate::id::RunId;
use crate::pipeline::RunContext;
use crate::variables::{NoStages, ResolveError, RunInfo, Scope, Variable, closest, pipeline_env, run_variables};

impl Plan {
    /// What is wrong with starting a run of this pipeline in this context: a `${custom.NAME}` that was not given, an
    /// environment variable that would take the place of one of ours, a value that no environment can hold.
    /// Parameters are checked by whoever declares them.
    #[must_use]
    pub fn check_context(&self, context: &RunContext) -> Vec<Diagnostic> {
        let mut findings = Vec::new();
        for name in self.customs.iter().filter(|name| !context.custom.contains_key(*name)) {
            let finding = Diagnostic::error("missing-custom", format!("`custom.{name}` was not given"));
            findings.push(match closest(name, context.custom.keys().map(String::as_str)) {
                Some(meant) => finding.with_help(format!("`custom.{meant}` was")),
                None => finding.with_help("the program that starts the run gives it"),
            });
        }
        for (name, value) in &context.env {
            findings.extend(environment::problem_of_variable(name, value));
        }
        let custom = context.custom.keys().map(|name| Variable::Custom(name.clone()));
        let mut names = std::collections::BTreeMap::new();
        for variable in custom {
            if let Some(other) = names.insert(variable.environment_name(), variable.clone()) {
                let message = format!("`{variable}` and `{other}` would both be one environment variable");
                findings.push(Diagnostic::error("name-collision", message));
            }
        }
        let nothing = indexmap::IndexMap::new();
        let scope = Scope {
            context,
            plan: &self.spec,
            // Neither is looked at but for its length, which is always the same.
            run: RunInfo { id: RunId::from(uuid::Uuid::nil()), number: u64::MAX },
            stage: None,
            index: 0,
            attempt: 1,
            stages: &NoStages,
            approval: None,
            environment: &nothing,
        };
        let values = run_variables(&scope).map(drop);
        for error in [values, pipeline_env(&scope).map(drop)].into_iter().filter_map(Result::err) {
            // What was not given is told above, or by whoever checks the parameters.
            if !matches!(error, ResolveError::NotGiven { .. }) {
                findings.push(Diagnostic::error("bad-value", error.to_string()));
            }
        }
        findings
    }
}
