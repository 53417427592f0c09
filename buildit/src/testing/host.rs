//! What a job's context needs when there is no engine.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use indexmap::IndexMap;
use secrecy::SecretString;
use tokio::sync::watch;

use crate::artifact::BlobStore;
use crate::clock::Clock;
use crate::engine::SystemClock;
use crate::executor::{JobContext, JobContextBuilder, JobHost, JobSecrets, LeaseLost, LogCursor, LogError, LogWrite};
use crate::id::{FencingToken, JobId, RunId};
use crate::job::{Environment, JobSpec, LogLine, RunEnvironment};
use crate::log::{LogObserver, LogOptions, LogWriter};
use crate::memory::MemoryStore;
use crate::pipeline::{PipelineSpec, RunContext, StageSpec};
use crate::secret::{Masker, SecretError};
use crate::store::{Lease, LogChunk, LogStore, NewRun, RunStore, StoreError};

/// Stands where an engine would, so that an executor can be run alone: logs are masked and kept in memory, the lease
/// can be taken away.
///
/// ```
/// use buildit::executor::Executor;
/// use buildit::job::JobOutcome;
/// use buildit::pipeline::StageBuilder;
/// use buildit::testing::{Script, ScriptedExecutor, TestHost};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let host = TestHost::new().await?;
/// let job = host.job(StageBuilder::run("test", "cargo test").build());
/// let outcome = ScriptedExecutor::new("local", Script::new()).run(&job, host.context(&job.id).await?.build()).await?;
/// assert_eq!(outcome, JobOutcome::succeeded());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TestHost {
    store: MemoryStore,
    run: RunId,
    token: FencingToken,
    masker: Arc<Masker>,
    secrets: Arc<JobSecrets>,
    writers: Mutex<HashMap<JobId, LogWriter>>,
    stored: Arc<Stored>,
    is_lease_lost: AtomicBool,
}

#[derive(Debug)]
struct Stored(watch::Sender<u64>);

impl LogObserver for Stored {
    fn stored(&self, _: &JobId, _: &[LogChunk]) {
        self.0.send_modify(|count| *count += 1);
    }
}

impl TestHost {
    /// A host of a run without secrets.
    ///
    /// # Errors
    ///
    /// [`StoreError`] never, as long as there is memory.
    pub async fn new() -> Result<Arc<Self>, StoreError> {
        Self::with_masker(Masker::none(), JobSecrets::default()).await
    }

    /// A host of a run whose jobs all get these secrets, as environment variables of their names.
    ///
    /// # Errors
    ///
    /// [`SecretError`] when one of them cannot be masked.
    pub async fn with_secrets<'a>(
        secrets: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Arc<Self>, SecretError> {
        let env: IndexMap<String, SecretString> =
            secrets.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let masker = Masker::new(env.iter().map(|(name, value)| (name.as_str(), value)))?;
        let host = Self::with_masker(masker, JobSecrets { env, ..JobSecrets::default() }).await;
        host.map_err(|error| SecretError::Source { name: "the test's".into(), source: Box::new(error) })
    }

    async fn with_masker(masker: Masker, secrets: JobSecrets) -> Result<Arc<Self>, StoreError> {
        let (store, run, clock) = (MemoryStore::new(), RunId::new(), SystemClock);
        let new = NewRun {
            id: run,
            ..NewRun::new(
                PipelineSpec { name: "test".into(), ..PipelineSpec::default() },
                RunContext::manual(),
                clock.now(),
            )
        };
        store.create_run(new).await?;
        let until = clock.now().saturating_add(Duration::from_secs(3600)).unwrap_or(jiff::Timestamp::MAX);
        let token = store.lease_run(run, Lease { worker: "test".into(), until }, clock.now()).await?;
        Ok(Arc::new(Self {
            store,
            run,
            token,
            masker: Arc::new(masker),
            secrets: Arc::new(secrets),
            writers: Mutex::default(),
            stored: Arc::new(Stored(watch::Sender::new(0))),
            is_lease_lost: AtomicBool::new(false),
        }))
    }

