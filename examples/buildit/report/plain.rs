//! `--output plain`: `stage | line` on standard output, what happens to the stages on standard error.

use buildit::event::{Event, EventBody};
use buildit::job::LogLine;

use super::{Attempt, Board, Mark, Reporter, Theme, human::summary, sign};
use crate::out::Out;
use crate::text::{Keep, clean, duration, sanitize};

/// Prints a run as lines.
#[derive(Debug)]
pub(crate) struct Plain {
    out: Out,
    progress: Out,
    theme: Theme,
    /// What passes of a job's controls: all of them into a file, colours onto a terminal.
    keep: Option<Keep>,
}

impl Plain {
    /// Prints log lines to `out` and the rest to `progress`.
    pub(crate) fn new(out: Out, progress: Out, theme: Theme, keep: Option<Keep>) -> Self {
        Self { out, progress, theme, keep }
    }

    fn stage(&mut self, mark: Mark, name: &str, what: &str) {
        let line = format!("{}{name} {what}", self.theme.shape(mark));
        self.progress.line(&line);
    }
}

impl Reporter for Plain {
    fn event(&mut self, board: &Board, event: &Event) {
        match &event.body {
            EventBody::RunStarted => {
                let line = summary::title(board, event.time, self.theme);
                self.progress.line(&line);
            }
            EventBody::CancelRequested { reason } => self.notice(board, &format!("cancelling: {reason}")),
            EventBody::ApprovalRequested { stage, message, .. } => {
                self.stage(Mark::Waiting, stage, &format!("waits for approval: {}", clean(message)));
            }
            EventBody::ApprovalGiven { stage, approval, .. } => {
                let word = if approval.approved { "approved" } else { "rejected" };
                self.stage(Mark::Waiting, stage, &format!("{word} by {}", clean(&approval.by)));
            }
            EventBody::AttemptStarted { stage, attempt, executor } => {
                let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                self.stage(Mark::Running, stage, &format!("started on {executor}{again}"));
            }
            EventBody::RetryScheduled { stage, attempt, at } => {
                let wait = duration(crate::text::since(event.time, *at));
                self.stage(Mark::Queued, stage, &format!("attempt {attempt} follows in {wait}"));
            }
            EventBody::StageFinished { stage, .. } => {
                if let Some(shown) = board.stages.get(stage) {
                    let line = summary::row(stage, shown, event.time, self.theme);
                    self.progress.line(&line);
                }
            }
            EventBody::RunFinished { .. } => {
                let line = summary::title(board, event.time, self.theme);
                self.progress.line(&line);
            }
            _ => {}
        }
    }

    fn log(&mut self, _: &Board, attempt: Attempt<'_>, line: &LogLine) {
        let mark = sign(line);
        let text = match self.keep {
            Some(keep) => sanitize(&line.text, keep),
            None => line.text.as_str().into(),
        };
        self.out.line(&format!("{} | {mark}{text}", attempt.stage));
    }

    fn notice(&mut self, _: &Board, text: &str) {
        self.progress.line(&format!("buildit: {}", clean(text)));
    }
}
