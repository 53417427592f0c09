//! What the terminal and the environment say about how to print.

use std::io::{IsTerminal, stderr, stdin, stdout};

use crate::args::RunOutput;
use crate::report::{Palette, Theme};

/// What the terminal and the environment say about how to print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    /// `NO_COLOR` is set and not empty.
    no_colour: bool,
    /// `CI` is set and not `false`: nobody watches, even if there is a terminal.
    ci: bool,
}

impl Look {
    /// As this process finds it.
    pub(crate) fn of_process() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "false");
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            stdin: stdin().is_terminal(),
            stdout: stdout().is_terminal(),
            stderr: stderr().is_terminal() && !dumb,
            no_colour: set("NO_COLOR") || dumb,
            ci: set("CI"),
        }
    }

    /// How to print to standard output.
    pub(crate) fn stdout(self) -> Theme {
        self.theme(self.stdout)
    }

    /// How to print to standard error.
    pub(crate) fn stderr(self) -> Theme {
        self.theme(self.stderr)
    }

    /// Whether standard output is read by a person at a terminal.
    pub(crate) fn is_terminal(self) -> bool {
        self.stdout
    }

    /// How a run is shown when nothing was asked for.
    pub(crate) fn run_output(self) -> RunOutput {
        if self.stdout && !self.ci { RunOutput::Human } else { RunOutput::Plain }
    }

    /// Whether a tree that moves can be drawn on standard error.
    pub(crate) fn is_live(self) -> bool {
        self.stderr && !self.ci
    }

    /// Whether a person can be asked.
    pub(crate) fn is_interactive(self) -> bool {
        self.stdin && self.stderr && !self.ci
    }

    fn theme(self, terminal: bool) -> Theme {
        Theme(if terminal && !self.no_colour { Palette::Colour } else { Palette::Plain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Look = Look { stdin: true, stdout: true, stderr: true, no_colour: false, ci: false };

    #[test]
    fn a_terminal_gets_a_tree_and_anything_else_lines() {
        assert_eq!(TERMINAL.run_output(), RunOutput::Human);
        assert_eq!(Look { stdout: false, ..TERMINAL }.run_output(), RunOutput::Plain);
        let ci = Look { ci: true, ..TERMINAL };
        assert_eq!(ci.run_output(), RunOutput::Plain);
        assert!(!ci.is_live() && !ci.is_interactive());
    }

    #[test]
    fn no_colour_means_none() {
        assert_eq!(Look { no_colour: true, ..TERMINAL }.stdout(), Theme(Palette::Plain));
        assert_eq!(Look { stderr: false, ..TERMINAL }.stderr(), Theme(Palette::Plain));
        assert_eq!(TERMINAL.stderr(), Theme(Palette::Colour));
    }
}
