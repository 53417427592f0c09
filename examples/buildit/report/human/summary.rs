//! What is said about a run and its stages in the end: plain enough to be pasted anywhere.

use buildit::event::{RunStatus, StageReason};
use buildit::job::{Cause, Status, Stream};
use jiff::Timestamp;

use super::super::style::word;
use super::super::{Board, Mark, Shown, Theme, keep, sign};
use crate::text::{clean, duration, fit_end, fit_middle, pad, sanitize, visible_line, width, wrap};

/// Stages that did what they were to do are listed one by one up to this many; more of them are only counted.
const LISTED: usize = 30;

/// How long a stage took, in a column; nothing for one that was skipped, and a dash for one that took no time because
/// its result was there.
pub(crate) fn took(shown: &Shown, now: Timestamp) -> String {
    match Mark::of(shown) {
        Mark::Skipped => String::new(),
        _ if shown.is_cached() => "-".into(),
        _ => duration(shown.elapsed(now)),
    }
}

/// The run in a line: `✕ shop #12  main · 3f2a1c9  failed in 1m 04s`.
pub(crate) fn title(board: &Board, now: Timestamp, theme: Theme) -> String {
    let mark = Mark::of_run(board.status);
    let source = if board.source.is_empty() { String::new() } else { format!("  {}", theme.faint(&board.source)) };
    let status = match board.status {
        RunStatus::Running => "started".to_owned(),
        status => format!("{} in {}", status.as_str(), duration(board.elapsed(now))),
    };
    let name = theme.strong(&board.name());
    format!("{}{name}{source}  {}", theme.shape(mark), theme.mark(mark, &status))
}

/// The same in two lines where it does not fit into one.
fn heading(board: &Board, columns: usize, now: Timestamp, theme: Theme) -> Vec<String> {
    let line = title(board, now, theme);
    if width(&line) < columns {
        return vec![line];
    }
    let mark = Mark::of_run(board.status);
    let name = fit_middle(&board.name(), columns.saturating_sub(3));
    let how = format!("{} in {}", board.status.as_str(), duration(board.elapsed(now)));
    let room = columns.saturating_sub(width(&how) + 5);
    let source = if room < 6 { String::new() } else { format!("  {}", theme.faint(&fit_end(&board.source, room))) };
    let first = format!("{}{}", theme.shape(mark), theme.strong(&name));
    vec![first, format!("  {}{source}", theme.mark(mark, &how))]
}

/// A stage that ended, in a line of its own, or with the rest below its name where that is too wide.
pub(crate) fn row_within(columns: usize, name: &str, shown: &Shown, now: Timestamp, theme: Theme) -> Vec<String> {
    let whole = row(name, shown, now, theme);
    if width(&whole) < columns {
        return vec![whole];
    }
    let mark = Mark::of(shown);
    let name = theme.strong(&fit_middle(name, columns.saturating_sub(3)));
    let mut said = shown.result().map_or("", |result| word(result.status)).to_owned();
    let what = what(shown);
    if !what.is_empty() {
        said.push_str(&format!(": {what}"));
    }
    if mark != Mark::Skipped && !shown.is_cached() {
        said.push_str(&format!(" · {}", duration(shown.elapsed(now))));
    }
    let mut lines = vec![format!("{}{name}", theme.shape(mark))];
    lines.extend(wrap(&said, columns.saturating_sub(3)).iter().map(|line| format!("  {}", theme.mark(mark, line))));
    lines
}

/// A stage that ended, in a line of its own.
pub(crate) fn row(name: &str, shown: &Shown, now: Timestamp, theme: Theme) -> String {
    let mark = Mark::of(shown);
    let status = shown.result().map_or("", |result| word(result.status));
    let what = what(shown);
    let what = if what.is_empty() { String::new() } else { format!(": {what}") };
    let time = if mark == Mark::Skipped || shown.is_cached() {
        String::new()
    } else {
        theme.faint(&format!(" · {}", duration(shown.elapsed(now))))
    };
    format!("{}{} {}{time}", theme.shape(mark), theme.strong(name), theme.mark(mark, &format!("{status}{what}")))
}

/// Why a stage ended as it did, beyond the word for it; often nothing.
pub(crate) fn what(shown: &Shown) -> String {
    let Some(result) = shown.result() else { return String::new() };
    let mut what = match result.reason.as_deref() {
        Some(StageReason::Attempt { cause: Cause::Exit | Cause::Signal, message: None }) | None => {
            match result.exit_code {
                Some(code) if code != 0 => format!("exit code {code}"),
                _ if result.status == Status::Failed => "killed by a signal".into(),
                _ => String::new(),
            }
        }
        Some(StageReason::Attempt { cause: Cause::Timeout | Cause::Lost, message: None }) => String::new(),
        Some(StageReason::Attempt { message: Some(message), .. }) => clean(message).into_owned(),
        Some(reason) => clean(&reason.to_string()).into_owned(),
    };
    let mut add = |text: String| {
        if !what.is_empty() {
            what.push_str(", ");
        }
        what.push_str(&text);
    };
    if shown.attempt > 1 {
        add(format!("attempt {}", shown.attempt));
    }
    if result.allowed && shown.has_failed() {
        add("allowed to fail".into());
    }
    if result.cached {
        add("taken from an earlier run".into());
    }
    what
}

