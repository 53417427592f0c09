//! The shape, the word and the colour of each state: the same three everywhere, so that none of them is needed to
//! read the other two.

use buildit::event::{RunStatus, StageResult};
use buildit::job::Status;

use super::{Shown, StageState};
use crate::text::width;

/// The colours that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Palette {
    /// None: `NO_COLOR`, or no terminal.
    Plain,
    /// Those of the terminal, which the person chose to be legible on their background.
    Colour,
}

/// What a thing is, for its shape and colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Succeeded,
    Running,
    Failed,
    /// It failed and that does not count.
    Allowed,
    Infrastructure,
    Waiting,
    Queued,
    Skipped,
    Cancelled,
}

impl Mark {
    /// The mark of a stage.
    pub(crate) fn of(shown: &Shown) -> Self {
        match &shown.state {
            StageState::Queued | StageState::Retrying(_) => Self::Queued,
            StageState::Waiting => Self::Waiting,
            StageState::Running => Self::Running,
            StageState::Done(_) if shown.is_infrastructure() => Self::Infrastructure,
            StageState::Done(result) => Self::of_result(result),
        }
    }

    fn of_result(result: &StageResult) -> Self {
        match result.status {
            Status::Succeeded => Self::Succeeded,
            Status::Skipped => Self::Skipped,
            Status::Cancelled => Self::Cancelled,
            Status::Failed | Status::TimedOut | Status::Lost if result.allowed => Self::Allowed,
            Status::Failed | Status::TimedOut | Status::Lost => Self::Failed,
        }
    }

    /// The mark of a run.
    pub(crate) fn of_run(status: RunStatus) -> Self {
        match status {
            RunStatus::Queued => Self::Queued,
            RunStatus::Running => Self::Running,
            RunStatus::Waiting => Self::Waiting,
            RunStatus::Succeeded => Self::Succeeded,
            RunStatus::Failed => Self::Failed,
            RunStatus::Cancelled => Self::Cancelled,
        }
    }

    /// Its shape.
    pub(crate) fn shape(self) -> &'static str {
        match self {
            Self::Succeeded => "✓",
            Self::Running => "◌",
            Self::Failed => "✕",
            Self::Allowed => "!",
            Self::Infrastructure => "⚡",
            Self::Waiting => "⏸",
            Self::Queued => "○",
            Self::Skipped => "⊘",
            Self::Cancelled => "■",
        }
    }

    /// Its colour, as an SGR parameter.
    fn colour(self) -> &'static str {
        match self {
            Self::Succeeded => "32",
            Self::Running => "34",
            Self::Failed => "31",
            Self::Infrastructure => "35",
            Self::Allowed | Self::Waiting => "33",
            Self::Queued | Self::Skipped => "2",
            Self::Cancelled => "35;2",
        }
    }
}

/// Paints text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Theme(pub(crate) Palette);

impl Theme {
    /// The text in the colour of a mark.
    pub(crate) fn mark(self, mark: Mark, text: &str) -> String {
        self.sgr(mark.colour(), text)
    }

    /// The shape of a mark in its colour, two columns wide: one of the shapes is, the others get a space.
    pub(crate) fn shape(self, mark: Mark) -> String {
        self.mark(mark, mark.shape()) + &" ".repeat(2_usize.saturating_sub(width(mark.shape())))
    }

    /// Text that matters.
    pub(crate) fn strong(self, text: &str) -> String {
        self.sgr("1", text)
    }

    /// Text that matters less.
    pub(crate) fn faint(self, text: &str) -> String {
        self.sgr("2", text)
    }

    fn sgr(self, parameters: &str, text: &str) -> String {
        if self.0 == Palette::Plain || text.is_empty() {
            return text.to_owned();
        }
        format!("\u{1b}[{parameters}m{text}\u{1b}[0m")
    }
}

/// The word for a state, as people read it.
pub(crate) fn word(status: Status) -> &'static str {
    match status {
        Status::TimedOut => "timed out",
        other => other.as_str(),
    }
}
