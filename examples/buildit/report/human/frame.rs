//! One frame of the live tree, as lines: pure, so that its look is a snapshot.

use buildit::job::LogLine;
use jiff::Timestamp;

use super::super::{Board, Mark, Shown, StageState, Theme, sign};
use super::select::{Row, rows};
use super::summary;
use crate::text::{Keep, fit_end, fit_middle, pad, running, sanitize, since, visible_line, width};

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// What a duration takes: `59m 59s`.
const TIME: usize = 7;
/// Shape and space.
const SHAPE: usize = 2;

/// The size of a terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// The lines of a frame: none is wider or more than the terminal has room for.
pub(crate) fn frame(board: &Board, now: Timestamp, tick: usize, size: Size, theme: Theme) -> Vec<String> {
    // The last column stays free: some terminals wrap when it is written. Title, counts and the cursor's own line
    // take three rows.
    let columns = size.columns.saturating_sub(1).max(20);
    let rows = rows(board, size.rows.saturating_sub(3).max(1));
    let longest = rows.iter().map(|row| label(board, row).1).max().unwrap_or(0);
    // Where there is little room, names matter more than what a job printed last.
    let share = if columns < 100 { columns * 2 / 3 } else { columns / 2 };
    let name = longest.min(share.max(14));
    let line = Line { columns, name, tick, now, theme };
    let mut lines = vec![line.title(board)];
    lines.extend(rows.iter().map(|row| line.row(board, row)));
    lines.push(summary::counts(board, columns, theme));
    lines
}

/// How a row is named, and how many columns that takes with its indentation.
fn label(board: &Board, row: &Row) -> (String, usize) {
    let name = match row {
        Row::Stage { index, nested } => match board.stages.get_index(*index) {
            Some((_, Shown { cell: Some((_, values)), .. })) if *nested => values.clone(),
            Some((name, _)) => name.to_string(),
            None => String::new(),
        },
        Row::Matrix { cells } => cells
            .first()
            .and_then(|&cell| board.stages.get_index(cell))
            .and_then(|(_, shown)| shown.cell.as_ref())
            .map_or_else(String::new, |(of, _)| of.to_string()),
        Row::Folded { .. } => String::new(),
    };
    let indent = if matches!(row, Row::Stage { nested: true, .. }) { 2 } else { 0 };
    let columns = width(&name) + indent;
    (name, columns)
}

struct Line {
    columns: usize,
    name: usize,
    tick: usize,
    now: Timestamp,
    theme: Theme,
}

impl Line {
    fn title(&self, board: &Board) -> String {
        let elapsed = running(board.elapsed(self.now));
        let name = fit_middle(&board.name(), self.columns.saturating_sub(TIME + 1));
        let room = self.columns.saturating_sub(width(&name) + TIME + 3);
        let source = if board.source.is_empty() || room < 8 {
            String::new()
        } else {
            format!("  {}", fit_end(&board.source, room))
        };
        let gap = self.columns.saturating_sub(width(&name) + width(&source) + width(&elapsed));
        format!(
            "{}{}{}{}",
            self.theme.strong(&name),
            self.theme.faint(&source),
            " ".repeat(gap),
            self.theme.faint(&elapsed)
        )
    }

    fn row(&self, board: &Board, row: &Row) -> String {
        match row {
            Row::Stage { index, nested } => {
                let Some((_, shown)) = board.stages.get_index(*index) else { return String::new() };
                let mark = Mark::of(shown);
                let time = match mark {
                    Mark::Queued | Mark::Waiting => String::new(),
                    Mark::Running => running(shown.elapsed(self.now)),
                    _ => summary::took(shown, self.now),
                };
                let indent = if *nested { "  " } else { "" };
                self.line(indent, mark, &label(board, row).0, &self.detail(board, shown), &time)
            }
            Row::Matrix { cells } => self.matrix(board, cells, &label(board, row).0),
            Row::Folded { mark, count } => {
                let word = match mark {
                    Mark::Queued => "queued",
                    Mark::Running => "more running",
                    Mark::Waiting => "more waiting",
                    Mark::Failed | Mark::Infrastructure => "more failed",
                    Mark::Allowed => "more allowed to fail",
                    Mark::Succeeded => "succeeded",
                    Mark::Skipped => "skipped",
                    Mark::Cancelled => "cancelled",
                };
                format!("{}{}", self.theme.shape(*mark), self.theme.faint(&format!("{count} {word}")))
            }
        }
    }

