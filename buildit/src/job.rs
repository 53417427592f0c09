//! A job: one attempt of one stage, as an executor gets it, and how it ended.

use std::borrow::Cow;
use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{Digest, JobId};
use crate::pipeline::{RetryCause, StageSpec};

/// Environment variables by name; the later of two wins.
pub type Environment = IndexMap<String, String>;

/// What an executor is asked to do. It holds no secret's value: those are in the job's context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Which attempt this is.
    pub id: JobId,
    /// The stage. Its references are resolved (an image is a real reference, a command has its script); what
    /// depends on a secret still holds `${secrets.NAME}`, and its value is in the context.
    pub stage: Arc<StageSpec>,
    /// The stage's place in the pipeline, from 0: `stage.index`.
    pub index: u32,
    /// What all jobs of the run have in their environment.
    pub run_env: Arc<RunEnvironment>,
    /// Variables of this job: outputs of other stages, cells, approvals.
    pub variables: Environment,
}

/// What all jobs of a run have in their environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunEnvironment {
    /// Variables of the run: `CI`, `BUILDIT_GIT_SHA`, ….
    pub variables: Environment,
    /// The pipeline's `env`, resolved; without what depends on a secret.
    pub pipeline: Environment,
    /// What the run was given, which wins over all.
    pub given: Environment,
}

impl JobSpec {
    /// The job's whole environment but secrets, in the order of LANGUAGE's precedence: variables, the pipeline's
    /// `env`, the stage's, what the run was given. What the executor itself sets comes before all of it.
    ///
    /// A cacheable stage has nothing of its own place and attempt in it unless it refers to that: then it is among the
    /// job's [`variables`](Self::variables).
    #[must_use]
    pub fn environment(&self) -> Environment {
        let RunEnvironment { variables, pipeline, given } = &*self.run_env;
        let mut all = Environment::with_capacity(
            variables.len() + self.variables.len() + pipeline.len() + self.stage.env.len() + given.len() + 4,
        );
        let mut set = |name: &str, value: Cow<'_, str>| {
            all.insert(name.to_owned(), value.into_owned());
        };
        for (name, value) in variables.iter().chain(&self.variables) {
            set(name, Cow::Borrowed(value));
        }
        if !self.stage.cacheable {
            for (name, value) in self.own_variables() {
                set(name, value);
            }
        }
        for (name, value) in pipeline.iter().chain(&self.stage.env).chain(given) {
            set(name, Cow::Borrowed(value));
        }
        all
    }

    /// What tells this job from others of its stage and of its run.
    pub(crate) fn own_variables(&self) -> [(&'static str, Cow<'_, str>); 4] {
        [
            ("BUILDIT_STAGE_NAME", Cow::Borrowed(&*self.id.stage)),
            ("BUILDIT_STAGE_INDEX", Cow::Owned(self.index.to_string())),
            ("BUILDIT_STAGE_ATTEMPT", Cow::Owned(self.id.attempt.to_string())),
            ("BUILDIT_JOB_ID", Cow::Owned(self.id.backend_name())),
        ]
    }
}

/// The word for how a stage or an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It did what it was to do.
    Succeeded,
    /// It did not.
    Failed,
    /// It took longer than it may.
    TimedOut,
    /// Somebody or something stopped it.
    Cancelled,
    /// Its container or host is gone.
    Lost,
    /// It never started: stages only.
    Skipped,
}

impl Status {
    /// The word as scripts read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
            Self::Skipped => "skipped",
        }
    }
}

/// Why an attempt did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A command ended with another code than 0.
    Exit,
    /// A signal killed it.
    Signal,
    /// It ran out of memory.
    Oom,
    /// It took longer than it may.
    Timeout,
    /// Its container or host is gone.
    Lost,
    /// It could not be started: a missing image, shell or input, a reference that has no value.
    Start,
    /// An artifact or the output file is missing or bad.
    Output,
    /// The approval was refused or timed out.
    Approval,
    /// The backend broke; nobody's pipeline is to blame.
    Infrastructure,
}

impl Cause {
    /// The word as scripts read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::Oom => "oom",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::Start => "start",
            Self::Output => "output",
            Self::Approval => "approval",
            Self::Infrastructure => "infrastructure",
        }
    }

    /// The word under which `retry … on=` names this cause, if it can.
    #[must_use]
    pub fn retry_cause(self) -> Option<RetryCause> {
        match self {
            Self::Exit | Self::Signal | Self::Start | Self::Output => Some(RetryCause::Failed),
            Self::Oom => Some(RetryCause::Oom),
            Self::Timeout => Some(RetryCause::Timeout),
            Self::Lost | Self::Infrastructure => Some(RetryCause::Lost),
            Self::Approval => None,
        }
    }
}

