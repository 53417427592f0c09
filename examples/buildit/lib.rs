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
mod report;
mod session;
mod source;
mod text;

use std::process::ExitCode;

use clap::Parser;

use crate::exit::Failure;
use crate::out::Out;
use crate::report::Mark;

/// Runs the program and tells how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let look = look::Look::of_process();
    let exit = commands::dispatch(args::Cli::parse().command, look).unwrap_or_else(|failure| {
        if let Failure::Refused(error) | Failure::Backend(error) = &failure {
            let theme = look.stderr();
            // It may quote what a file says, or what another program said in several lines.
            let text = format!("{error:#}");
            let lines: Vec<_> = text.lines().map(text::clean).collect();
            Out::stderr().line(&format!("{}{}", theme.shape(Mark::Failed), lines.join("\n")));
        }
        failure.exit()
    });
    exit.into()
}
