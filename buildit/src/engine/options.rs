//! How a run is started.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;

use crate::id::{Digest, ExecutorName, RunId, TenantId};
use crate::pipeline::{ExpandLimits, RunContext};
use crate::store::WorkFolder;

/// How a run is started.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// The id of the run, which no other has; one of its own without.
    pub id: Option<RunId>,
    /// Whose it is; [nobody's](TenantId::NONE) without.
    pub tenant: TenantId,
    /// The event, the commit, the parameters.
    pub context: RunContext,
    /// The archive of the source, in the engine's blob store; `None` for empty workspaces.
    pub source: Option<Digest>,
    /// The folder that the jobs work in, to be kept with the run: [`WorkFolder`].
    pub in_place: Option<WorkFolder>,
    /// The executor that every stage goes to, whatever the stage says.
    pub executor: Option<ExecutorName>,
    /// How many jobs of the run may run at once, beside what the pipeline says.
    pub max_parallel: Option<NonZeroU32>,
    /// How large the pipeline may grow.
    pub limits: ExpandLimits,
}

impl Default for StartOptions {
    fn default() -> Self {
        Self {
            id: None,
            tenant: TenantId::NONE,
            context: RunContext::default(),
            source: None,
            in_place: None,
            executor: None,
            max_parallel: None,
            limits: ExpandLimits::default(),
        }
    }
}

impl StartOptions {
    /// A run in this context.
    #[must_use]
    pub fn new(context: RunContext) -> Self {
        Self { context, ..Self::default() }
    }

    /// The same under this id, so that whoever starts it twice starts it once.
    #[must_use]
    pub fn id(mut self, id: RunId) -> Self {
        self.id = Some(id);
        self
    }

    /// The same as a run of this tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = tenant;
        self
    }

    /// The same with the archive of the source.
    #[must_use]
    pub fn source(mut self, source: Digest) -> Self {
        self.source = Some(source);
        self
    }

    /// The same without a source and with the folder that the jobs work in, which its executors were set up for.
    #[must_use]
    pub fn in_place(mut self, folder: WorkFolder) -> Self {
        self.in_place = Some(folder);
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

/// How a run waits in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// Higher goes first; 0 without.
    pub priority: i32,
    /// Not before this; at once without.
    pub scheduled_for: Option<Timestamp>,
    /// How often it may be taken before it is a dead letter: engines that die of it or cannot drive it. 5 without.
    pub max_attempts: u32,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self { priority: 0, scheduled_for: None, max_attempts: 5 }
    }
}

/// How an engine works on the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkOptions {
    /// How many runs it drives at once; 64 without. Jobs have limits of their own.
    pub runs: usize,
    /// How often it looks when nothing tells it that there is something new; 1 s without.
    pub look: Duration,
}

impl Default for WorkOptions {
    fn default() -> Self {
        Self { runs: 64, look: Duration::from_secs(1) }
    }
}
