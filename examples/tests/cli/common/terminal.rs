//! A terminal, as a person has one: what is printed is a screen, and what is typed is read.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};

use super::Project;

/// A command on a terminal of its own.
pub(crate) struct Terminal {
    child: Child,
    side: File,
    parser: vt100::Parser,
    printed: Vec<u8>,
    /// Lines on the way to which a row was wrapped.
    pub(crate) wrapped: Vec<String>,
}

impl Terminal {
    /// Runs the command line on a terminal of this size.
    pub(crate) fn run(project: &Project, args: &[&str], rows: u16, columns: u16) -> Self {
        let size = nix::pty::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = nix::pty::openpty(&size, None).unwrap();
        let own = project.command(args);
        // So that the terminal is the session's own: a shell, and Ctrl-C, need one that is.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(own.get_program()).args(own.get_args()).current_dir(project.path());
        for (name, value) in own.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("TERM", "xterm-256color").env("SHELL", "/bin/sh").env("PS1", "$ ").env_remove("ENV");
        let far = File::from(pair.slave);
        command.stdin(far.try_clone().unwrap()).stdout(far.try_clone().unwrap()).stderr(far);
        let child = command.spawn().unwrap();
        Self {
            child,
            side: pair.master.into(),
            parser: vt100::Parser::new(rows, columns, 1000),
            printed: Vec::new(),
            wrapped: Vec::new(),
        }
    }

    /// What stands on the screen.
    pub(crate) fn screen(&self) -> String {
        self.parser.screen().contents()
    }

    /// All that was printed, controls included.
    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&self.printed).into_owned()
    }

    /// Types this.
    pub(crate) fn types(&mut self, text: &str) {
        self.side.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until this stands on the screen.
    #[track_caller]
    pub(crate) fn until(&mut self, text: &str) {
        while !self.screen().contains(text) {
            assert!(self.read(), "it ended without {text:?}:\n{}", self.screen());
        }
    }

    /// Waits for the end: the exit code.
    pub(crate) fn end(&mut self) -> i32 {
        while self.read() {}
        self.child.wait().unwrap().code().unwrap()
    }

    /// Takes in what is printed next; whether there was anything.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        // An error is how a terminal says that nobody has it open any more.
        let count = self.side.read(&mut bytes).unwrap_or(0);
        self.parser.process(&bytes[..count]);
        self.printed.extend(&bytes[..count]);
        let screen = self.parser.screen();
        let (rows, columns) = screen.size();
        self.wrapped.extend(
            (0..rows)
                .filter(|&row| screen.row_wrapped(row))
                .filter_map(|row| screen.rows(0, columns).nth(usize::from(row))),
        );
        count > 0
    }
}
