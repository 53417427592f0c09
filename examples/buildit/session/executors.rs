//! The executors that a run may need.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use buildit::durable::Durable;
use buildit::engine::EngineBuilder;
use buildit::executor::ExecutorError;
use buildit::id::{JobId, RunId};
use buildit::pipeline::PipelineSpec;
use buildit_executors::docker::{self, DockerOptions};
use buildit_executors::local::LocalBackend;

use crate::args::RunArgs;

/// The executors that this process registers with its engine.
#[derive(Debug)]
pub(crate) struct Executors {
    local: Arc<LocalBackend>,
}

impl Executors {
    /// Executors that keep what they need in this state folder, for runs of this source.
    pub(crate) fn new(args: &RunArgs, state: &Path, source: &Path) -> Self {
        let mut local = LocalBackend::new(state);
        if args.in_place {
            local = local.with_in_place(source);
        } else if args.keep || args.shell_on_failure {
            local = local.with_kept_workspaces();
        }
        Self { local: Arc::new(local) }
    }

    /// Adds them to an engine. A container engine is looked for only when these pipelines may need one, because most
    /// do not and not every machine has one.
    pub(crate) async fn register<'a>(
        &self,
        mut engine: EngineBuilder,
        pipelines: impl IntoIterator<Item = &'a PipelineSpec>,
        asked: Option<&str>,
    ) -> Result<EngineBuilder, ExecutorError> {
        engine = engine.executor(Durable::new(Arc::clone(&self.local)));
        let mut pipelines = pipelines.into_iter();
        let needed = match asked {
            Some(name) => name == "docker",
            None => pipelines.any(needs_containers),
        };
        if needed {
            engine = engine.executor(docker::connect(DockerOptions::new()).await?);
        }
        Ok(engine)
    }

    /// The folder that a job on this host ran in, if it is still there.
    pub(crate) fn workspace(&self, job: &JobId) -> Option<PathBuf> {
        Some(self.local.workspace(job)).filter(|folder| folder.is_dir())
    }

    /// Removes the workspaces of a run that were kept.
    pub(crate) fn discard(&self, run: RunId) -> std::io::Result<()> {
        self.local.discard_workspaces(run)
    }
}

fn needs_containers(pipeline: &PipelineSpec) -> bool {
    pipeline.stages.iter().any(|stage| match &stage.executor {
        Some(executor) => *executor == "docker",
        None => stage.image.is_some(),
    })
}
