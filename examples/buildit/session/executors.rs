//! The executors that a run may need.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use buildit::durable::Durable;
use buildit::engine::EngineBuilder;
use buildit::executor::ExecutorError;
use buildit::id::{JobId, RunId};
use buildit::pipeline::RunContext;
use buildit::plan::Plan;
use buildit_executors::docker::{DockerBackend, DockerOptions};
use buildit_executors::local::LocalBackend;

use super::held::{Held, Hold};
use super::place::Place;
use super::scene::{Scene, Scenes, Witnessed};
use crate::args::RunArgs;

/// The executors that this process registers with its engine.
#[derive(Debug)]
pub(crate) struct Executors {
    local: Arc<LocalBackend>,
    docker: Option<Arc<Held<DockerBackend>>>,
    hold: Hold,
    /// Where the scenes of failed jobs go, when somebody will look at them.
    scenes: Option<Scenes>,
}

/// A run that executors are wanted for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) context: &'a RunContext,
    /// The executor that every stage is sent to.
    pub(crate) executor: Option<&'a str>,
}

/// What is left of a job, for a person to look at.
#[derive(Debug)]
pub(crate) enum Remains {
    /// Its workspace on this host.
    Folder(PathBuf),
    /// Its container, by name.
    Container(String),
}

impl std::fmt::Display for Remains {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Container(name) => write!(f, "container {name}"),
        }
    }
}

impl Executors {
    /// Executors that keep what they need in this state folder, for runs whose jobs work in this place.
    pub(crate) fn new(args: &RunArgs, state: &Path, place: &Place) -> Self {
        let hold = match (args.keep, args.shell_on_failure) {
            (true, _) => Hold::All,
            (false, true) => Hold::Failed,
            (false, false) => Hold::Nothing,
        };
        let mut local = LocalBackend::new(state);
        if let Place::InPlace(folder) = place {
            local = local.with_in_place(folder);
        } else if hold != Hold::Nothing {
            local = local.with_kept_workspaces();
        }
        let scenes = args.shell_on_failure.then(Scenes::default);
        Self { local: Arc::new(local), docker: None, hold, scenes }
    }

    /// Adds them to an engine. A container engine is looked for only when these runs may need one, because most do not
    /// and not every machine has one.
    pub(crate) async fn register(
        &mut self,
        mut engine: EngineBuilder,
        runs: &[Wanted<'_>],
    ) -> Result<EngineBuilder, ExecutorError> {
        engine = engine.executor(Durable::new(Witnessed::new(Arc::clone(&self.local), self.scenes.clone())));
        if runs.iter().any(needs_containers) {
            let docker = Arc::new(Held::new(DockerBackend::connect(DockerOptions::new()).await?, self.hold));
            self.docker = Some(Arc::clone(&docker));
            engine = engine.executor(Durable::new(Witnessed::new(docker, self.scenes.clone())));
        }
        Ok(engine)
    }

    /// What is left of a job.
    pub(crate) fn remains(&self, job: &JobId) -> Option<Remains> {
        if self.docker.as_ref().is_some_and(|docker| docker.holds(job)) {
            return Some(Remains::Container(job.backend_name()));
        }
        Some(self.local.workspace(job)).filter(|folder| folder.is_dir()).map(Remains::Folder)
    }

    /// What a job that failed had around it.
    pub(crate) fn scene(&self, job: &JobId) -> Option<Scene> {
        self.scenes.as_ref()?.of(job)
    }

    /// The container engine that this process uses.
    pub(crate) fn containers(&self) -> Option<&DockerBackend> {
        self.docker.as_deref().map(Held::inner)
    }

    /// Removes what was kept of a run.
    pub(crate) async fn discard(&self, run: RunId) -> anyhow::Result<()> {
        self.local.discard_workspaces(run).context("cannot remove the workspaces")?;
        if let Some(docker) = &self.docker {
            docker.let_go(run).await?;
        }
        Ok(())
    }
}

/// Whether a container engine may be needed for those stages that were asked for, or all.
fn needs_containers(Wanted { plan, context, executor }: &Wanted<'_>) -> bool {
    if let Some(name) = executor {
        return *name == "docker";
    }
    let stages = &plan.spec().stages;
    let mut needing = stages.iter().enumerate().filter(|(_, stage)| match &stage.executor {
        Some(executor) => *executor == "docker",
        None => stage.image.is_some(),
    });
    // What is wrong with the choice of stages is told when the run starts.
    match plan.graph().select(plan.spec(), context.only.iter().map(String::as_str)) {
        Ok(selected) => needing.any(|(index, _)| selected[index]),
        Err(_) => needing.next().is_some(),
    }
}
