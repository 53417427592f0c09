//! [`DockerBackend`]: the steps, one module each, behind the port.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status};
use bollard::query_parameters::InspectContainerOptions;
use buildit::backend::{Backend, CreateError, Created, Stopping};
use buildit::cancel::Stop;
use buildit::durable::Durable;
use buildit::executor::{ExecutorError, JobContext, RetryClass, Unsupported};
use buildit::id::{JobId, RunId};
use buildit::job::{JobOutcome, JobSpec};

use super::endpoint::Endpoint;
use super::engine::{self, Engine};
use super::error::{Failing, Trouble, trouble};
use super::fetched::Fetches;
use super::lock::lock;
use super::options::DockerOptions;
use super::pull::in_doubt;
use super::removals::Removals;
use super::supports;
use crate::script::Ending;

/// How long a container engine is given between two looks at a container that it has no good word for.
const MOMENT: Duration = Duration::from_millis(50);
/// How often it is looked at again: for 5 seconds in all.
const MOST_MOMENTS: u32 = 100;

/// An executor of jobs in containers.
pub type DockerExecutor = Durable<DockerBackend>;

/// Holds jobs in containers; see the [module](super).
#[derive(Debug)]
pub struct DockerBackend {
    pub(super) docker: Docker,
    pub(super) engine: Engine,
    pub(super) options: DockerOptions,
    pub(super) failing: Failing,
    /// Containers that this process has made and not started: these need not be looked at before.
    fresh: Mutex<HashSet<String>>,
    /// What the scripts said at the end, for the outcome.
    endings: Mutex<HashMap<String, Ending>>,
    /// Why containers could not be started, for the outcome.
    unstartable: Mutex<HashMap<String, String>>,
    pub(super) removals: Removals,
    /// The images that jobs fetch with credentials of their own.
    pub(super) fetches: Fetches,
}

impl DockerBackend {
    /// A backend on the container engine that `docker` itself would use; see [`connect`](super::connect).
    ///
    /// # Errors
    ///
    /// [`ExecutorError::Backend`] when there is none, or it does not answer.
    pub async fn connect(options: DockerOptions) -> Result<Self, ExecutorError> {
        let endpoint = Endpoint::usual(&|name| std::env::var_os(name))
            .map_err(|error| ExecutorError::backend(&options.name, error.to_string(), RetryClass::Never, error))?;
        Self::on(endpoint, options).await
    }

    /// A backend on the container engine at this address; see [`connect_to`](super::connect_to).
    ///
    /// # Errors
    ///
    /// [`ExecutorError::Backend`] when the address cannot be used or nothing answers there.
    pub async fn connect_to(address: &str, options: DockerOptions) -> Result<Self, ExecutorError> {
        Self::on(Endpoint::at(address, &|name| std::env::var_os(name)), options).await
    }

    async fn on(endpoint: Endpoint, options: DockerOptions) -> Result<Self, ExecutorError> {
        let (docker, engine) = engine::client(&endpoint, &options).await?;
        let failing = Failing { name: options.name.clone(), address: endpoint.address };
        let in_doubt = in_doubt(&docker).await.map_err(|error| failing.at("look for volumes", error))?;
        Ok(Self {
            engine,
            docker,
            failing,
            options,
            fresh: Mutex::default(),
            endings: Mutex::default(),
            unstartable: Mutex::default(),
            removals: Removals::default(),
            fetches: Fetches::new(in_doubt),
        })
    }

    /// The address of the container engine, as a URL that its own command line takes.
    #[must_use]
    pub fn address(&self) -> String {
        let address = &self.failing.address;
        if address.starts_with('/') { format!("unix://{address}") } else { address.clone() }
    }

    /// Whether the container engine is Podman.
    #[must_use]
    pub fn is_podman(&self) -> bool {
        self.engine == Engine::Podman
    }