    fn matrix(&self, board: &Board, cells: &[usize], name: &str) -> String {
        let shown: Vec<&Shown> = cells.iter().filter_map(|&cell| Some(board.stages.get_index(cell)?.1)).collect();
        let marks: Vec<Mark> = shown.iter().map(|shown| Mark::of(shown)).collect();
        // The mark of a matrix is the worst of its cells, and running comes before all that is quiet.
        let worst = [
            Mark::Failed,
            Mark::Infrastructure,
            Mark::Running,
            Mark::Waiting,
            Mark::Queued,
            Mark::Cancelled,
            Mark::Allowed,
            Mark::Succeeded,
            Mark::Skipped,
        ];
        let mark = worst.into_iter().find(|mark| marks.contains(mark)).unwrap_or(Mark::Queued);
        let done = shown.iter().filter(|shown| shown.result().is_some()).count();
        let time = shown.iter().map(|shown| shown.elapsed(self.now)).max().unwrap_or_default();
        let time = match mark {
            Mark::Queued | Mark::Skipped => String::new(),
            _ if shown.iter().all(|shown| shown.is_cached()) => "-".into(),
            _ => running(time),
        };
        self.line("", mark, name, &format!("{done} of {} cells", shown.len()), &time)
    }

    /// What a row says beside its name: the last line of its log, or why it does not run.
    fn detail(&self, board: &Board, shown: &Shown) -> String {
        match &shown.state {
            StageState::Running => shown.tail.iter().rev().find_map(seen).unwrap_or_default(),
            StageState::Waiting => "waits for approval".into(),
            StageState::Retrying(at) => format!("attempt {} in {}", shown.attempt + 1, running(since(self.now, *at))),
            StageState::Queued => missing(board, shown),
            StageState::Done(_) => summary::what(shown),
        }
    }

    fn line(&self, indent: &str, mark: Mark, name: &str, detail: &str, time: &str) -> String {
        let shape = if mark == Mark::Running {
            self.theme.mark(mark, SPINNER[self.tick % SPINNER.len()]) + " "
        } else {
            self.theme.shape(mark)
        };
        let name_columns = self.name.saturating_sub(indent.len());
        let name = pad(&fit_middle(name, name_columns), name_columns);
        let used = indent.len() + SHAPE + name_columns;
        let room = self.columns.saturating_sub(used + 2 + 1 + TIME);
        let detail = if room < 6 { String::new() } else { fit_end(detail, room) };
        let gap = self.columns.saturating_sub(used + 2 + width(&detail) + width(time));
        let painted = match mark {
            Mark::Failed | Mark::Infrastructure | Mark::Waiting | Mark::Allowed => self.theme.mark(mark, &detail),
            _ => self.theme.faint(&detail),
        };
        let name = if matches!(mark, Mark::Queued | Mark::Skipped) { self.theme.faint(&name) } else { name };
        let line = format!("{indent}{shape}{name}  {painted}{}{}", " ".repeat(gap), self.theme.faint(time));
        line.trim_end().to_owned()
    }
}

/// What is to be seen of a line of a log, if anything.
fn seen(line: &LogLine) -> Option<String> {
    let text = sanitize(visible_line(&line.text), Keep::Nothing).trim().replace('\t', " ");
    let mark = sign(line);
    (!text.is_empty()).then(|| format!("{mark}{text}"))
}

/// Which of its needs a stage still waits for.
fn missing(board: &Board, shown: &Shown) -> String {
    let open = |need: &str| {
        board.stages.get(need).map_or_else(
            || {
                let mut cells =
                    board.stages.values().filter(|cell| cell.cell.as_ref().is_some_and(|(of, _)| *of == *need));
                cells.any(|cell| cell.result().is_none())
            },
            |shown| shown.result().is_none(),
        )
    };
    // Three names say enough; a stage may need thousands.
    let open: Vec<&str> = shown.needs.iter().map(|need| need.as_str()).filter(|need| open(need)).take(4).collect();
    match open.as_slice() {
        [] => String::new(),
        [names @ .., _] if open.len() == 4 => format!("after {}, …", names.join(", ")),
        names => format!("after {}", names.join(", ")),
    }
}
