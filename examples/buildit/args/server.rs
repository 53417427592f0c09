//! What can be typed about servers.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{DataOutput, GivenArgs, Pair, RunOutput, StoreArgs};
use crate::exit::Failure;
use crate::remote::Keys;

/// Where runs are looked at: in a store, or on a server.
#[derive(Debug, Default, Args)]
pub(crate) struct WhereArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Ask this server instead of a store [env: BUILDIT_SERVER]
    #[arg(long, value_name = "URL", conflicts_with_all = ["store", "blobs"])]
    server: Option<String>,
}

impl WhereArgs {
    /// The server that is to be asked.
    pub(crate) fn server(&self) -> Option<String> {
        let is_local = self.store.store.is_some() || self.store.blobs.is_some();
        self.server.clone().or_else(|| of_environment().filter(|_| !is_local))
    }
}

/// Which server.
#[derive(Debug, Default, Args)]
pub(crate) struct ServerArgs {
    /// The server [env: BUILDIT_SERVER] [default: the one that was logged in to last]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

impl ServerArgs {
    /// The server that is to be asked.
    pub(crate) fn server(&self) -> Result<String, Failure> {
        if let Some(server) = self.server.clone().or_else(of_environment) {
            return Ok(server);
        }
        let current = Keys::open()?.current()?;
        current.ok_or_else(|| {
            Failure::usage("which server? --server names one, and `buildit login --server URL` keeps it")
        })
    }
}

fn of_environment() -> Option<String> {
    std::env::var("BUILDIT_SERVER").ok().filter(|value| !value.is_empty())
}

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// The file with the key [default: it is asked for on a terminal, and read from standard input elsewhere]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PipelinesArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Only those with this in their names
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) output: DataOutput,
}

#[derive(Debug, Args)]
pub(crate) struct TriggerArgs {
    /// The pipeline's name
    pub(crate) pipeline: String,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Give a parameter its value
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(crate) params: Vec<Pair>,
    /// The branch
    #[arg(long, value_name = "BRANCH")]
    pub(crate) branch: Option<String>,
    /// The commit
    #[arg(long, alias = "sha", value_name = "SHA")]
    pub(crate) commit: Option<String>,
    /// Start one run, however often this is asked with the same key within a day
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// Follow the run to its end, and exit as `run` does; Ctrl-C cancels it
    #[arg(long)]
    pub(crate) wait: bool,
    /// Approve this stage
    #[arg(long, value_name = "STAGE", requires = "wait")]
    pub(crate) approve: Vec<String>,
    /// Approve every stage that asks
    #[arg(long, requires = "wait")]
    pub(crate) approve_all: bool,
    /// Fill in a field of the stages that are approved in advance
    #[arg(long = "approve-field", value_name = "NAME=VALUE", requires = "wait")]
    pub(crate) approve_fields: Vec<Pair>,
    /// How to print [default: human on a terminal, plain elsewhere]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) output: Option<RunOutput>,
}

impl TriggerArgs {
    /// What the run is given while it is followed.
    pub(crate) fn given(&self) -> GivenArgs {
        GivenArgs {
            secrets: Vec::new(),
            secret_files: Vec::new(),
            approve: self.approve.clone(),
            approve_all: self.approve_all,
            approve_fields: self.approve_fields.clone(),
            output: self.output,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// The run: its id, the beginning of it, or @N for the N-th latest
    pub(crate) run: String,
    /// The stage
    pub(crate) stage: String,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Fill in a field
    #[arg(long = "field", value_name = "NAME=VALUE")]
    pub(crate) fields: Vec<Pair>,
    /// Reject it instead
    #[arg(long)]
    pub(crate) reject: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The run: its id, the beginning of it, or @N for the N-th latest
    pub(crate) run: String,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}