    /// The run that all its jobs are of.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The blobs that jobs put and find.
    #[must_use]
    pub fn blobs(&self) -> Arc<dyn BlobStore> {
        Arc::new(self.store.clone())
    }

    /// The first attempt of this stage.
    #[must_use]
    pub fn job(&self, stage: StageSpec) -> JobSpec {
        self.attempt(stage, 1)
    }

    /// An attempt of this stage.
    #[must_use]
    pub fn attempt(&self, stage: StageSpec, attempt: u32) -> JobSpec {
        JobSpec {
            id: JobId { run: self.run, stage: stage.name.clone(), attempt },
            stage: Arc::new(stage),
            index: 0,
            run_env: Arc::new(RunEnvironment {
                variables: Environment::from([("CI".to_owned(), "true".to_owned())]),
                ..RunEnvironment::default()
            }),
            variables: Environment::default(),
        }
    }

    /// A context for this job that goes on where its stored log ends, as that of an engine that was just started. An
    /// earlier context of the job must not be used any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] never, as long as there is memory.
    pub async fn context(self: &Arc<Self>, job: &JobId) -> Result<JobContextBuilder, StoreError> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner).remove(job);
        let cursor = self.store.log_cursor(job).await?;
        let host: Arc<dyn JobHost> = Arc::clone(self) as _;
        Ok(JobContext::builder(host, self.blobs()).secrets(Arc::clone(&self.secrets)).cursor(cursor))
    }

    /// The stored log of a job.
    ///
    /// # Errors
    ///
    /// [`StoreError`] never, as long as there is memory.
    pub async fn log_of(&self, job: &JobId) -> Result<Vec<LogLine>, StoreError> {
        let page = self.store.read_log(job, 0, usize::MAX).await?;
        Ok(page.chunks.iter().flat_map(LogChunk::iter).collect())
    }

    /// Waits until this many lines of a job's log are stored.
    ///
    /// # Errors
    ///
    /// [`StoreError`] never, as long as there is memory.
    pub async fn logged(&self, job: &JobId, lines: u64) -> Result<(), StoreError> {
        let mut stored = self.stored.0.subscribe();
        while self.store.log_cursor(job).await?.line < lines {
            // The sender lives as long as this host.
            let _ = stored.changed().await;
        }
        Ok(())
    }

    /// Takes the lease away, as an engine that has taken the run over does.
    pub fn lose_lease(&self) {
        self.is_lease_lost.store(true, Ordering::Release);
    }

    async fn writer(&self, job: &JobId) -> Result<LogWriter, LogError> {
        let cursor: LogCursor = self.store.log_cursor(job).await.map_err(|error| LogError::Store(Box::new(error)))?;
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = writers.entry(job.clone()).or_insert_with(|| {
            let store = Arc::new(self.store.clone());
            let (masker, clock) = (Arc::clone(&self.masker), Arc::new(SystemClock));
            let options = LogOptions { observer: Some(Arc::clone(&self.stored) as _), limit: None };
            LogWriter::with(store, job.clone(), self.token, cursor, masker, clock, options)
        });
        Ok(writer.clone())
    }
}

#[async_trait]
impl JobHost for TestHost {
    async fn log(&self, job: &JobId, write: LogWrite) -> Result<(), LogError> {
        self.writer(job).await?.write(write).await.map(drop)
    }

    async fn flush(&self, job: &JobId) -> Result<(), LogError> {
        self.writer(job).await?.flush().await.map(drop)
    }

    fn stored(&self, job: &JobId) -> LogCursor {
        let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.get(job).map(LogWriter::cursor).unwrap_or_default()
    }

    async fn confirm_lease(&self, _: &JobId) -> Result<(), LeaseLost> {
        if self.is_lease_lost.load(Ordering::Acquire) { Err(LeaseLost) } else { Ok(()) }
    }

    fn mask(&self, text: &str) -> String {
        self.masker.mask(text)
    }

    fn holds_secret(&self, text: &str) -> bool {
        self.masker.holds(text)
    }
}
