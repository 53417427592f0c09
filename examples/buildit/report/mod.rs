//! How a run is shown: three ways, all fed with the same events and log lines.

mod board;
mod human;
mod json;
mod plain;
mod style;
#[cfg(test)]
mod tests;

use buildit::event::Event;
use buildit::job::{LogLine, NOTICE, Stream};
use jiff::Timestamp;

use crate::text::Keep;

pub(crate) use board::{Board, Shown, StageState};
pub(crate) use human::{Human, Live};
pub(crate) use json::{Json, VERSION};
pub(crate) use plain::Plain;
pub(crate) use style::{Mark, Palette, Theme};

/// One attempt, as a line of its log belongs to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt<'a> {
    /// The stage's name.
    pub(crate) stage: &'a str,
    /// Which attempt of it, from 1.
    pub(crate) number: u32,
}

/// Shows a run. `board` has taken the event in already.
pub(crate) trait Reporter: Send {
    /// Something happened.
    fn event(&mut self, board: &Board, event: &Event);

    /// A job printed a line.
    fn log(&mut self, board: &Board, attempt: Attempt<'_>, line: &LogLine);

    /// Time passed: what moves may be drawn again.
    fn tick(&mut self, _board: &Board, _now: Timestamp) {}

    /// Something else is to be said to the person, now.
    fn notice(&mut self, _board: &Board, text: &str);

    /// The terminal is needed for something else; [`tick`](Self::tick) takes it again.
    fn pause(&mut self) {}

    /// The run has ended and nothing more follows.
    fn finish(&mut self, _board: &Board) {}
}

/// What stands before a line of a log: the echo of a command has a sign, as a shell that traces gives it.
pub(crate) fn sign(line: &LogLine) -> &'static str {
    if line.stream == Stream::Command && !line.text.starts_with(NOTICE) { "+ " } else { "" }
}

/// What may pass of a job's controls onto a terminal of this theme.
pub(crate) fn keep(theme: Theme) -> Keep {
    if theme.0 == Palette::Plain { Keep::Nothing } else { Keep::Colours }
}
