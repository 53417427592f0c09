//! The log of a stage on the page of its run: in sections, one for each command.

use buildit::id::JobId;
use buildit::job::Stream;
use buildit::store::{LogChunk, StoreError};
use jiff::Timestamp;

use super::page::part;
use super::run::{Look, stage_link};
use crate::app::logs;
use crate::problem::Problem;
use crate::state::ServerState;
use crate::view::ansi::{Painter, lines};
use crate::view::run::{RunView, StageState, StageView};
use crate::view::words;

/// How much of a log a page begins with, in bytes and in lines.
const FIRST: usize = 256 * 1024;
const LINES: u32 = 5000;

/// How many lines a page begins with before the end of a log of what failed, or is not over.
const TAIL: u64 = 1000;

/// How many lines are shown before one that was found.
const BEFORE: u64 = 20;

/// The stage that is looked at, with a part of its log.
pub(super) struct Chosen {
    pub(super) stage: StageView,
    pub(super) attempt: u32,
    pub(super) link: String,
    /// What the address of a line begins with.
    pub(super) base: String,
    pub(super) raw: String,
    pub(super) sections: Vec<Section>,
    /// The line before the first one and the last one that are shown, and whether there is more.
    pub(super) after: u64,
    pub(super) last: u64,
    pub(super) has_more: bool,
    /// Whether lines may still come.
    pub(super) is_open: bool,
    pub(super) has_failed: bool,
    pub(super) removed: Option<String>,
    /// What is looked for, what was found, and where it goes on; or why it cannot be looked for.
    pub(super) wanted: String,
    pub(super) hits: Vec<Hit>,
    pub(super) more_hits: Option<String>,
    pub(super) refused: Option<String>,
}

/// A command with what it printed; without a command, what stands before the first one.
pub(super) struct Section {
    pub(super) head: Vec<Line>,
    pub(super) body: Vec<Line>,
    pub(super) begun: Timestamp,
    /// How long it took, when the next one is shown.
    pub(super) took: String,
    pub(super) is_open: bool,
}

pub(super) struct Line {
    pub(super) number: u64,
    pub(super) html: String,
    pub(super) class: &'static str,
    /// The time of day, as UTC has it.
    pub(super) time: String,
}

/// A line that was found.
pub(super) struct Hit {
    pub(super) line: u64,
    pub(super) text: String,
    pub(super) link: String,
}

