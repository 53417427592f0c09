//! What a stage does in the end.

use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::serde_duration;

/// The one action that a stage ends in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
#[non_exhaustive]
pub enum Action {
    /// Commands in a shell.
    Run(RunAction),
    /// A deployment of a service to an environment.
    Deploy(DeployAction),
    /// A command on an infrastructure stack.
    Terraform(TerraformAction),
    /// A container image built from a Dockerfile.
    BuildImage(BuildImageAction),
}

impl Action {
    /// The node's name in the language.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Run(_) => "run",
            Self::Deploy(_) => "deploy",
            Self::Terraform(_) => "terraform",
            Self::BuildImage(_) => "build-image",
        }
    }
}

/// Commands that share one shell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAction {
    /// The commands, in order; the first that fails ends the stage.
    pub commands: Vec<Command>,
    /// The shell that reads them.
    #[serde(default)]
    pub shell: Shell,
}

/// One `run` node: a piece of shell script of one or more lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The text as it was written, references included: what is echoed before it runs.
    pub source: String,
    /// The text that the shell reads: each reference has become a quoted expansion of an environment variable
    /// (guarantee G6), and the variables that it needs are in `reads`. `None` until the pipeline was compiled:
    /// then `source` has no reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// The environment variables that `script` reads, each with the reference whose value it has:
    /// `("BUILDIT_GIT_BRANCH", "git.branch")`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<(String, String)>,
}

impl Command {
    /// A command of this text.
    pub fn new(source: impl Into<String>) -> Self {
        Self { source: source.into(), script: None, reads: Vec::new() }
    }

    /// What the shell is to read.
    #[must_use]
    pub fn script(&self) -> &str {
        self.script.as_deref().unwrap_or(&self.source)
    }
}

/// The shell that reads the commands of a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shell(Option<String>);

impl Shell {
    /// A shell by the name or path of its program: `bash`, `/bin/zsh`, `pwsh`.
    pub fn new(program: impl Into<String>) -> Self {
        Self(Some(program.into()))
    }

    /// The program; `sh` unless another was named.
    #[must_use]
    pub fn program(&self) -> &str {
        self.0.as_deref().unwrap_or("sh")
    }

    /// Whether quoting as of `sh` holds in it, so that a reference in its text can be made safe.
    #[must_use]
    pub fn is_posix(&self) -> bool {
        let name = self.program().rsplit('/').next().unwrap_or_default();
        matches!(name, "sh" | "dash" | "bash" | "ash" | "zsh" | "ksh")
    }
}

/// `deploy service="shop" environment="production" { … }`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeployAction {
    /// The service that is deployed.
    pub service: String,
    /// Where to.
    pub environment: String,
    /// The image of the new release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// How the new release replaces the old one.
    #[serde(default)]
    pub strategy: DeployStrategy,
}

/// How a new release replaces the old one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DeployStrategy {
    /// A few instances at a time.
    #[default]
    Rolling,
    /// All old ones go before the new ones come.
    Recreate,
    /// The new release stands beside the old one before traffic moves.
    BlueGreen,
    /// Traffic moves in steps.
    Canary(Vec<CanaryStep>),
}

/// `step weight=10 pause="5m"`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CanaryStep {
    /// How much of the traffic the new release gets, in percent.
    pub weight: u8,
    /// How long to wait after the step; `None` to wait for a person.
    #[serde(default, with = "serde_duration::option", skip_serializing_if = "Option::is_none")]
    pub pause: Option<Duration>,
}

/// `terraform stack="network" action="plan"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerraformAction {
    /// The stack.
    pub stack: String,
    /// What to do with it.
    pub verb: TerraformVerb,
}

/// What to do with a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TerraformVerb {
    /// Say what would change.
    Plan,
    /// Change it.
    Apply,
    /// Remove all of it.
    Destroy,
}

/// `build-image { dockerfile; context; tags; args; target; push }`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildImageAction {
    /// The Dockerfile, relative to the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// The folder that the build sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The names that the image gets.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Build arguments.
    #[serde(default)]
    pub args: IndexMap<String, String>,
    /// The stage of the Dockerfile to stop at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Whether the image is pushed to its registry.
    #[serde(default)]
    pub push: bool,
}
