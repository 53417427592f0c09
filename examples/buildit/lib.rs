//! The `buildit` command line: parsing, printing and exit codes. What it does is done by the libraries.
#![forbid(unsafe_code)]

mod args;
mod exit;
mod out;
mod report;
mod text;

use std::process::ExitCode;

use clap::Parser;

/// Runs the program and tells how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let _ = args::Cli::parse();
    exit::Exit::Succeeded.into()
}
