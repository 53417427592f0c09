//! A stage and its parts.

use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Action, Cell, Matrix, Origins, RunAction, serde_duration};
use crate::id::{ExecutorName, StageName};

/// A node of a pipeline.
///
/// Text that people write may hold references (`${git.sha}`); it is resolved when a job of the stage starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageSpec {
    /// The name, unique in the pipeline.
    pub name: StageName,
    /// What must have ended before it: stages, or a matrix by the name of its stage (all its cells).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<StageName>,
    /// The matrix that makes several stages of this one; gone once it was [expanded](super::PipelineSpec::expand).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Box<Matrix>>,
    /// The cell of a matrix that this stage is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<Box<Cell>>,
    /// When it runs at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Box<When>>,
    /// The image whose container it runs in; without one it runs on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Box<ImageSpec>>,
    /// Its environment variables.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, String>,
    /// The secrets that it gets, each as an environment variable of its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// What runs beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceSpec>,
    /// The caches that it uses, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<String>,
    /// What it does.
    pub action: Action,
    /// What it leaves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<ArtifactSpec>,
    /// Test reports that it writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reports: Option<ReportsSpec>,
    /// How long an attempt may take, without waits.
    #[serde(default, with = "serde_duration::option", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Whether and when it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Box<RetrySpec>>,
    /// What it may use of the machine.
    #[serde(default, skip_serializing_if = "ResourceSpec::is_empty")]
    pub resources: ResourceSpec,
    /// Labels of the machine that it must run on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs_on: Vec<String>,
    /// Whether an earlier result may be taken where nothing that it is [made of](crate::cached) changed. It sees no more
    /// than it declares: the files of `inputs`, without `.git`, and the variables that its commands name.
    #[serde(default)]
    pub cacheable: bool,
    /// Globs of the files that a cacheable stage sees; without one it sees no file of the source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// The environment whose variables, secrets and protection it uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// A gate that a person opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Box<ApprovalSpec>>,
    /// The executor that it must run on, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<ExecutorName>,
    /// Whether its failure does not count.
    #[serde(default)]
    pub allow_failure: bool,
    /// The folder that its commands start in, relative to the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// The words that replace the image's entry point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// Whether its container gets all rights over the host; only where the engine permits it.
    #[serde(default)]
    pub privileged: bool,
    /// Where its parts were written: `stage`, `image`, `run[0]`, `env.DATABASE`, `needs.fmt`, ….
    #[serde(default, skip_serializing_if = "Origins::is_empty")]
    pub origins: Origins,
}

impl StageSpec {
    /// A stage of this name that does this and nothing else.
    pub fn new(name: impl Into<StageName>, action: Action) -> Self {
        Self {
            name: name.into(),
            needs: Vec::new(),
            matrix: None,
            cell: None,
            when: None,
            image: None,
            env: IndexMap::new(),
            secrets: Vec::new(),
            services: Vec::new(),
            caches: Vec::new(),
            action,
            artifacts: Vec::new(),
            reports: None,
            timeout: None,
            retry: None,
            resources: ResourceSpec::default(),
            runs_on: Vec::new(),
            cacheable: false,
            inputs: Vec::new(),
            environment: None,
            approval: None,
            executor: None,
            allow_failure: false,
            workdir: None,
            entrypoint: Vec::new(),
            privileged: false,
            origins: Origins::default(),
        }
    }

    /// The commands, if its action is `run`.
    #[must_use]
    pub fn run(&self) -> Option<&RunAction> {
        match &self.action {
            Action::Run(run) => Some(run),
            _ => None,
        }
    }

    /// The name that the stage was written under: that of the matrix, for a cell.
    #[must_use]
    pub fn written_name(&self) -> &StageName {
        self.cell.as_ref().map_or(&self.name, |cell| &cell.of)
    }
}

/// When a stage runs at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Properties of the run, all of which must hold.
    Properties(WhenProperties),
    /// A CEL expression.
    Expression(String),
}

/// Properties of the run, all of which must hold; of several values of one, any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhenProperties {
    /// Globs of the branch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub branch: Vec<String>,
    /// Globs of the event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event: Vec<String>,
    /// Globs of the tag.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tag: Vec<String>,
    /// Globs of changed paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
}

