//! A job out of a stage: references become values, secrets are filled in, inputs are gathered.

use std::collections::HashMap;
use std::sync::Arc;

use super::host::RunHost;
use super::secrets::RunSecrets;
use crate::cached::names_variable;
use crate::executor::{ArtifactInput, CacheInput, JobInputs, JobSecrets};
use crate::graph::StageIndex;
use crate::id::{Digest, JobId};
use crate::job::{Environment, JobSpec, RunEnvironment};
use crate::pipeline::StageSpec;
use crate::plan::{Plan, StageFlags, resolve_stage};
use crate::run::Run;
use crate::variables::{
    MissingSecret, ResolveError, Scope, Variable, may_refer, pipeline_env, resolve_plain, run_variables,
};

/// A job, with what it needs beside itself and beside what all jobs of the run have.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) job: JobSpec,
    pub(super) inputs: Option<JobInputs>,
    pub(super) secrets: Option<JobSecrets>,
    /// Caches that are still to be looked for.
    pub(super) caches: Vec<WantedCache>,
}

/// A cache that is still to be looked for, with the beginnings of keys that will do.
pub(super) type WantedCache = (CacheInput, Vec<String>);

/// Why an attempt cannot start. It ends with the cause `start` and this reason.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrepareError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Secret(#[from] MissingSecret),
    #[error("stages `{first}` and `{second}` both bring `{path}`")]
    SamePath { first: String, second: String, path: String },
    #[error("there is no cache `{0}`")]
    NoCache(String),
}

/// Makes the jobs of one run. What all of them share is made when the first of them asks for it.
#[derive(Debug)]
pub(super) struct Preparer {
    secrets: RunSecrets,
    run_env: Option<Result<Arc<RunEnvironment>, ResolveError>>,
    inputs: Arc<JobInputs>,
    /// Whether the pipeline's `env` refers to anything, so that no stage is plain.
    env_refers: bool,
    plan: Plan,
}

impl Preparer {
    pub(super) fn new(plan: &Plan, source: Option<Digest>, secrets: RunSecrets) -> Self {
        let inputs = JobInputs { source, checkout: plan.spec().checkout.clone(), ..JobInputs::default() };
        let env_refers = plan.spec().env.values().any(|text| may_refer(text));
        let inputs = Arc::new(inputs);
        Self { secrets, run_env: None, inputs, env_refers, plan: plan.clone() }
    }

    /// What every job of the run has laid out.
    pub(super) fn inputs(&self) -> &Arc<JobInputs> {
        &self.inputs
    }

    /// The job of this attempt.
    pub(super) fn prepare(&mut self, run: &Run, stage: StageIndex, attempt: u32) -> Result<Prepared, PrepareError> {
        let spec = &run.spec().stages[stage.index()];
        let index = u32::try_from(stage.index()).unwrap_or(u32::MAX);
        // A plain stage is not looked at: each is somewhere else in memory, which among many takes longer than all the rest.
        let scope = || Scope {
            context: run.context(),
            plan: run.spec(),
            run: run.info(),
            stage: Some(spec),
            index,
            attempt,
            stages: run,
            approval: run.approval(stage),
            environment: run.context().variables_of(spec),
        };
        let run_env = self.run_env.get_or_insert_with(|| run_env(&scope())).clone()?;
        let id = JobId { run: run.info().id, stage: run.graph().name(stage).clone(), attempt };
        let is_plain = self.plan.flags()[stage.index()].has(StageFlags::PLAIN);
        if is_plain && !self.env_refers && !run.has_products() {
            let job = JobSpec { id, stage: Arc::clone(spec), index, run_env, variables: Environment::new() };
            let mut secrets = JobSecrets::default();
            self.secrets.log_in(spec, &mut secrets);
            return Ok(Prepared { job, inputs: None, secrets: unless_empty(secrets), caches: Vec::new() });
        }
        let scope = scope();
        let resolved = resolve_stage(spec, &scope)?;
        let mut secrets = self.secrets.fill(&resolved.secrets, spec.environment.as_deref())?;
        self.secrets.log_in(&resolved.stage, &mut secrets);
        let artifacts = artifacts(run, spec)?;
        let caches = caches(spec, &scope)?;
        let only = spec.cacheable.then(|| resolved.stage.inputs.clone());
        let inputs = match artifacts.is_empty() && only.is_none() {
            true => None,
            false => Some(JobInputs { artifacts, only, ..JobInputs::clone(&self.inputs) }),
        };
        let mut job = JobSpec { id, stage: resolved.stage, index, run_env, variables: resolved.variables };
        if spec.cacheable {
            narrow(&mut job);
        }
        Ok(Prepared { job, inputs, secrets: unless_empty(secrets), caches })
    }
}

