//! What an executor gets beside the job itself.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use indexmap::IndexMap;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::artifact::BlobStore;
use crate::cancel::CancelSignal;
use crate::fault::{CrashPoint, FaultPlan};
use crate::id::{Digest, JobId, StageName};
use crate::job::Stream;
use crate::pipeline::CheckoutSpec;

/// What an executor gets beside the job itself: where the log goes, when to stop, what to lay out.
///
/// Clones are the same context.
#[derive(Clone, Debug)]
pub struct JobContext {
    shared: Arc<Shared>,
    cancel: CancelSignal,
    cursor: LogCursor,
    successors: usize,
}

/// What most jobs of a run have in common, behind one pointer: contexts are made and cloned for every job.
#[derive(Clone, Debug)]
struct Shared {
    host: Arc<dyn JobHost>,
    blobs: Arc<dyn BlobStore>,
    inputs: Arc<JobInputs>,
    secrets: Arc<JobSecrets>,
    faults: Option<Arc<dyn FaultPlan>>,
    grace: Duration,
}

/// What stands behind a [`JobContext`]: the engine, or a test.
#[async_trait]
pub trait JobHost: Debug + Send + Sync + 'static {
    /// Takes bytes of the log. They may end anywhere: lines are put together, masked, numbered and stored by the
    /// host. It returns when there is room for more, so a slow store slows the reader and nothing is dropped.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log cannot be stored.
    async fn log(&self, job: &JobId, write: LogWrite) -> Result<(), LogError>;

    /// Ends a line that was begun, stores all that was taken, and returns when it is stored.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log cannot be stored.
    async fn flush(&self, job: &JobId) -> Result<(), LogError>;

    /// How far the job's log is stored by now: what lies before may be given up by whoever wrote it. A host that does
    /// not tell has nothing given up.
    fn stored(&self, job: &JobId) -> LogCursor {
        let _ = job;
        LogCursor::default()
    }

    /// Whether this engine still drives the run. Asked between the creation of a job and its release.
    ///
    /// # Errors
    ///
    /// [`LeaseLost`] when another engine has taken over, or when nobody can tell.
    async fn confirm_lease(&self, job: &JobId) -> Result<(), LeaseLost>;

    /// The text with every secret of the run masked, for messages, names and other short text.
    fn mask(&self, text: &str) -> String;

    /// Whether the text holds a secret of the run, in any of its forms.
    fn holds_secret(&self, text: &str) -> bool {
        self.mask(text) != text
    }
}

/// A physical output of a job, whose bytes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Physical {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How far each physical output of a job has been stored, in raw bytes: where to go on after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogCursor {
    /// Raw bytes of standard output that are stored or were passed over.
    pub stdout: u64,
    /// Raw bytes of standard error.
    pub stderr: u64,
    /// The number of the last line that is stored; 0 for none.
    pub line: u64,
}

impl LogCursor {
    /// The raw offset of one output.
    #[must_use]
    pub fn offset(&self, physical: Physical) -> u64 {
        match physical {
            Physical::Stdout => self.stdout,
            Physical::Stderr => self.stderr,
        }
    }

    /// Moves the raw offset of one output.
    pub fn set_offset(&mut self, physical: Physical, offset: u64) {
        match physical {
            Physical::Stdout => self.stdout = offset,
            Physical::Stderr => self.stderr = offset,
        }
    }
}

/// Bytes of a job's log.
#[derive(Clone, Debug)]
pub struct LogWrite {
    /// Where people see them come from.
    pub stream: Stream,
    /// The bytes, which may end within a line or a character.
    pub bytes: Bytes,
    /// The physical output that the bytes were read from, and the raw offset behind them. The stored cursor follows
    /// it, line by line: with an offset, a line is stored once however often it is written, because the executor
    /// begins at the cursor. Bytes between two writes that were not passed on (markers) count as passed over, which
    /// end a line that was begun. A write of [`Stream::Command`] stands in for all raw bytes behind the last position
    /// (an echo in place of its mark) and consists of whole lines, which are stored together.
    /// Without it the bytes come from nowhere that can be read again.
    pub position: Option<(Physical, u64)>,
}

