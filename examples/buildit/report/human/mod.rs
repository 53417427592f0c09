//! `--output human`: a live tree while the run goes, what failed at once, and at the end the logs of what failed
//! and a summary that one can paste.

mod frame;
mod live;
mod select;
pub(crate) mod summary;

use buildit::event::{Event, EventBody};
use buildit::job::LogLine;
use jiff::Timestamp;

#[cfg(test)]
pub(crate) use frame::{Size, frame};
pub(crate) use live::Live;

use super::{Attempt, Board, Reporter, Theme};
use crate::out::Out;
use crate::text::clean;

/// How many lines of a log are shown at once when its stage fails; the end of the run shows the rest.
const FIRST_LOOK: usize = 5;

/// Shows a run to a person.
#[derive(Debug)]
pub(crate) struct Human {
    out: Out,
    progress: Out,
    live: Option<Live>,
    theme: Theme,
    /// What is to be said once the terminal is ours again; `None` while it is.
    later: Option<String>,
}

impl Human {
    /// Prints results to `out`; progress goes to the live tree, or without one line by line to `progress`.
    pub(crate) fn new(out: Out, progress: Out, live: Option<Live>, theme: Theme) -> Self {
        Self { out, progress, live, theme, later: None }
    }

    /// Lines that stay, above the tree.
    fn say(&mut self, board: &Board, now: Timestamp, lines: &[String]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        if let Some(later) = &mut self.later {
            later.push_str(&text);
            return;
        }
        match &mut self.live {
            Some(live) => live.above(&text, board, now),
            None => self.progress.text(&text),
        }
    }
}

impl Reporter for Human {
    fn event(&mut self, board: &Board, event: &Event) {
        let mut lines = Vec::new();
        match &event.body {
            EventBody::RunStarted if self.live.is_none() => lines.push(summary::title(board, event.time, self.theme)),
            EventBody::CancelRequested { .. } => {
                lines.push(self.theme.faint("cancelling; again to kill what still runs"));
            }
            EventBody::StageFinished { stage, .. } => {
                if let Some(shown) = board.stages.get(stage)
                    && (shown.has_failed() || self.live.is_none())
                {
                    match &self.live {
                        Some(live) => {
                            lines.extend(summary::row_within(live.columns(), stage, shown, event.time, self.theme));
                        }
                        None => lines.push(summary::row(stage, shown, event.time, self.theme)),
                    }
                    if shown.has_failed() {
                        lines.extend(summary::tail(shown, FIRST_LOOK, "    ", self.theme));
                    }
                }
            }
            _ => {}
        }
        if !lines.is_empty() {
            self.say(board, event.time, &lines);
        }
    }

    fn log(&mut self, _: &Board, _: Attempt<'_>, _: &LogLine) {}

    fn tick(&mut self, board: &Board, now: Timestamp) {
        let said = self.later.take().unwrap_or_default();
        match &mut self.live {
            Some(live) => live.draw(&said, board, now),
            None => self.progress.text(&said),
        }
    }

    fn notice(&mut self, board: &Board, text: &str) {
        let line = self.theme.faint(&format!("buildit: {}", clean(text)));
        let now = board.latest.unwrap_or_default();
        self.say(board, now, &[line]);
    }

    fn pause(&mut self) {
        self.later.get_or_insert_default();
        if let Some(live) = &mut self.live {
            live.clear();
        }
    }

    fn finish(&mut self, board: &Board) {
        self.pause();
        self.progress.text(&self.later.take().unwrap_or_default());
        let columns = console::Term::stdout().size_checked().map_or(80, |(_, columns)| usize::from(columns));
        for line in summary::logs(board, columns, self.theme) {
            self.out.line(&line);
        }
        for line in summary::table(board, columns, self.theme) {
            self.out.line(&line);
        }
    }
}
