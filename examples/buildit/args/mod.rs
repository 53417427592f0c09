//! What can be typed.

mod pair;
mod run;
mod secrets;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::diagnostics::Teller;
use crate::look::Look;
use crate::text::{parse_age, parse_size};

pub(crate) use pair::Pair;
pub(crate) use run::{ContextArgs, GivenArgs, RunArgs};
pub(crate) use secrets::{KeyArgs, Owner, SecretsArgs, SecretsCommand, SetSecretArgs};
pub(crate) use server::{
    ApproveArgs, CancelArgs, LoginArgs, LogoutArgs, PipelinesArgs, ServerArgs, TriggerArgs, WhereArgs,
};

/// The file that is taken when none is named.
pub(crate) const DEFAULT_FILE: &str = ".buildit.kdl";

/// Run pipelines: on this host, in containers, from one file.
#[derive(Debug, Parser)]
#[command(
    name = "buildit",
    version,
    about = "Run pipelines: on this host, in containers, from one file",
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a pipeline, whatever its triggers say
    Run(Box<RunArgs>),
    /// Tell what would run, and why not the rest; start nothing
    Plan(Box<PlanArgs>),
    /// Check pipelines and report everything that is wrong with them
    Validate(ValidateArgs),
    /// Draw the stages of a pipeline and what they need
    Graph(GraphArgs),
    /// Format pipelines; comments stay
    Fmt(FmtArgs),
    /// Look at this folder and write a first pipeline for it
    Init(InitArgs),
    /// List the runs of a store, the latest first
    Runs(RunsArgs),
    /// Print what the stages of a run have printed
    Logs(LogsArgs),
    /// Tell why each stage of a run ran, did not, was taken from an earlier run, or waits
    Explain(ExplainArgs),
    /// List what a run has left, or fetch it
    Artifacts(ArtifactsArgs),
    /// Take up all runs of a store that were broken off
    Resume(Box<ResumeArgs>),
    /// Tell what is different between two kept runs
    Diff(DiffArgs),
    /// Run a kept run again, as it was started
    Rerun(Box<RerunArgs>),
    /// Remove old runs from a store, and what nothing refers to any more
    Gc(GcArgs),
    /// Keep secrets in a store, sealed with a key, or on a server
    Secrets(SecretsArgs),
    /// Keep a key for a server, which later commands ask with
    Login(LoginArgs),
    /// Forget the key for a server
    Logout(LogoutArgs),
    /// List the pipelines of a server
    Pipelines(PipelinesArgs),
    /// Start a run of a pipeline on a server
    Trigger(Box<TriggerArgs>),
    /// Let a stage of a run on a server go on that waits for a person, or reject it
    Approve(ApproveArgs),
    /// Ask a run on a server to end in good order
    Cancel(CancelArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The pipeline [default: .buildit.kdl]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) context: ContextArgs,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) output: DataOutput,
}

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// The pipelines [default: .buildit.kdl]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) output: DataOutput,
}

#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// The pipeline [default: .buildit.kdl]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// What to draw it as
    #[arg(long, default_value = "text")]
    pub(crate) format: GraphFormat,
}

#[derive(Debug, Args)]
pub(crate) struct FmtArgs {
    /// The pipelines [default: .buildit.kdl]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// Change nothing; exit with 1 if a file is not formatted
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The folder to look at
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// Replace a pipeline that is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// Where runs are kept. The environment is asked by hand: with a `--journal` what it says counts for nothing.
#[derive(Debug, Default, Args)]
pub(crate) struct StoreArgs {
    /// The store: `sqlite:FILE` or `postgres://…` [env: BUILDIT_STORE] [default: runs.db in the state folder]
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// Where the store has its artifacts, caches and sources: a folder as `file:///FOLDER`, or a bucket [env:
    /// BUILDIT_BLOBS] [default: beside the store, or in the state folder]
    #[arg(long, value_name = "URL")]
    pub(crate) blobs: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    #[command(flatten)]
    pub(crate) place: WhereArgs,
    /// Only those of this pipeline
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) output: DataOutput,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The run: its id, the beginning of it, or @N for the N-th latest
    #[arg(required_unless_present = "search")]
    pub(crate) run: Option<String>,
    /// The stage; all of them without
    pub(crate) stage: Option<String>,
    /// Only lines with this text, the latest first, of all runs that have ended or of the one that is named
    #[arg(long, value_name = "TEXT", conflicts_with = "follow")]
    pub(crate) search: Option<String>,
    /// At most so many lines with the text
    #[arg(long, value_name = "N", default_value_t = 100, requires = "search")]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
    /// Go on until the run has ended
    #[arg(long)]
    pub(crate) follow: bool,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) output: DataOutput,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The run: its id, the beginning of it, or @N for the N-th latest
    pub(crate) run: String,
    /// The stage, or a matrix for all of its cells; all of them without
    pub(crate) stage: Option<String>,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) output: DataOutput,
}