/// What is laid out in a job's workspace before it starts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobInputs {
    /// The archive (tar) of the source as it was at the run's start; none for an empty workspace.
    pub source: Option<Digest>,
    /// The globs of the source's files that the job sees, as [`InputGlobs`](crate::cached::InputGlobs) reads them;
    /// `None` for all of them. An executor that lays out others makes kept results lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<String>>,
    /// How the source was checked out.
    pub checkout: CheckoutSpec,
    /// Archives of what other stages left, laid over the source.
    pub artifacts: Vec<ArtifactInput>,
    /// Caches to restore and to save.
    pub caches: Vec<CacheInput>,
}

/// An artifact of another stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactInput {
    /// The stage that left it.
    pub stage: StageName,
    /// Its name.
    pub name: String,
    /// Its archive.
    pub archive: Digest,
    /// The files in it.
    pub paths: Vec<String>,
}

/// A cache that the stage uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheInput {
    /// Its name in the pipeline.
    pub name: String,
    /// What it holds: paths in the workspace, or in the home folder.
    pub paths: Vec<String>,
    /// The key to save it under, resolved.
    pub key: String,
    /// The archive to begin with, if one was found.
    pub archive: Option<Digest>,
    /// Whether that archive was saved under exactly `key`: then it need not be saved again.
    pub exact: bool,
}

/// The secrets that a job may see. Never serialized; its `Debug` shows names only.
#[derive(Clone, Debug, Default)]
pub struct JobSecrets {
    /// Environment variables of the job that are secret: those that the stage lists, and values of `env` that refer
    /// to one.
    pub env: IndexMap<String, SecretString>,
    /// The same for each service, by its name.
    pub services: IndexMap<String, IndexMap<String, SecretString>>,
    /// User and password for the registry of each image that has them, by the image's resolved reference.
    pub registries: IndexMap<String, (String, SecretString)>,
}

impl JobSecrets {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        let Self { env, services, registries } = self;
        env.is_empty() && services.is_empty() && registries.is_empty()
    }
}

/// This engine no longer drives the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease on the run is lost")]
pub struct LeaseLost;