/// How a job ended. A failed job is an outcome; that the backend broke is an
/// [`ExecutorError`](crate::executor::ExecutorError).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobOutcome {
    /// How it ended; never [`Status::Skipped`].
    pub status: Status,
    /// The exit code of the command that ended it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Why it did not succeed; `None` exactly when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// One line for people about what went wrong, with no secret in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<str>>,
    /// What it left behind, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub products: Option<Box<JobProducts>>,
}

impl JobOutcome {
    /// It succeeded and left nothing.
    #[must_use]
    pub fn succeeded() -> Self {
        Self { status: Status::Succeeded, exit_code: Some(0), cause: None, message: None, products: None }
    }

    /// A command ended with this code, which is not 0.
    #[must_use]
    pub fn failed(exit_code: i32) -> Self {
        Self { exit_code: Some(exit_code), ..Self::ended(Status::Failed, Cause::Exit) }
    }

    /// It took longer than it may.
    #[must_use]
    pub fn timed_out() -> Self {
        Self::ended(Status::TimedOut, Cause::Timeout)
    }

    /// It was stopped on request.
    #[must_use]
    pub fn cancelled() -> Self {
        Self { cause: None, ..Self::ended(Status::Cancelled, Cause::Signal) }
    }

    /// Its container or host is gone.
    #[must_use]
    pub fn lost() -> Self {
        Self::ended(Status::Lost, Cause::Lost)
    }

    /// It failed for this cause, with a line for people.
    pub fn failed_because(cause: Cause, message: impl Into<Box<str>>) -> Self {
        Self { message: Some(message.into()), ..Self::ended(Status::Failed, cause) }
    }

    fn ended(status: Status, cause: Cause) -> Self {
        Self { status, exit_code: None, cause: Some(cause), message: None, products: None }
    }

    /// The same with a line for people.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Box<str>>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// The same with what it left behind.
    #[must_use]
    pub fn with_products(mut self, products: JobProducts) -> Self {
        self.products = (products != JobProducts::default()).then(|| Box::new(products));
        self
    }
}

/// What a job left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobProducts {
    /// What it wrote to `$BUILDIT_OUTPUT`: `stages.NAME.outputs.KEY`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub outputs: IndexMap<String, String>,
    /// Its artifacts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// Its test reports, one archive, if it declared any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reports: Option<Artifact>,
    /// What it wrote to `$BUILDIT_SUMMARY`: Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Box<str>>,
    /// The caches that it would save: name, key and archive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<SavedCache>,
}

impl JobProducts {
    /// The addresses of all the blobs among it.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        let artifacts = self.artifacts.iter().chain(&self.reports).map(|artifact| artifact.digest);
        artifacts.chain(self.caches.iter().map(|cache| cache.digest))
    }
}

/// An artifact: an archive (tar) of what one `artifacts` node matched, with paths relative to the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The name that people find it under.
    pub name: String,
    /// The archive's address.
    pub digest: Digest,
    /// The archive's size.
    pub bytes: u64,
    /// The files in it, sorted.
    pub paths: Vec<String>,
}

/// A cache that a job filled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedCache {
    /// The cache's name in the pipeline.
    pub name: String,
    /// The key, resolved.
    pub key: String,
    /// The archive's address.
    pub digest: Digest,
    /// The archive's size.
    pub bytes: u64,
}

/// Where a line of a job's log came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// The job's standard output.
    Stdout,
    /// The job's standard error.
    Stderr,
    /// The echo of a command before it runs, and notices of the engine itself (an image is pulled), which begin with
    /// [`NOTICE`].
    Command,
}

/// What tells a notice on [`Stream::Command`] from the echo of a command.
pub const NOTICE: &str = "buildit: ";

impl Stream {
    /// The word as scripts read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Command => "command",
        }
    }
}

/// A line of a job's log, masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its number within the job, from 1, without gaps.
    pub line: u64,
    /// When it was read.
    pub time: Timestamp,
    /// Where it came from.
    pub stream: Stream,
    /// The text without its line end; bytes that are no UTF-8 have become U+FFFD.
    pub text: String,
}