#[derive(Debug, Args)]
pub(crate) struct ArtifactsArgs {
    /// The run: its id, the beginning of it, or @N for the N-th latest
    pub(crate) run: String,
    /// The artifact; all of them without
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
    /// Lay what is in it out in this folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) output: DataOutput,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) given: GivenArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RerunArgs {
    /// The run: its id, the beginning of it, or @N for the N-th latest
    pub(crate) run: String,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
    /// Run only the stages that failed and whatever follows them; the others count as they ended
    #[arg(long)]
    pub(crate) from_failed: bool,
    #[command(flatten)]
    pub(crate) given: GivenArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The earlier run: its id, the beginning of it, or @N for the N-th latest
    #[arg(value_name = "RUN")]
    pub(crate) before: String,
    /// The later run
    #[arg(value_name = "RUN")]
    pub(crate) after: String,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) output: DataOutput,
}

#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The journal that is to be tidied instead of a store
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "store")]
    pub(crate) journal: Option<PathBuf>,
    /// Forget runs that ended longer ago, such as `30d`
    #[arg(long, value_name = "TIME", value_parser = parse_age)]
    pub(crate) older_than: Option<Duration>,
    /// Keep so many of the latest runs of each pipeline, and forget those beyond (that are older, with --older-than)
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<u64>,
    /// Forget the logs of runs that ended longer ago, such as `7d`; the runs stay
    #[arg(long, value_name = "TIME", value_parser = parse_age, conflicts_with = "dry_run")]
    pub(crate) logs_older_than: Option<Duration>,
    /// Forget the logs of the oldest runs, until all logs have no more text than this, such as `1GiB`
    #[arg(long, value_name = "SIZE", value_parser = parse_size, conflicts_with = "dry_run")]
    pub(crate) log_quota: Option<u64>,
    /// Keep the logs of so many of the latest runs
    #[arg(long, value_name = "N", conflicts_with = "dry_run")]
    pub(crate) keep_logs: Option<u64>,
    /// Forget the caches that were used longest ago, until all of them have no more than this, such as `10GiB`
    #[arg(long, value_name = "SIZE", value_parser = parse_size, conflicts_with = "dry_run")]
    pub(crate) cache_quota: Option<u64>,
    /// Leave alone what was stored within this time, which a run under way may be about to refer to [default: 1h;
    /// nothing in a journal]
    #[arg(long, value_name = "TIME", value_parser = parse_age)]
    pub(crate) grace: Option<Duration>,
    /// Change nothing: tell how many runs would go, and what nothing refers to as it is
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) output: DataOutput,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunOutput {
    /// A live tree of stages, then the logs of what failed and a summary
    Human,
    /// `stage | line`
    Plain,
    /// One JSON object a line
    Json,
}

/// How data is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DataOutput {
    /// For people
    Human,
    /// One JSON object a line
    Json,
}

impl DataOutput {
    /// How findings are told in this form.
    pub(crate) fn teller(self, look: Look) -> Teller {
        match self {
            Self::Human => Teller::Human(look.stderr()),
            Self::Json => Teller::Json,
        }
    }
}

/// What a graph is drawn as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Levels with what each stage needs
    Text,
    /// Graphviz
    Dot,
    /// Mermaid, for Markdown
    Mermaid,
    /// A picture
    Svg,
    /// Stages, edges and levels
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }
}