    /// The container of this name, or `None` when there is none.
    pub(super) async fn inspect(&self, name: &str) -> Result<Option<ContainerInspectResponse>, ExecutorError> {
        let mut again = 0;
        loop {
            match self.docker.inspect_container(name, None::<InspectContainerOptions>).await {
                Ok(container) => return Ok(Some(container)),
                Err(error) if trouble(&error) == Trouble::Gone => return Ok(None),
                // Podman has a word of its own, which the API does not know, for a container that has ended and is not
                // yet cleaned up.
                Err(Error::JsonDataError { .. }) if again < MOST_MOMENTS => {
                    again += 1;
                    tokio::time::sleep(MOMENT).await;
                }
                Err(error) => return Err(self.failing.at("look at a container", error)),
            }
        }
    }

    /// How the container of this name is.
    pub(super) async fn phase(&self, name: &str) -> Result<Phase, ExecutorError> {
        let found = self.inspect(name).await?;
        Ok(found.map_or(Phase::Gone, |container| Phase::of(&container.state.unwrap_or_default())))
    }

    pub(super) fn set_fresh(&self, name: &str) {
        lock(&self.fresh).insert(name.to_owned());
    }

    pub(super) fn take_fresh(&self, name: &str) -> bool {
        lock(&self.fresh).remove(name)
    }

    pub(super) fn set_ending(&self, name: &str, ending: Ending) {
        lock(&self.endings).insert(name.to_owned(), ending);
    }

    pub(super) fn ending(&self, name: &str) -> Option<Ending> {
        lock(&self.endings).get(name).copied()
    }

    pub(super) fn set_unstartable(&self, name: &str, reason: String) {
        lock(&self.unstartable).insert(name.to_owned(), reason);
    }

    pub(super) fn unstartable(&self, name: &str) -> Option<String> {
        lock(&self.unstartable).get(name).cloned()
    }

    /// Nothing needs to be known of this job any more.
    pub(super) fn forget(&self, name: &str) {
        lock(&self.fresh).remove(name);
        lock(&self.endings).remove(name);
        lock(&self.unstartable).remove(name);
    }
}

/// How a container is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is none.
    Gone,
    /// It was never started.
    Created,
    /// It was to be started and could not be.
    Unstartable,
    /// It runs; the gate may be open or not.
    Running,
    /// It ran and ended.
    Ended,
}

impl Phase {
    pub(super) fn of(state: &ContainerState) -> Self {
        let failed = state.error.as_deref().is_some_and(|error| !error.is_empty());
        match state.status {
            Some(Status::CREATED) if failed || state.exit_code.is_some_and(|code| code != 0) => Self::Unstartable,
            Some(Status::CREATED) => Self::Created,
            Some(Status::RUNNING | Status::PAUSED | Status::RESTARTING | Status::STOPPING) => Self::Running,
            Some(Status::EXITED | Status::DEAD | Status::REMOVING | Status::EMPTY) => Self::Ended,
            None if state.running == Some(true) => Self::Running,
            None => Self::Ended,
        }
    }
}

/// Whether it is the answer that there is no such thing.
pub(super) fn is_gone(error: &Error) -> bool {
    trouble(error) == Trouble::Gone
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for DockerBackend {
    fn name(&self) -> &str {
        &self.options.name
    }

    fn supports(&self, job: &JobSpec) -> Result<(), Unsupported> {
        supports::supports(job, &self.options)
    }

    async fn create(&self, job: &JobSpec, ctx: &JobContext) -> Result<Created, CreateError> {
        self.create_job(job, ctx).await
    }

    async fn start(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError> {
        self.start_job(job, ctx).await
    }

    async fn follow(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError> {
        self.follow_job(job, ctx).await
    }

    async fn stop(&self, job: &JobId, how: Stop) -> Result<Stopping, ExecutorError> {
        self.stop_job(job, how).await
    }

    async fn outcome(&self, job: &JobSpec, ctx: &JobContext) -> Result<JobOutcome, ExecutorError> {
        self.outcome_of(job, ctx).await
    }

    async fn remove(&self, job: &JobId) -> Result<(), ExecutorError> {
        self.remove_job(job);
        Ok(())
    }

    async fn reap(&self, run: RunId) -> Result<(), ExecutorError> {
        self.reap_run(run).await
    }
}