/// An executor is handed secrets only if there are any.
fn unless_empty(secrets: JobSecrets) -> Option<JobSecrets> {
    (!secrets.is_empty()).then_some(secrets)
}

fn run_env(scope: &Scope<'_>) -> Result<Arc<RunEnvironment>, ResolveError> {
    Ok(Arc::new(RunEnvironment {
        variables: run_variables(scope)?,
        pipeline: pipeline_env(scope)?.plain,
        given: scope.context.env.clone(),
    }))
}

/// Leaves a cacheable job no variable of the run but those that its commands name, its cell, and `CI`.
fn narrow(job: &mut JobSpec) {
    let stage = Arc::clone(&job.stage);
    let is_named = |name: &str| names_variable(&stage, name);
    let axes = stage.cell.iter().flat_map(|cell| cell.values.keys());
    let cell: Vec<String> = axes.map(|axis| Variable::Matrix(axis.clone()).environment_name()).collect();
    job.variables.retain(|name, _| is_named(name) || cell.contains(name));
    let own = job.own_variables().into_iter().filter(|(name, _)| is_named(name));
    let own: Vec<_> = own.map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
    job.variables.extend(own);
    let RunEnvironment { variables, pipeline, given } = &*job.run_env;
    let named = variables.iter().filter(|(name, _)| *name == "CI" || is_named(name));
    let variables = named.map(|(name, value)| (name.clone(), value.clone())).collect();
    job.run_env = Arc::new(RunEnvironment { variables, pipeline: pipeline.clone(), given: given.clone() });
}

/// What the direct needs of a stage left; two that bring the same path are an error that names both.
fn artifacts(run: &Run, stage: &StageSpec) -> Result<Vec<ArtifactInput>, PrepareError> {
    let mut all: Vec<ArtifactInput> = Vec::new();
    if !run.has_products() {
        return Ok(all);
    }
    for need in run.graph().needs(stage) {
        let Some(products) = run.products(need) else { continue };
        let name = run.graph().name(need);
        for artifact in &products.artifacts {
            all.push(ArtifactInput {
                stage: name.clone(),
                name: artifact.name.clone(),
                archive: artifact.digest,
                paths: artifact.paths.clone(),
            });
        }
    }
    if all.len() > 1 {
        let mut owners = HashMap::new();
        for input in &all {
            for path in &input.paths {
                let owner = owners.entry(path.as_str()).or_insert(&input.stage);
                if **owner != input.stage {
                    return Err(PrepareError::SamePath {
                        first: owner.to_string(),
                        second: input.stage.to_string(),
                        path: path.clone(),
                    });
                }
            }
        }
    }
    Ok(all)
}

fn caches(stage: &StageSpec, scope: &Scope<'_>) -> Result<Vec<WantedCache>, PrepareError> {
    let mut all = Vec::new();
    for name in &stage.caches {
        let known = scope.plan.caches.iter().find(|cache| cache.name == *name);
        let cache = known.ok_or_else(|| PrepareError::NoCache(name.clone()))?;
        let key = resolve_plain(&cache.key, scope)?.into_owned();
        let mut restore_keys = Vec::with_capacity(cache.restore_keys.len());
        for text in &cache.restore_keys {
            restore_keys.push(resolve_plain(text, scope)?.into_owned());
        }
        let (name, paths) = (cache.name.clone(), cache.paths.clone());
        all.push((CacheInput { name, paths, key, archive: None, exact: false }, restore_keys));
    }
    Ok(all)
}

/// The inputs, with the archives of the caches that are there. A cache that cannot be looked for is as good as lost,
/// which it may be at any time.
pub(super) async fn find(host: &RunHost, inputs: &JobInputs, caches: Vec<WantedCache>) -> JobInputs {
    let mut inputs = inputs.clone();
    for (mut input, restore_keys) in caches {
        if let Some(store) = &host.core.caches {
            for scope in host.bus.apart.iter().chain([&host.bus.scope]) {
                match store.find_cache(scope, &input.key, &restore_keys).await {
                    Ok(Some(hit)) if hit.exact || input.archive.is_none() => {
                        (input.archive, input.exact) = (Some(hit.archive), hit.exact);
                        if hit.exact {
                            break;
                        }
                    }
                    Ok(_) => {}
                    Err(error) => tracing::warn!(cache = %input.name, %error, "a cache cannot be looked for"),
                }
            }
        }
        inputs.caches.push(input);
    }
    inputs
}
