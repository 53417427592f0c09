//! One file for each command.

mod artifacts;
mod completions;
mod control;
mod diff;
mod explain;
mod fmt;
mod gc;
mod graph;
mod init;
mod kept;
mod login;
mod logs;
mod pipelines;
mod plan;
mod run;
mod runs;
mod search;
mod secrets;
mod shell;
mod validate;

use crate::args::Command;
use crate::exit::{Failure, Outcome};
use crate::look::Look;

/// Does what was asked for.
pub(crate) fn dispatch(command: Command, look: Look) -> Outcome {
    match command {
        Command::Validate(args) => validate::validate(args, look),
        Command::Graph(args) => graph::graph(args, look),
        Command::Fmt(args) => fmt::fmt(args, look),
        Command::Init(args) => runtime()?.block_on(init::init(&args, look)),
        Command::Completions(args) => completions::completions(&args),
        Command::Plan(args) => runtime()?.block_on(plan::plan(*args, look)),
        Command::Runs(args) => runtime()?.block_on(runs::runs(args, look)),
        Command::Logs(args) if args.search.is_some() => runtime()?.block_on(search::search(args, look)),
        Command::Logs(args) => runtime()?.block_on(logs::logs(args, look)),
        Command::Explain(args) => runtime()?.block_on(explain::explain(args, look)),
        Command::Artifacts(args) => runtime()?.block_on(artifacts::artifacts(args, look)),
        Command::Diff(args) => runtime()?.block_on(diff::diff(args, look)),
        Command::Gc(args) => runtime()?.block_on(gc::gc(args)),
        Command::Secrets(args) => runtime()?.block_on(secrets::secrets(args)),
        Command::Login(args) => runtime()?.block_on(login::login(args)),
        Command::Logout(args) => login::logout(&args),
        Command::Pipelines(args) => runtime()?.block_on(pipelines::pipelines(args, look)),
        Command::Approve(args) => runtime()?.block_on(control::approve(args)),
        Command::Cancel(args) => runtime()?.block_on(control::cancel(args)),
        Command::Trigger(args) => driven(run::trigger(*args, look)),
        Command::Run(args) => driven(run::run(*args, look)),
        Command::Resume(args) => driven(run::resume(*args, look)),
        Command::Rerun(args) => driven(run::rerun(*args, look)),
    }
}

/// A command that drives runs.
fn driven(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = runtime()?;
    let outcome = runtime.block_on(command);
    // Nobody waits for a thread that reads a terminal.
    runtime.shutdown_background();
    outcome
}

/// Where asynchronous work is done. Few threads: the work itself is done by other processes.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Failure::backend)
}
