//! The `buildit` command line: parsing, printing and exit codes. What it does is done by the libraries.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod diagnostics;
mod exit;
mod graph;
mod init;
mod look;
mod out;
mod pipelines;
mod remote;
mod report;
mod session;
mod source;
mod text;
mod whole;

use std::process::ExitCode;

use clap::Parser;

use crate::exit::{Exit, Failure, Outcome};
use crate::out::Out;
use crate::report::Mark;

/// Runs the program and tells how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let look = look::Look::of_process();
    let exit = match args::Cli::try_parse() {
        Ok(cli) => done(commands::dispatch(cli.command, look), look),
        // Help and the version are answers, too.
        Err(answer) => {
            let exit = if answer.use_stderr() { Exit::Refused } else { Exit::Succeeded };
            out::note(out::STDOUT, answer.print());
            exit
        }
    };
    written(exit, look).into()
}

/// How a command ended, once it was told why.
fn done(outcome: Outcome, look: look::Look) -> Exit {
    outcome.unwrap_or_else(|failure| {
        if let Failure::Refused(error) | Failure::Backend(error) = &failure {
            let theme = look.stderr();
            // It may quote what a file says, or what another program said in several lines.
            let text = format!("{error:#}");
            let lines: Vec<_> = text.lines().map(text::clean).collect();
            Out::stderr().line(&format!("{}{}", theme.shape(Mark::Failed), lines.join("\n")));
        }
        failure.exit()
    })
}

/// The exit code when what was printed may not have arrived: who reads it must not take a part for the whole.
fn written(exit: Exit, look: look::Look) -> Exit {
    let Some(lost) = out::lost() else { return exit };
    Out::stderr().line(&format!("{}{lost}", look.stderr().shape(Mark::Failed)));
    if exit == Exit::Succeeded { Exit::Backend } else { exit }
}