/// The last lines of a stage's log.
pub(crate) fn tail(shown: &Shown, limit: usize, indent: &str, theme: Theme) -> Vec<String> {
    let left_out = shown.tail.len().saturating_sub(limit);
    let earlier = shown.dropped + left_out as u64;
    let mut lines = Vec::with_capacity(shown.tail.len() - left_out + 1);
    if earlier > 0 {
        let plural = if earlier == 1 { "" } else { "s" };
        lines.push(format!("{indent}{}", theme.faint(&format!("… {earlier} earlier line{plural}"))));
    }
    let keep = keep(theme);
    lines.extend(shown.tail.iter().skip(left_out).map(|line| {
        let text = sanitize(visible_line(&line.text), keep);
        if line.stream == Stream::Command {
            return format!("{indent}{}", theme.faint(&format!("{}{text}", sign(line))));
        }
        // A job that ends within a colour must not paint what follows it.
        let reset = if text.contains('\u{1b}') { "\u{1b}[0m" } else { "" };
        format!("{indent}{text}{reset}")
    }));
    lines
}

/// The logs of the stages whose failure counts, each under its name.
pub(crate) fn logs(board: &Board, columns: usize, theme: Theme) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, shown) in board.stages.iter().filter(|(_, shown)| counts_as_failed(shown) && !shown.tail.is_empty()) {
        let mark = Mark::of(shown);
        let name = fit_middle(name, columns.saturating_sub(8));
        let rule = "─".repeat(columns.min(100).saturating_sub(width(&name) + 6));
        lines.push(format!("{} {} {}", theme.mark(mark, "───"), theme.strong(&name), theme.mark(mark, &rule)));
        lines.extend(tail(shown, usize::MAX, "", theme));
        lines.push(String::new());
    }
    lines
}

fn counts_as_failed(shown: &Shown) -> bool {
    shown.has_failed() && shown.result().is_some_and(|result| !result.allowed)
}

/// The stages in a table, and the run in a line above it.
pub(crate) fn table(board: &Board, columns: usize, theme: Theme) -> Vec<String> {
    let now = board.latest.unwrap_or_default();
    let good = |shown: &Shown| matches!(Mark::of(shown), Mark::Succeeded | Mark::Skipped);
    let all = board.stages.len() <= LISTED;
    let listed: Vec<_> = board.stages.iter().filter(|(_, shown)| all || !good(shown)).take(LISTED * 4).collect();
    let longest = listed.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    // Where there is little room the names get it, and reasons go below them.
    let share = if columns < 60 { columns.saturating_sub(14) } else { columns - 30 };
    let name_columns = longest.min(share.max(14));
    let room = columns.saturating_sub(name_columns + 16);
    let mut lines = heading(board, columns, now, theme);
    lines.push(String::new());
    for (name, shown) in listed {
        let mark = Mark::of(shown);
        let time = took(shown, now);
        let name = pad(&fit_middle(name, name_columns), name_columns);
        let status = shown.result().map(|result| result.status);
        let mut what = what(shown);
        if let Some(status @ (Status::TimedOut | Status::Lost | Status::Cancelled)) = status {
            what = if what.is_empty() { word(status).into() } else { format!("{}: {what}", word(status)) };
        }
        let paint = |what: &str| if mark == Mark::Succeeded { theme.faint(what) } else { theme.mark(mark, what) };
        let (beside, below) = if width(&what) <= room { (what.as_str(), "") } else { ("", what.as_str()) };
        let time = theme.faint(&format!("{time:>7}"));
        let line = format!("  {}{name}  {time}  {}", theme.shape(mark), paint(beside));
        lines.push(line.trim_end().to_owned());
        lines.extend(wrap(below, columns.saturating_sub(7)).iter().map(|line| format!("      {}", paint(line))));
    }
    if board.stages.len() > 1 {
        lines.push(String::new());
        lines.push(format!("  {}", counts(board, columns.saturating_sub(2), theme)));
    }
    lines
}

/// `12 stages: 8 succeeded, 1 failed, 3 queued`, or only shapes and numbers where that is too wide.
pub(crate) fn counts(board: &Board, columns: usize, theme: Theme) -> String {
    let kinds = [
        (Mark::Succeeded, "succeeded"),
        (Mark::Failed, "failed"),
        (Mark::Infrastructure, "broken"),
        (Mark::Allowed, "allowed to fail"),
        (Mark::Running, "running"),
        (Mark::Waiting, "waiting"),
        (Mark::Cancelled, "cancelled"),
        (Mark::Skipped, "skipped"),
        (Mark::Queued, "queued"),
    ];
    let mut numbers = [0_usize; 9];
    for shown in board.stages.values() {
        let mark = Mark::of(shown);
        if let Some(place) = kinds.iter().position(|(kind, _)| *kind == mark) {
            numbers[place] += 1;
        }
    }
    let parts = kinds.iter().zip(numbers).filter(|(_, number)| *number > 0);
    let plural = if board.stages.len() == 1 { "" } else { "s" };
    let total = format!("{} stage{plural}:", board.stages.len());
    let words: Vec<String> = parts.clone().map(|((_, word), number)| format!("{number} {word}")).collect();
    if width(&total) + 1 + width(&words.join(", ")) > columns {
        let shapes: Vec<String> =
            parts.map(|((mark, _), number)| theme.mark(*mark, &format!("{}{number}", mark.shape()))).collect();
        return shapes.join(" ");
    }
    let words: Vec<String> =
        parts.map(|((mark, word), number)| theme.mark(*mark, &format!("{number} {word}"))).collect();
    format!("{} {}", theme.faint(&total), words.join(", "))
}
