//! [`RunReport`].

use std::sync::Arc;

use crate::event::{RunStatus, StageResult};
use crate::id::{RunId, StageName};
use crate::job::JobProducts;
use crate::run::Run;

/// How a run ended.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The run.
    pub id: RunId,
    /// Its number within the pipeline.
    pub number: u64,
    /// How it ended.
    pub status: RunStatus,
    run: Arc<Run>,
}

impl RunReport {
    pub(super) fn new(run: Arc<Run>) -> Self {
        let info = run.info();
        Self { id: info.id, number: info.number, status: run.status(), run }
    }

    /// Each stage with its result, in the order in which they were written.
    pub fn stages(&self) -> impl Iterator<Item = (&StageName, StageResult)> {
        let graph = self.run.graph();
        graph.stages().filter_map(|stage| Some((graph.name(stage), self.run.result(stage)?)))
    }

    /// How a stage ended, by its name.
    #[must_use]
    pub fn stage(&self, name: &str) -> Option<StageResult> {
        self.run.result(self.run.graph().index(name)?)
    }

    /// What a stage left behind: outputs, artifacts, reports.
    #[must_use]
    pub fn products(&self, name: &str) -> Option<&JobProducts> {
        self.run.products(self.run.graph().index(name)?)
    }

    /// The whole state of the run.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }
}