/// A job's log could not be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Another engine drives the run.
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    /// The store failed.
    #[error("cannot store the log")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl JobContext {
    /// A context that stands on this host.
    pub fn builder(host: Arc<dyn JobHost>, blobs: Arc<dyn BlobStore>) -> JobContextBuilder {
        let shared = Shared {
            host,
            blobs,
            inputs: Arc::default(),
            secrets: Arc::default(),
            faults: None,
            grace: Duration::from_secs(10),
        };
        let (shared, cancel) = (Arc::new(shared), CancelSignal::new());
        JobContextBuilder(Self { shared, cancel, cursor: LogCursor::default(), successors: 0 })
    }

    /// A context like this one for another job, which is told by this signal when to stop and whose log is new.
    #[must_use]
    pub fn for_job(&self, cancel: CancelSignal) -> Self {
        Self { shared: Arc::clone(&self.shared), cancel, cursor: LogCursor::default(), successors: 0 }
    }

    /// The same context with what the builder is told in place of what is here.
    #[must_use]
    pub fn rebuild(self) -> JobContextBuilder {
        JobContextBuilder(self)
    }

    /// Adds bytes to the log; see [`JobHost::log`].
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log cannot be stored.
    pub async fn log(&self, job: &JobId, write: LogWrite) -> Result<(), LogError> {
        self.shared.host.log(job, write).await
    }

    /// Adds a whole line to the log.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log cannot be stored.
    pub async fn log_line(&self, job: &JobId, stream: Stream, text: &str) -> Result<(), LogError> {
        let bytes = Bytes::from(format!("{text}\n"));
        self.shared.host.log(job, LogWrite { stream, bytes, position: None }).await
    }

    /// Ends a line that was begun and waits until all of the log is stored.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log cannot be stored.
    pub async fn flush(&self, job: &JobId) -> Result<(), LogError> {
        self.shared.host.flush(job).await
    }

    /// Whether this engine still drives the run; see [`JobHost::confirm_lease`].
    ///
    /// # Errors
    ///
    /// [`LeaseLost`] when it does not, or nobody can tell.
    pub async fn confirm_lease(&self, job: &JobId) -> Result<(), LeaseLost> {
        self.shared.host.confirm_lease(job).await
    }

    /// How far the job's log is stored by now, as far as the host tells.
    #[must_use]
    pub fn stored(&self, job: &JobId) -> LogCursor {
        self.shared.host.stored(job)
    }

    /// The text with every secret of the run masked.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        self.shared.host.mask(text)
    }

    /// Whether the text holds a secret of the run.
    #[must_use]
    pub fn holds_secret(&self, text: &str) -> bool {
        self.shared.host.holds_secret(text)
    }

    /// When to stop.
    #[must_use]
    pub fn cancel(&self) -> &CancelSignal {
        &self.cancel
    }

    /// How long a job may take to end in good order before it is killed.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.shared.grace
    }

    /// What to lay out.
    #[must_use]
    pub fn inputs(&self) -> &JobInputs {
        &self.shared.inputs
    }

    /// Where archives come from and go to.
    #[must_use]
    pub fn blobs(&self) -> &Arc<dyn BlobStore> {
        &self.shared.blobs
    }

    /// The secrets that the job may see.
    #[must_use]
    pub fn secrets(&self) -> &JobSecrets {
        &self.shared.secrets
    }

    /// Where the stored log of this job ends; all zero for a job that is new.
    #[must_use]
    pub fn cursor(&self) -> LogCursor {
        self.cursor
    }

    /// How many stages, as far as is known, start at the same executor next: they wait for nothing but this job, or
    /// for room. What they need can be made ready while this job runs, as long as nothing is left if they never start.
    #[must_use]
    pub fn successors(&self) -> usize {
        self.successors
    }

    /// Tells the fault plan, if there is one, that this point is reached.
    pub fn reach(&self, point: CrashPoint, job: &JobId) {
        if let Some(faults) = &self.shared.faults {
            faults.reach(point, Some(job));
        }
    }
}

/// Makes a [`JobContext`].
#[derive(Clone, Debug)]
pub struct JobContextBuilder(JobContext);

impl JobContextBuilder {
    /// What is this context's own: taken apart from others that had it too.
    fn shared(&mut self) -> &mut Shared {
        Arc::make_mut(&mut self.0.shared)
    }

    /// What to lay out.
    #[must_use]
    pub fn inputs(mut self, inputs: impl Into<Arc<JobInputs>>) -> Self {
        self.shared().inputs = inputs.into();
        self
    }

    /// The secrets that the job may see.
    #[must_use]
    pub fn secrets(mut self, secrets: impl Into<Arc<JobSecrets>>) -> Self {
        self.shared().secrets = secrets.into();
        self
    }

    /// Who is told of crash points.
    #[must_use]
    pub fn faults(mut self, faults: Option<Arc<dyn FaultPlan>>) -> Self {
        self.shared().faults = faults;
        self
    }

    /// When to stop.
    #[must_use]
    pub fn cancel(mut self, cancel: CancelSignal) -> Self {
        self.0.cancel = cancel;
        self
    }

    /// Where the stored log ends.
    #[must_use]
    pub fn cursor(mut self, cursor: LogCursor) -> Self {
        self.0.cursor = cursor;
        self
    }

    /// How many stages start next.
    #[must_use]
    pub fn successors(mut self, count: usize) -> Self {
        self.0.successors = count;
        self
    }

    /// How long a job may take to end in good order.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.shared().grace = grace;
        self
    }

    /// The context.
    #[must_use]
    pub fn build(self) -> JobContext {
        self.0
    }
}
