//! A stage as one job gets it: every reference a value.

use std::sync::Arc;

use indexmap::IndexMap;

use super::texts::{self, Treatment};
use crate::job::Environment;
use crate::pipeline::{ImageSpec, StageSpec};
use crate::variables::{
    LONGEST_VALUE, Place, Reference, ResolveError, Resolved, Resolver, Scope, Template, Variable, may_refer,
};

/// A stage as one job gets it.
#[derive(Clone, Debug)]
pub struct ResolvedStage {
    /// The stage. What depends on a secret still shows `${secrets.NAME}`, for people; its value is made of `secrets`.
    pub stage: Arc<StageSpec>,
    /// The variables of this job beyond those of the run: matrix, approval, outputs, whatever a script reads.
    pub variables: Environment,
    /// What must be filled with secrets at the last moment.
    pub secrets: SecretTemplates,
}

/// What must be filled with secrets at the last moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretTemplates {
    /// Environment variables of the job. They win over those of the same name in the stage and the pipeline.
    pub env: IndexMap<String, Template>,
    /// Environment variables of each service, by its name.
    pub services: IndexMap<String, IndexMap<String, Template>>,
    /// User and password for the registry of each image that names them, by the image's resolved reference. They may
    /// be plain.
    pub registries: IndexMap<String, (Template, Template)>,
}

impl SecretTemplates {
    /// The names of all secrets in it, with repetitions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let registries = self.registries.values().flat_map(|(user, password)| [user, password]);
        let services = self.services.values().flat_map(IndexMap::values);
        self.env.values().chain(services).chain(registries).flat_map(Template::secrets)
    }

    /// Whether there is nothing to fill.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.env.is_empty() && self.services.is_empty() && self.registries.is_empty()
    }
}

/// Puts the values into a stage's texts. A stage without references is given back as it is, and nothing is allocated.
///
/// The scope's own `stage` is not looked at; `stage` takes its place.
///
/// # Errors
///
/// [`ResolveError`] with the variable that has no value; the attempt then fails with that reason.
pub fn resolve_stage(stage: &Arc<StageSpec>, scope: &Scope<'_>) -> Result<ResolvedStage, ResolveError> {
    let scope = Scope { stage: Some(stage), ..*scope };
    let resolver = Resolver::new(&scope);
    let mut secrets = SecretTemplates::default();
    let mut variables = variables(stage, &scope)?;
    pipeline_secrets(stage, &scope, &resolver, &mut secrets)?;
    for name in &stage.secrets {
        secrets.env.insert(name.clone(), Template::secret(name.clone()));
    }
    let mut resolved =
        if refers(stage) { Arc::new(with_values(stage, &resolver, &mut secrets)?) } else { Arc::clone(stage) };
    if !scope.environment.is_empty() {
        let stage = Arc::make_mut(&mut resolved);
        let own = std::mem::replace(&mut stage.env, scope.environment.clone());
        stage.env.extend(own);
    }
    for (name, read) in stage.run().iter().flat_map(|run| &run.commands).flat_map(|command| &command.reads) {
        if secrets.env.contains_key(name) || variables.contains_key(name) {
            continue;
        }
        let value = resolver.reference(&Reference::parse(read)?)?;
        match value.plain() {
            Some(plain) if plain.len() > LONGEST_VALUE => {
                let (variable, bytes) = (read.clone(), plain.len());
                return Err(ResolveError::TooLong { variable, bytes, limit: LONGEST_VALUE });
            }
            Some(plain) => drop(variables.insert(name.clone(), plain.to_owned())),
            None => drop(secrets.env.insert(name.clone(), value)),
        }
    }
    // What the run was given wins over all, over secrets too.
    secrets.env.retain(|name, _| !scope.context.env.contains_key(name));
    Ok(ResolvedStage { stage: resolved, variables, secrets })
}

/// Whether the job of this stage is the stage as it is, whatever the run, as long as the pipeline's `env` refers to
/// nothing and no stage before it left outputs.
pub(super) fn is_plain(stage: &StageSpec) -> bool {
    let mut reads = stage.run().into_iter().flat_map(|run| &run.commands).flat_map(|command| &command.reads);
    // What a cacheable stage sees is its own.
    !stage.cacheable
        && stage.cell.is_none()
        && stage.approval.is_none()
        && stage.environment.is_none()
        && stage.secrets.is_empty()
        && stage.caches.is_empty()
        && reads.next().is_none()
        && !refers(stage)
}

