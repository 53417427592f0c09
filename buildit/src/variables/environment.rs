//! What `env.NAME` is, and the variables that all jobs of a run share.

use std::borrow::Cow;

use indexmap::IndexMap;

use super::resolve::{LONGEST_VALUE, ResolveError, Resolver, checked, plain_value};
use super::scope::Scope;
use super::template::Template;
use super::variable::{Fixed, Variable};
use crate::job::Environment;

/// The environment that people set for a stage, as far as it is built: the pipeline's `env`, the environment's
/// variables, the stage's `env`, in this order.
///
/// A value sees what was set before it, so `PATH "/opt/bin:${env.PATH}"` adds to what the pipeline said and nothing
/// can refer to itself. What the run was given wins wherever it is read, so it is looked up first and not in here.
#[derive(Debug, Default)]
pub(crate) struct EnvTable {
    values: IndexMap<String, Result<Template, ResolveError>>,
}

impl EnvTable {
    pub(super) fn of(scope: &Scope<'_>) -> Self {
        let mut resolver = Resolver::with_table(scope, Self::default());
        for (name, text) in &scope.plan.env {
            resolver.set(name, text);
        }
        for (name, value) in scope.environment {
            resolver.table_mut().values.insert(name.clone(), Ok(Template::from(value.clone())));
        }
        for (name, text) in scope.stage.iter().flat_map(|stage| &stage.env) {
            resolver.set(name, text);
        }
        resolver.into_table()
    }

    pub(super) fn value(&self, name: &str) -> Option<Result<Template, ResolveError>> {
        self.values.get(name).cloned()
    }
}

impl Resolver<'_, '_> {
    fn set(&mut self, name: &str, text: &str) {
        let value = self.resolve(text).map(|resolved| resolved.into_template());
        let value = value.and_then(|template| {
            if template.text_len() > LONGEST_VALUE {
                let (variable, bytes) = (format!("env.{name}"), template.text_len());
                return Err(ResolveError::TooLong { variable, bytes, limit: LONGEST_VALUE });
            }
            Ok(template)
        });
        self.table_mut().values.insert(name.to_owned(), value);
    }
}

/// The pipeline's `env`, resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipelineEnv {
    /// What depends on no secret.
    pub plain: Environment,
    /// What does.
    pub secret: IndexMap<String, Template>,
}

/// Resolves the pipeline's `env`, once for all stages: nothing in it depends on a stage.
///
/// # Errors
///
/// [`ResolveError`] when a value cannot be resolved.
pub fn pipeline_env(scope: &Scope<'_>) -> Result<PipelineEnv, ResolveError> {
    let nothing = IndexMap::new();
    let scope = Scope { stage: None, environment: &nothing, ..*scope };
    let mut env = PipelineEnv::default();
    for (name, value) in EnvTable::of(&scope).values {
        let value = value?;
        match value.plain() {
            Some(plain) => drop(env.plain.insert(name, plain.to_owned())),
            None => drop(env.secret.insert(name, value)),
        }
    }
    Ok(env)
}

/// The variables that all jobs of a run share: `CI=true`, and for each variable of the run its environment variable.
/// A variable without a value is there and empty, so that `set -u` does not stumble over it.
///
/// # Errors
///
/// [`ResolveError`] when a value is too long or has a NUL. The commit's message is cut instead.
pub fn run_variables(scope: &Scope<'_>) -> Result<Environment, ResolveError> {
    let mut all = Environment::new();
    all.insert("CI".into(), "true".into());
    let fixed = Fixed::ALL.iter().filter(|fixed| !fixed.is_of_stage()).map(|fixed| Variable::Fixed(*fixed));
    let params = scope.plan.params.iter().map(|param| Variable::Param(param.name.clone()));
    let custom = scope.context.custom.keys().map(|name| Variable::Custom(name.clone()));
    for variable in fixed.chain(params).chain(custom) {
        let value = match plain_value(&variable, scope) {
            Ok(value) => value,
            // A parameter that nobody gave: whoever refers to it fails with that reason.
            Err(ResolveError::NotGiven { .. }) => continue,
            Err(error) => return Err(error),
        };
        let value = checked(&variable, value)?;
        all.insert(variable.environment_name(), Cow::into_owned(value));
    }
    Ok(all)
}

impl Fixed {
    /// Whether it differs from stage to stage of one run.
    #[must_use]
    pub fn is_of_stage(self) -> bool {
        matches!(self, Self::StageName | Self::StageIndex | Self::StageAttempt)
    }
}
