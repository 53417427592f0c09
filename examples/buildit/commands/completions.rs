//! `buildit completions`.

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::exit::{Exit, Outcome};
use crate::out::Out;

pub(crate) fn completions(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "buildit", &mut script);
    Out::stdout().text(&String::from_utf8_lossy(&script));
    Ok(Exit::Succeeded)
}
