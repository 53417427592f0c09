//! [`EngineBuilder`].

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::Engine;
use super::clock::SystemClock;
use super::core::{Core, Parts, Registered};
use super::error::BuildError;
use super::results::Results;
use super::slots::Slots;
use crate::artifact::{BlobStore, CacheStore};
use crate::cached::{ResultStore, SourceIndexer};
use crate::clock::Clock;
use crate::environment::EnvironmentSource;
use crate::executor::Executor;
use crate::fault::FaultPlan;
use crate::id::{ExecutorName, WorkerId};
use crate::memory::MemoryStore;
use crate::secret::{MemorySecrets, SecretSource};
use crate::store::Store;

/// Makes an [`Engine`].
#[derive(Debug)]
#[must_use]
pub struct EngineBuilder {
    executors: Vec<Arc<dyn Executor>>,
    store: Option<Arc<dyn Store>>,
    blobs: Option<Arc<dyn BlobStore>>,
    caches: Option<Arc<dyn CacheStore>>,
    results: Option<Arc<dyn ResultStore>>,
    indexer: Option<Arc<dyn SourceIndexer>>,
    max_results: usize,
    secrets: Option<Arc<dyn SecretSource>>,
    environments: Option<Arc<dyn EnvironmentSource>>,
    clock: Arc<dyn Clock>,
    faults: Option<Arc<dyn FaultPlan>>,
    worker: Option<WorkerId>,
    lease: Duration,
    grace: Duration,
    max_jobs: usize,
    limits: Vec<(ExecutorName, usize)>,
    max_parallel: Option<NonZeroU32>,
    log_limit: Option<NonZeroU64>,
}

/// How many jobs an engine runs at once when nothing else is said: more than a small machine can use, and few enough
/// that a wide pipeline of shell scripts does not take it down.
const DEFAULT_MAX_JOBS: usize = 64;

/// How long a lease holds. A paused or dead engine's runs can be taken over after it; it is renewed at a third.
const DEFAULT_LEASE: Duration = Duration::from_secs(30);

/// A lease may not be longer, so that a run never waits longer for another engine.
const LONGEST_LEASE: Duration = Duration::from_secs(60);

/// How long a job may take to end in good order (LANGUAGE: "cancel").
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// How much of a job's output is stored when nothing else is said, in bytes: millions of lines, and little enough that
/// a job that never stops talking fills no disk.
const DEFAULT_LOG_LIMIT: u64 = 256 * 1024 * 1024;

/// How many results of a pipeline are kept when nothing else is said: those of a large pipeline for some days.
const DEFAULT_MAX_RESULTS: usize = 20_000;

impl Default for EngineBuilder {
    fn default() -> Self {
        Self {
            executors: Vec::new(),
            store: None,
            blobs: None,
            caches: None,
            results: None,
            indexer: None,
            max_results: DEFAULT_MAX_RESULTS,
            secrets: None,
            environments: None,
            clock: Arc::new(SystemClock),
            faults: None,
            worker: None,
            lease: DEFAULT_LEASE,
            grace: DEFAULT_GRACE,
            max_jobs: DEFAULT_MAX_JOBS,
            limits: Vec::new(),
            max_parallel: None,
            log_limit: NonZeroU64::new(DEFAULT_LOG_LIMIT),
        }
    }
}

impl EngineBuilder {
    /// Adds an executor, under its own name. A stage that names none goes to the first that can take it.
    pub fn executor(mut self, executor: impl Executor) -> Self {
        self.executors.push(Arc::new(executor));
        self
    }

    /// Where runs, events and logs are kept. Without one, in memory.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Where sources and artifacts are kept. Without one, in memory.
    pub fn blobs(mut self, blobs: Arc<dyn BlobStore>) -> Self {
        self.blobs = Some(blobs);
        self
    }

    /// Where caches are found. Without one, caches are neither found nor saved.
    pub fn caches(mut self, caches: Arc<dyn CacheStore>) -> Self {
        self.caches = Some(caches);
        self
    }

    /// Where results of `cacheable` stages are kept and found. Without one, every such stage runs.
    ///
    /// Every executor of this engine must lay out no more than it is told to
    /// ([`JobInputs::only`](crate::executor::JobInputs::only)): otherwise a kept result may be that of other files.
    pub fn results(mut self, results: Arc<dyn ResultStore>) -> Self {
        self.results = Some(results);
        self
    }

