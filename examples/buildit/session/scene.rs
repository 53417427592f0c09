//! What a job that failed had around it, for a person to look at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use buildit::backend::{Backend, CreateError, Created, Stopping};
use buildit::cancel::Stop;
use buildit::executor::{ExecutorError, JobContext, Unsupported};
use buildit::id::{JobId, RunId};
use buildit::job::{Environment, JobOutcome, JobSpec, Status};
use secrecy::SecretString;

/// What a job had around it. The secrets are in memory alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    /// Its variables, resolved, without secrets.
    pub(crate) variables: Environment,
    /// Its secret variables.
    pub(crate) secrets: Vec<(String, SecretString)>,
    /// Where in the workspace it ran.
    pub(crate) workdir: String,
    /// Whether it had services beside it, on a network of its own.
    pub(crate) has_services: bool,
}

/// The scenes of jobs that failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scenes(Arc<Mutex<HashMap<JobId, Scene>>>);

impl Scenes {
    /// That of a job; `None` when it failed before this process followed it.
    pub(crate) fn of(&self, job: &JobId) -> Option<Scene> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(job).cloned()
    }

    fn note(&self, job: &JobSpec, ctx: &JobContext) {
        let mut variables = job.environment();
        // By this one the processes of a job are found and killed, and a person's shell is none of them.
        variables.shift_remove("BUILDIT_JOB_ID");
        let secrets = ctx.secrets().env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let workdir = job.stage.workdir.clone().unwrap_or_default();
        let scene = Scene { variables, secrets, workdir, has_services: !job.stage.services.is_empty() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(job.id.clone(), scene);
    }
}

/// A backend whose failed jobs leave their scene, where scenes are wanted.
#[derive(Debug)]
pub(crate) struct Witnessed<B> {
    inner: B,
    scenes: Option<Scenes>,
}

impl<B: Backend> Witnessed<B> {
    /// The backend, whose scenes go here.
    pub(crate) fn new(inner: B, scenes: Option<Scenes>) -> Self {
        Self { inner, scenes }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Backend> Backend for Witnessed<B> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn supports(&self, job: &JobSpec) -> Result<(), Unsupported> {
        self.inner.supports(job)
    }

    async fn create(&self, job: &JobSpec, ctx: &JobContext) -> Result<Created, CreateError> {
        self.inner.create(job, ctx).await
    }

    async fn start(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError> {
        self.inner.start(job, ctx).await
    }

    async fn follow(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError> {
        self.inner.follow(job, ctx).await
    }

    async fn stop(&self, job: &JobId, how: Stop) -> Result<Stopping, ExecutorError> {
        self.inner.stop(job, how).await
    }

    async fn outcome(&self, job: &JobSpec, ctx: &JobContext) -> Result<JobOutcome, ExecutorError> {
        let outcome = self.inner.outcome(job, ctx).await?;
        if let Some(scenes) = &self.scenes
            && outcome.status != Status::Succeeded
        {
            scenes.note(job, ctx);
        }
        Ok(outcome)
    }

    async fn remove(&self, job: &JobId) -> Result<(), ExecutorError> {
        self.inner.remove(job).await
    }

    async fn reap(&self, run: RunId) -> Result<(), ExecutorError> {
        self.inner.reap(run).await
    }
}
