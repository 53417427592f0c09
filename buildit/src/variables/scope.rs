//! What is known where a text is resolved.

use indexmap::IndexMap;

use crate::event::Approval;
use crate::id::RunId;
use crate::job::Status;
use crate::pipeline::{PipelineSpec, RunContext, StageSpec};

/// Which run a text is resolved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunInfo {
    /// The run.
    pub id: RunId,
    /// Its number within the pipeline.
    pub number: u64,
}

/// What stages did so far in a run.
pub trait StageValues {
    /// How this stage ended; `None` while it has not, or when there is no such stage.
    fn status(&self, stage: &str) -> Option<Status>;

    /// What this stage wrote to `$BUILDIT_OUTPUT` under this key.
    fn output(&self, stage: &str, key: &str) -> OutputValue<'_>;

    /// Calls `each` with stage, key and value for every output of every direct need of the stage at this index.
    ///
    /// They become environment variables of the stage's jobs. It is called for each job, so it should cost nothing
    /// where no output was set.
    fn need_outputs(&self, index: u32, each: &mut dyn FnMut(&str, &str, &str)) {
        let _ = (index, each);
    }
}

/// An output of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputValue<'a> {
    /// It has this value.
    Value(&'a str),
    /// The stage ran and did not set it.
    Unset,
    /// The stage did not run.
    NotRun {
        /// Why not, as the end of a sentence: `was skipped`.
        reason: &'a str,
    },
}

/// Stages of which nothing is known: for texts that are resolved before the first stage runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStages;

impl StageValues for NoStages {
    fn status(&self, _: &str) -> Option<Status> {
        None
    }

    fn output(&self, _: &str, _: &str) -> OutputValue<'_> {
        OutputValue::NotRun { reason: "has not run yet" }
    }
}

/// What is known where a text is resolved.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// What the run was started with.
    pub context: &'a RunContext,
    /// The pipeline: its name, its parameters' defaults, its `env`.
    pub plan: &'a PipelineSpec,
    /// The run.
    pub run: RunInfo,
    /// The stage that the text belongs to; `None` for the pipeline's own texts.
    pub stage: Option<&'a StageSpec>,
    /// The stage's place in the pipeline, from 0.
    pub index: u32,
    /// The attempt, from 1.
    pub attempt: u32,
    /// What other stages did.
    pub stages: &'a dyn StageValues,
    /// The answer that opened the stage's gate.
    pub approval: Option<&'a Approval>,
    /// The variables of the stage's environment, and the outputs of its stack.
    pub environment: &'a IndexMap<String, String>,
}

impl std::fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope")
            .field("run", &self.run)
            .field("stage", &self.stage.map(|stage| &stage.name))
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