    /// What reads the archives of sources. Without it no result is kept of a stage that has `inputs`.
    pub fn source_indexer(mut self, indexer: impl SourceIndexer) -> Self {
        self.indexer = Some(Arc::new(indexer));
        self
    }

    /// How many results of one pipeline are kept; 20,000 without. Those that were not used for longest go first.
    pub fn max_results(mut self, results: usize) -> Self {
        self.max_results = results;
        self
    }

    /// Where the values of secrets come from. Without one there are none.
    pub fn secrets(mut self, secrets: impl SecretSource) -> Self {
        self.secrets = Some(Arc::new(secrets));
        self
    }

    /// Where the environments come from that stages name. Without one, a run with such a stage is refused.
    pub fn environments(mut self, environments: impl EnvironmentSource) -> Self {
        self.environments = Some(Arc::new(environments));
        self
    }

    /// The clock; without one, that of this machine.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Who is told of crash points: for tests.
    pub fn faults(mut self, faults: Arc<dyn FaultPlan>) -> Self {
        self.faults = Some(faults);
        self
    }

    /// The name under which this engine holds its leases. It must differ from that of any other engine on the same
    /// store; without one it is random.
    pub fn worker(mut self, worker: impl Into<WorkerId>) -> Self {
        self.worker = Some(worker.into());
        self
    }

    /// How long a lease on a run holds; 30 s without.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long a job may take to end in good order before it is killed; 10 s without.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How many jobs may run at once; 64 without. 0 counts as 1.
    pub fn max_jobs(mut self, jobs: usize) -> Self {
        self.max_jobs = jobs;
        self
    }

    /// How many jobs may run at once on this executor. 0 counts as 1.
    pub fn executor_limit(mut self, executor: impl Into<ExecutorName>, jobs: usize) -> Self {
        self.limits.push((executor.into(), jobs));
        self
    }

    /// How many jobs of one run may run at once, for runs that are started without a limit of their own.
    pub fn max_parallel(mut self, jobs: NonZeroU32) -> Self {
        self.max_parallel = Some(jobs);
        self
    }

    /// How much of a job's output is stored, in bytes as the job wrote them; 256 MiB without, 0 for all. A job that
    /// writes more goes on undisturbed: what is beyond is left out of its log, with a notice, but for the last
    /// [`TAIL`](crate::log::TAIL) bytes.
    pub fn log_limit(mut self, bytes: u64) -> Self {
        self.log_limit = NonZeroU64::new(bytes);
        self
    }

    /// The engine. It starts nothing by itself: see [`Engine::resume`] for the runs of an earlier engine.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when names clash or a limit is meaningless.
    pub fn build(self) -> Result<Engine, BuildError> {
        let mut executors: Vec<Registered> = Vec::with_capacity(self.executors.len());
        for executor in self.executors {
            let name = ExecutorName::from(executor.name());
            if executors.iter().any(|known| known.name == name) {
                return Err(BuildError::DoubleExecutor(name));
            }
            executors.push(Registered { name, adoption: executor.adoption(), executor });
        }
        if self.lease.is_zero() || self.lease > LONGEST_LEASE {
            return Err(BuildError::BadLease);
        }
        let mut free = vec![usize::MAX; executors.len()];
        for (name, jobs) in self.limits {
            let at = executors.iter().position(|known| known.name == name);
            free[at.ok_or(BuildError::UnknownExecutor(name))?] = jobs.max(1);
        }
        let memory = MemoryStore::new();
        let core = Core::new(Parts {
            executors,
            store: self.store.unwrap_or_else(|| Arc::new(memory.clone())),
            blobs: self.blobs.unwrap_or_else(|| Arc::new(memory)),
            caches: self.caches,
            results: self.results.map(|store| Results::new(store, self.indexer, self.max_results)),
            secrets: self.secrets.unwrap_or_else(|| Arc::new(MemorySecrets::new())),
            environments: self.environments,
            clock: self.clock,
            faults: self.faults,
            worker: self.worker.unwrap_or_else(|| Uuid::now_v7().to_string().into()),
            lease: self.lease,
            grace: self.grace,
            max_parallel: self.max_parallel,
            log_limit: self.log_limit,
            slots: Slots::new(self.max_jobs.max(1), free),
        });
        Ok(Engine { core: Arc::new(core) })
    }
}