/// Whether a text of the stage holds a reference or an escape, scripts and conditions aside.
fn refers(stage: &StageSpec) -> bool {
    let mut found = false;
    texts::each(stage, &mut |_, treatment, text| {
        let credentials = treatment == Treatment::Resolve(Place::Credentials);
        found |= credentials || (treatment != Treatment::Fixed && may_refer(text));
    });
    found
}

/// The variables that a job has whether a text refers to them or not.
fn variables(stage: &StageSpec, scope: &Scope<'_>) -> Result<Environment, ResolveError> {
    let mut all = Environment::new();
    let cell = stage.cell.iter().flat_map(|cell| &cell.values);
    all.extend(cell.map(|(axis, value)| (Variable::Matrix(axis.clone()).environment_name(), value.clone())));
    if let Some(approval) = scope.approval {
        all.insert(Variable::Approval("by".into()).environment_name(), approval.by.clone());
        for field in stage.approval.iter().flat_map(|approval| &approval.fields) {
            let given = approval.fields.get(&field.name).or(field.default.as_ref());
            let name = Variable::Approval(field.name.clone()).environment_name();
            all.insert(name, given.cloned().unwrap_or_default());
        }
    }
    for (name, value) in scope.environment {
        all.insert(Variable::Environment(name.clone()).environment_name(), value.clone());
    }
    scope.stages.need_outputs(scope.index, &mut |stage, key, value| {
        let variable = Variable::Output { stage: stage.to_owned(), key: key.to_owned() };
        all.insert(variable.environment_name(), value.to_owned());
    });
    match all.iter().find(|(_, value)| value.len() > LONGEST_VALUE || value.contains('\0')) {
        Some((name, value)) if value.len() > LONGEST_VALUE => {
            let (variable, bytes) = (name.clone(), value.len());
            Err(ResolveError::TooLong { variable, bytes, limit: LONGEST_VALUE })
        }
        Some((name, _)) => Err(ResolveError::Nul { variable: name.clone() }),
        None => Ok(all),
    }
}

/// What of the pipeline's `env` depends on a secret and is not set anew by the stage.
fn pipeline_secrets(
    stage: &StageSpec,
    scope: &Scope<'_>,
    resolver: &Resolver<'_, '_>,
    secrets: &mut SecretTemplates,
) -> Result<(), ResolveError> {
    if !scope.plan.env.values().any(|text| may_refer(text)) {
        return Ok(());
    }
    for (name, text) in &scope.plan.env {
        if stage.env.contains_key(name) || scope.environment.contains_key(name) || !may_refer(text) {
            continue;
        }
        if let Resolved::Secret(template) = resolver.env(name)? {
            secrets.env.insert(name.clone(), template);
        }
    }
    Ok(())
}

fn with_values(
    stage: &StageSpec,
    resolver: &Resolver<'_, '_>,
    secrets: &mut SecretTemplates,
) -> Result<StageSpec, ResolveError> {
    let mut resolved = stage.clone();
    texts::each_mut(&mut resolved, &mut |text| {
        if may_refer(text) {
            *text = resolver.resolve_plain(text)?.into_owned();
        }
        Ok::<(), ResolveError>(())
    })?;
    for (name, text) in &mut resolved.env {
        if !may_refer(text) {
            continue;
        }
        match resolver.env(name)? {
            Resolved::Plain(plain) => *text = plain.into_owned(),
            Resolved::Secret(template) => {
                *text = template.to_string();
                secrets.env.insert(name.clone(), template);
            }
        }
    }
    for service in &mut resolved.services {
        for (name, text) in &mut service.env {
            let value = resolver.resolve(text)?.into_template();
            *text = match value.plain() {
                Some(plain) => plain.to_owned(),
                None => {
                    let shown = value.to_string();
                    secrets.services.entry(service.name.clone()).or_default().insert(name.clone(), value);
                    shown
                }
            };
        }
    }
    let images = resolved.image.iter_mut().map(|image| &mut **image);
    for image in images.chain(resolved.services.iter_mut().map(|service| &mut service.image)) {
        credentials(image, resolver, secrets)?;
    }
    Ok(resolved)
}

fn credentials(
    image: &mut ImageSpec,
    resolver: &Resolver<'_, '_>,
    secrets: &mut SecretTemplates,
) -> Result<(), ResolveError> {
    let Some(credentials) = &mut image.credentials else { return Ok(()) };
    let username = resolver.resolve(&credentials.username)?.into_template();
    let password = resolver.resolve(&credentials.password)?.into_template();
    credentials.username = username.to_string();
    credentials.password = password.to_string();
    secrets.registries.insert(image.reference.clone(), (username, password));
    Ok(())
}
