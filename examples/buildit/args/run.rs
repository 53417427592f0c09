//! The arguments of `run`, and those that it shares with `plan`.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{Pair, RunOutput, StoreArgs};

/// What a run is started with.
#[derive(Debug, Default, Args)]
pub(crate) struct ContextArgs {
    /// Give a parameter its value
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(crate) params: Vec<Pair>,
    /// Set an environment variable; wins over the pipeline's
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) env: Vec<Pair>,
    /// Give a value to `${custom.NAME}`
    #[arg(long = "custom", value_name = "NAME=VALUE")]
    pub(crate) custom: Vec<Pair>,
    /// Read environment variables from a file of NAME=VALUE lines; `--env` wins
    #[arg(long = "env-file", value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) env_files: Vec<PathBuf>,
    /// Run only this stage and what it needs
    #[arg(long = "stage", value_name = "STAGE")]
    pub(crate) stages: Vec<String>,
    /// The event that the run is for
    #[arg(long, value_name = "EVENT", default_value = "manual")]
    pub(crate) event: String,
    /// The branch, instead of the repository's
    #[arg(long, value_name = "BRANCH")]
    pub(crate) branch: Option<String>,
    /// The tag, instead of the repository's
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Option<String>,
    /// The commit, instead of the repository's
    #[arg(long, value_name = "SHA")]
    pub(crate) sha: Option<String>,
    /// The commit's message, instead of the repository's
    #[arg(long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// The folder that stages see [default: the repository around this folder, or this folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) source: Option<PathBuf>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct RunArgs {
    /// The pipeline [default: .buildit.kdl]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// Run a run of a server again here, as it was: its plan, its source, its event and its parameters. It is the address
    /// of its page, or what names it on the server that was logged in to last
    #[arg(long, value_name = "RUN_URL", conflicts_with_all = [
        "file", "journal", "in_place", "params", "env", "custom", "env_files", "event", "branch", "tag", "sha", "message"
    ])]
    pub(crate) like: Option<String>,
    #[command(flatten)]
    pub(crate) context: ContextArgs,
    /// Keep the run's record in this folder; run again with the same folder to resume a run that was broken off
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["store", "blobs"])]
    pub(crate) journal: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Send every stage to this executor
    #[arg(long, value_name = "NAME")]
    pub(crate) executor: Option<String>,
    /// Give the run a secret: the value of the environment variable of this name
    #[arg(long = "secret", value_name = "NAME")]
    pub(crate) secrets: Vec<String>,
    /// Give the run a secret: the content of a file
    #[arg(long = "secret-file", value_name = "NAME=PATH")]
    pub(crate) secret_files: Vec<Pair>,
    /// Run in the source folder itself, without isolation, one stage at a time
    #[arg(long)]
    pub(crate) in_place: bool,
    /// Run at most this many stages at once
    #[arg(long, value_name = "N")]
    pub(crate) max_parallel: Option<NonZeroU32>,
    /// Approve this stage
    #[arg(long, value_name = "STAGE")]
    pub(crate) approve: Vec<String>,
    /// Approve every stage that asks
    #[arg(long)]
    pub(crate) approve_all: bool,
    /// Fill in a field of the stages that are approved in advance
    #[arg(long = "approve-field", value_name = "NAME=VALUE")]
    pub(crate) approve_fields: Vec<Pair>,
    /// Keep the workspaces and print their paths
    #[arg(long)]
    pub(crate) keep: bool,
    /// Open a shell where a stage failed
    #[arg(long)]
    pub(crate) shell_on_failure: bool,
    /// How to print [default: human on a terminal, plain elsewhere]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) output: Option<RunOutput>,
}

/// What a run of before needs anew: it is not kept with it.
#[derive(Debug, Args)]
pub(crate) struct GivenArgs {
    /// Give the run a secret: the value of the environment variable of this name; those that the run names are found by themselves
    #[arg(long = "secret", value_name = "NAME")]
    pub(crate) secrets: Vec<String>,
    /// Give the run a secret: the content of a file
    #[arg(long = "secret-file", value_name = "NAME=PATH")]
    pub(crate) secret_files: Vec<Pair>,
    /// Approve this stage
    #[arg(long, value_name = "STAGE")]
    pub(crate) approve: Vec<String>,
    /// Approve every stage that asks
    #[arg(long)]
    pub(crate) approve_all: bool,
    /// Fill in a field of the stages that are approved in advance
    #[arg(long = "approve-field", value_name = "NAME=VALUE")]
    pub(crate) approve_fields: Vec<Pair>,
    /// How to print [default: human on a terminal, plain elsewhere]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) output: Option<RunOutput>,
}
