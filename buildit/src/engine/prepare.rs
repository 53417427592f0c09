//! A job out of a stage: references become values, secrets are filled in, inputs are gathered.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::core::Core;
use super::secrets::RunSecrets;
use crate::executor::{ArtifactInput, CacheInput, JobInputs, JobSecrets};
use crate::graph::StageIndex;
use crate::id::{Digest, JobId};
use crate::job::{Environment, JobSpec};
use crate::pipeline::StageSpec;
use crate::plan::resolve_stage;
use crate::run::Run;
use crate::variables::{MissingSecret, ResolveError, Scope, pipeline_env, resolve_plain, run_variables};

/// A job, with what it needs beside itself.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) job: JobSpec,
    pub(super) inputs: Arc<JobInputs>,
    pub(super) secrets: Arc<JobSecrets>,
    /// Caches that are still to be looked for, each with the beginnings of keys that will do.
    pub(super) caches: Vec<(CacheInput, Vec<String>)>,
}

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
    shared: Option<Result<Shared, ResolveError>>,
    inputs: Arc<JobInputs>,
    no_secrets: Arc<JobSecrets>,
    nothing: IndexMap<String, String>,
}

#[derive(Clone, Debug)]
struct Shared {
    run_variables: Arc<Environment>,
    pipeline_env: Arc<Environment>,
    given_env: Arc<Environment>,
}

impl Preparer {
    pub(super) fn new(run: &Run, source: Option<Digest>, secrets: RunSecrets) -> Self {
        let inputs = JobInputs { source, checkout: run.spec().checkout.clone(), ..JobInputs::default() };
        Self { secrets, shared: None, inputs: Arc::new(inputs), no_secrets: Arc::default(), nothing: IndexMap::new() }
    }

    /// The job of this attempt.
    pub(super) fn prepare(&mut self, run: &Run, stage: StageIndex, attempt: u32) -> Result<Prepared, PrepareError> {
        let spec = &run.spec().stages[stage.index()];
        let index = u32::try_from(stage.index()).unwrap_or(u32::MAX);
        let scope = Scope {
            context: run.context(),
            plan: run.spec(),
            run: run.info(),
            stage: Some(spec),
            index,
            attempt,
            stages: run,
            approval: run.approval(stage),
            environment: &self.nothing,
        };
        let shared = self.shared.get_or_insert_with(|| Shared::make(&scope)).clone()?;
        let resolved = resolve_stage(spec, &scope)?;
        let secrets = match resolved.secrets.is_empty() {
            true => Arc::clone(&self.no_secrets),
            false => Arc::new(self.secrets.fill(&resolved.secrets)?),
        };
        let artifacts = artifacts(run, spec)?;
        let caches = caches(spec, &scope)?;
        let inputs = match artifacts.is_empty() {
            true => Arc::clone(&self.inputs),
            false => Arc::new(JobInputs { artifacts, ..JobInputs::clone(&self.inputs) }),
        };
        let Shared { run_variables, pipeline_env, given_env } = shared;
        let job = JobSpec {
            id: JobId { run: run.info().id, stage: spec.name.clone(), attempt },
            stage: resolved.stage,
            index,
            run_variables,
            variables: resolved.variables,
            pipeline_env,
            given_env,
        };
        Ok(Prepared { job, inputs, secrets, caches })
    }
}

impl Shared {
    fn make(scope: &Scope<'_>) -> Result<Self, ResolveError> {
        Ok(Self {
            run_variables: Arc::new(run_variables(scope)?),
            pipeline_env: Arc::new(pipeline_env(scope)?.plain),
            given_env: Arc::new(scope.context.env.clone()),
        })
    }
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

fn caches(stage: &StageSpec, scope: &Scope<'_>) -> Result<Vec<(CacheInput, Vec<String>)>, PrepareError> {
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

impl Prepared {
    /// The inputs, with the archives of the caches that are there. A cache that cannot be looked for is as good as
    /// lost, which it may be at any time.
    pub(super) async fn find_caches(&mut self, core: &Core, pipeline: &str) {
        if self.caches.is_empty() {
            return;
        }
        let mut inputs = JobInputs::clone(&self.inputs);
        for (mut input, restore_keys) in self.caches.drain(..) {
            if let Some(caches) = &core.caches {
                match caches.find_cache(pipeline, &input.key, &restore_keys).await {
                    Ok(Some(hit)) => (input.archive, input.exact) = (Some(hit.archive), hit.exact),
                    Ok(None) => {}
                    Err(error) => tracing::warn!(cache = %input.name, %error, "a cache cannot be looked for"),
                }
            }
            inputs.caches.push(input);
        }
        self.inputs = Arc::new(inputs);
    }
}
