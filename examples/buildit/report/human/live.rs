//! Draws frames over each other on a terminal. One write for each frame, so that nothing flickers.

use std::fmt::Write;

use console::Term;
use jiff::Timestamp;

use super::super::{Board, Theme};
use super::frame::{Size, frame};
use crate::out::Out;

const HIDE_CURSOR: &str = "\u{1b}[?25l";
const SHOW_CURSOR: &str = "\u{1b}[?25h";
const CLEAR_BELOW: &str = "\u{1b}[J";
const CLEAR_LINE: &str = "\u{1b}[K";

/// The live tree.
#[derive(Debug)]
pub(crate) struct Live {
    out: Out,
    theme: Theme,
    /// Lines that are on the screen now.
    drawn: usize,
    ticks: usize,
}

impl Live {
    /// A tree on standard error, which must be a terminal.
    pub(crate) fn new(out: Out, theme: Theme) -> Self {
        Self { out, theme, drawn: 0, ticks: 0 }
    }

    /// How wide the terminal is.
    pub(crate) fn columns(&self) -> usize {
        size().columns
    }

    /// Draws the tree as it is now over the one before, below text that stays.
    pub(crate) fn draw(&mut self, text: &str, board: &Board, now: Timestamp) {
        self.ticks += 1;
        self.above(text, board, now);
    }

    /// Writes text that stays, and the tree below it.
    pub(crate) fn above(&mut self, text: &str, board: &Board, now: Timestamp) {
        let lines = frame(board, now, self.ticks, size(), self.theme);
        let mut screen = self.home();
        screen.push_str(HIDE_CURSOR);
        for line in text.lines().map(str::to_owned).chain(lines.iter().cloned()) {
            // Writing into a string cannot fail.
            let _ = writeln!(screen, "{line}{CLEAR_LINE}");
        }
        screen.push_str(CLEAR_BELOW);
        self.drawn = lines.len();
        self.out.text(&screen);
    }

    /// Takes the tree away and gives the cursor back.
    pub(crate) fn clear(&mut self) {
        // Line by line: a terminal multiplexer that is told to clear all below keeps it as history.
        let lines = format!("{CLEAR_LINE}\n").repeat(self.drawn);
        let screen = self.home() + &lines + &self.home() + SHOW_CURSOR;
        self.drawn = 0;
        self.out.text(&screen);
    }

    fn home(&self) -> String {
        if self.drawn == 0 { String::new() } else { format!("\u{1b}[{}A\r", self.drawn) }
    }
}

/// As the terminal is now: a person may have changed it.
fn size() -> Size {
    let (rows, columns) = Term::stderr().size_checked().unwrap_or((24, 80));
    Size { rows: usize::from(rows), columns: usize::from(columns) }
}

impl Drop for Live {
    fn drop(&mut self) {
        if self.drawn > 0 {
            self.clear();
        }
    }
}