/// The image of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSpec {
    /// `rust:1.90`, `registry.example/team/tool@sha256:…`.
    pub reference: String,
    /// When it is fetched.
    #[serde(default)]
    pub pull: PullPolicy,
    /// The user in the container: `1000`, `1000:1000`, `node`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `linux/amd64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Who fetches it from a private registry; without, whom the [`SecretSource`](crate::secret::SecretSource) knows for it,
    /// and then Docker's own configuration is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<RegistryCredentials>,
}

impl ImageSpec {
    /// An image by its reference.
    pub fn new(reference: impl Into<String>) -> Self {
        Self { reference: reference.into(), ..Self::default() }
    }
}

/// The registry that an image comes from, as Docker reads its reference: what stands before the first slash, if it looks
/// like a host, or else `docker.io`, which has several names.
#[must_use]
pub fn registry_of(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "index.docker.io" | "registry-1.docker.io" => "docker.io",
            host => host,
        },
        _ => "docker.io",
    }
}

/// When an image is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullPolicy {
    /// When it is not there.
    #[default]
    Missing,
    /// Before each job.
    Always,
    /// Never: it must be there.
    Never,
}

/// Who fetches an image from a private registry. Both may hold references, to secrets too; the resolved values
/// never leave memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryCredentials {
    /// The user's name.
    pub username: String,
    /// The password or token, normally `${secrets.NAME}`.
    pub password: String,
}

/// A sidecar of a stage, reached by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// The name by which the stage reaches it.
    pub name: String,
    /// Its image.
    pub image: ImageSpec,
    /// The words of its command; empty for the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Its environment.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, String>,
    /// How to know that it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<ReadySpec>,
    /// What it may use of the machine.
    #[serde(default, skip_serializing_if = "ResourceSpec::is_empty")]
    pub resources: ResourceSpec,
}

/// A shell command that is run inside a service until it exits 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadySpec {
    /// The command.
    pub command: String,
    /// How long to try.
    #[serde(with = "serde_duration")]
    pub timeout: Duration,
}

impl ReadySpec {
    /// How long a service is waited for when nothing else is said.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
}

/// Files that a stage leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactSpec {
    /// A path or glob in the workspace.
    pub path: String,
    /// The name that people find it under; the path without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it is no error that nothing matches.
    #[serde(default)]
    pub optional: bool,
    /// After which results it is kept.
    #[serde(default)]
    pub on: ArtifactWhen,
}

/// After which results of the stage an artifact is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactWhen {
    /// After success.
    #[default]
    Success,
    /// After a failure.
    Failure,
    /// In any case.
    Always,
}

/// Reports that a stage writes for people to read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportsSpec {
    /// Globs of JUnit XML files.
    #[serde(default)]
    pub junit: Vec<String>,
}

/// Whether and when a stage is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetrySpec {
    /// How many more attempts there may be after the first.
    pub limit: u32,
    /// How long to wait before the next attempt; it doubles each time.
    #[serde(default, with = "serde_duration")]
    pub backoff: Duration,
    /// After which causes; empty for any failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<RetryCause>,
}

/// A cause of failure that `retry` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryCause {
    /// The job failed by itself.
    Failed,
    /// It took too long.
    Timeout,
    /// Its container or host is gone.
    Lost,
    /// It ran out of memory.
    Oom,
}

/// What a stage or a service may use of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceSpec {
    /// Processor time in thousandths of a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u32>,
    /// Memory in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

impl ResourceSpec {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A gate that a person opens before a stage starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalSpec {
    /// What is asked. May hold references.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Who may answer: `role:admin`, `user:ann`; empty for anybody who may see the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// What is to be filled in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<ApprovalField>,
    /// How long to wait for an answer.
    #[serde(default, with = "serde_duration::option", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// Something to fill in when a stage is approved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalField {
    /// Its name, as in `${approval.note}`.
    pub name: String,
    /// Whether it must not be empty.
    #[serde(default)]
    pub required: bool,
    /// The values that are allowed; empty for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The value when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// One line for the person who answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}