/// The stage with a part of its log, drawn.
pub(super) async fn look_at(
    state: &ServerState,
    view: &RunView,
    stage: &StageView,
    look: &Look,
    run: &str,
) -> Result<Chosen, Problem> {
    let latest = stage.attempts.last().map_or(u32::from(!stage.cached), |attempt| attempt.number);
    let attempt = look.attempt.unwrap_or(latest);
    let job = JobId { run: view.id, stage: stage.name.clone(), attempt };
    let of_attempt = stage.attempts.iter().find(|of| of.number == attempt);
    let ended = of_attempt.and_then(|of| of.finished_at);
    let has_failed = of_attempt.and_then(|of| of.status).is_some_and(|status| StageState::Ended(status).is_failure());
    let mut after = look.after.unwrap_or(0);
    let from = async |after| {
        let mut page = state.store().read_log(&job, after, FIRST).await?;
        cut(&mut page.chunks, LINES);
        Ok(page)
    };
    let mut read = from(after).await;
    let is_running = ended.is_none() && stage.finished_at.is_none();
    // What failed is told at the end, and there it goes on.
    let mut tail = TAIL;
    while let Ok(page) = &read
        && (has_failed || is_running)
        && look.after.is_none()
        && page.chunks.last().is_some_and(|chunk| chunk.last_line() < page.last_line)
        && tail > 0
    {
        after = page.last_line.saturating_sub(tail);
        read = from(after).await;
        // Long lines are fewer.
        tail /= 2;
    }
    let (page, removed) = match read {
        Ok(page) => (page, None),
        Err(error @ StoreError::LogRemoved(_)) => (Default::default(), Some(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let last = page.chunks.last().map_or(after, LogChunk::last_line);
    let has_more = last < page.last_line;
    let link = stage_link(run, stage.name.as_str(), Some(attempt));
    let base = if after > 0 || has_more { format!("{link}&after={after}") } else { link.clone() };
    let raw =
        format!("{}/api/v1/runs/{}/stages/{}/attempts/{attempt}/log/raw", state.base(), view.id, part(&stage.name));
    let mut chosen = Chosen {
        stage: stage.clone(),
        attempt,
        base,
        raw,
        sections: sections(&page.chunks),
        after,
        last,
        has_more,
        is_open: !has_more && is_running && removed.is_none(),
        has_failed,
        removed,
        wanted: look.find.clone().unwrap_or_default(),
        hits: Vec::new(),
        more_hits: None,
        refused: None,
        link,
    };
    if !chosen.wanted.is_empty() && chosen.removed.is_none() {
        chosen.find(state, &job, look.find_after).await?;
    }
    Ok(chosen)
}

impl Chosen {
    async fn find(&mut self, state: &ServerState, job: &JobId, after: u64) -> Result<(), Problem> {
        let found = match logs::search(state, job, &self.wanted, after).await {
            Ok(found) => found,
            Err(problem) if problem.status().is_client_error() => {
                self.refused = Some(problem.said());
                return Ok(());
            }
            Err(problem) => return Err(problem),
        };
        let again = format!("{}&find={}", self.link, part(&self.wanted));
        self.more_hits = found.next.map(|next| format!("{again}&find_after={next}"));
        let hits = found.lines.into_iter().map(|found| Hit {
            link: format!("{again}&find_after={after}&after={}#L{}", found.line.saturating_sub(BEFORE), found.line),
            line: found.line,
            text: found.text,
        });
        self.hits = hits.collect();
        Ok(())
    }
}

/// Leaves so many lines.
fn cut(chunks: &mut Vec<LogChunk>, most: u32) {
    let mut left = most;
    chunks.retain_mut(|chunk| {
        if chunk.lines > left {
            let lines = chunk.text.split_inclusive(|&byte| byte == b'\n');
            chunk.text.truncate(lines.take(left as usize).map(<[u8]>::len).sum());
            chunk.lines = left;
        }
        left -= chunk.lines;
        chunk.lines > 0
    });
}

/// The lines by command. A command runs when the one before has passed: all but the last are folded.
fn sections(chunks: &[LogChunk]) -> Vec<Section> {
    let mut painter = Painter::default();
    let mut sections: Vec<Section> = Vec::new();
    for chunk in chunks {
        let class = match chunk.stream {
            Stream::Stdout => "",
            Stream::Stderr => "stderr",
            Stream::Command => "command",
        };
        let time = chunk.time.strftime("%H:%M:%S%.3f").to_string();
        let numbered = lines(&mut painter, chunk).into_iter().zip(chunk.first_line..);
        let drawn: Vec<Line> =
            numbered.map(|(html, number)| Line { number, html, class, time: time.clone() }).collect();
        let is_command = chunk.stream == Stream::Command;
        match sections.last_mut() {
            Some(section) if !is_command => section.body.extend(drawn),
            before => {
                if let Some(before) = before.filter(|before| !before.head.is_empty()) {
                    before.is_open = false;
                    before.took = words::span(before.begun, chunk.time);
                }
                let (head, body) = if is_command { (drawn, Vec::new()) } else { (Vec::new(), drawn) };
                sections.push(Section { head, body, begun: chunk.time, took: String::new(), is_open: true });
            }
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(first_line: u64, second: i64, stream: Stream, text: &'static str) -> LogChunk {
        let lines = u32::try_from(text.lines().count()).unwrap();
        let time = Timestamp::from_second(second).unwrap();
        LogChunk { first_line, lines, time, stream, text: text.into() }
    }

    #[test]
    fn a_page_has_so_many_lines_and_no_more() {
        let all = || {
            vec![
                chunk(1, 0, Stream::Command, "make\n"),
                chunk(2, 1, Stream::Stdout, "a\nb\n"),
                chunk(4, 1, Stream::Stderr, "c\n"),
            ]
        };
        let cut_to = |most| {
            let mut chunks = all();
            cut(&mut chunks, most);
            let text: String = chunks.iter().map(|chunk| String::from_utf8_lossy(&chunk.text)).collect();
            (text, chunks.last().map(LogChunk::last_line))
        };
        assert_eq!(cut_to(0), (String::new(), None));
        assert_eq!(cut_to(1), ("make\n".to_owned(), Some(1)));
        assert_eq!(cut_to(2), ("make\na\n".to_owned(), Some(2)));
        assert_eq!(cut_to(3), ("make\na\nb\n".to_owned(), Some(3)));
        assert_eq!(cut_to(9), ("make\na\nb\nc\n".to_owned(), Some(4)));
    }

    #[test]
    fn each_command_but_the_last_is_folded_with_how_long_it_took() {
        let found = sections(&[
            chunk(1, 0, Stream::Stdout, "before\n"),
            chunk(2, 1, Stream::Command, "make\n  all\n"),
            chunk(4, 2, Stream::Stdout, "one\n"),
            chunk(5, 3, Stream::Stderr, "two\n"),
            chunk(6, 8, Stream::Command, "make test\n"),
            chunk(7, 9, Stream::Stdout, "three\n"),
        ]);
        let told = found.iter().map(|of| (of.head.len(), of.body.len(), of.took.as_str(), of.is_open));
        assert_eq!(told.collect::<Vec<_>>(), [(0, 1, "", true), (2, 2, "7.0 s", false), (1, 1, "", true)]);
        assert_eq!(found[1].body[1].time, "00:00:03.000");
        assert!(found.iter().flat_map(|of| of.head.iter().chain(&of.body)).map(|line| line.number).eq(1..=7));
    }
}
