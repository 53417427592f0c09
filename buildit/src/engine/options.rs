//! How a run is started.

use std::num::NonZeroU32;

use crate::id::{Digest, ExecutorName};
use crate::pipeline::{ExpandLimits, RunContext};

/// How a run is started.
#[derive(Clone, Debug, Default)]
pub struct StartOptions {
    /// The event, the commit, the parameters.
    pub context: RunContext,
    /// The archive of the source, in the engine's blob store; `None` for empty workspaces.
    pub source: Option<Digest>,
    /// The executor that every stage goes to, whatever the stage says.
    pub executor: Option<ExecutorName>,
    /// How many jobs of the run may run at once, beside what the pipeline says.
    pub max_parallel: Option<NonZeroU32>,
    /// How large the pipeline may grow.
    pub limits: ExpandLimits,
}

impl StartOptions {
    /// A run in this context.
    #[must_use]
    pub fn new(context: RunContext) -> Self {
        Self { context, ..Self::default() }
    }

    /// The same with the archive of the source.
    #[must_use]
    pub fn source(mut self, source: Digest) -> Self {
        self.source = Some(source);
        self
    }

    /// The same with every stage sent to this executor.
    #[must_use]
    pub fn executor(mut self, executor: impl Into<ExecutorName>) -> Self {
        self.executor = Some(executor.into());
        self
    }

    /// The same with at most so many jobs at once.
    #[must_use]
    pub fn max_parallel(mut self, jobs: NonZeroU32) -> Self {
        self.max_parallel = Some(jobs);
        self
    }
}
