//! Search in logs.
//!
//! A line is found by any part of it of three bytes or more, whatever its letters' case (of ASCII). An index need not know
//! lines: it knows which [terms](LogTerms) are in a block of lines, which every block with a match has, and the blocks
//! that it names are then read and looked through. So every store gives the same answers, no text is anybody's query
//! language, and the index is small beside the logs.

use std::fmt::{self, Debug};

use async_trait::async_trait;
use bytes::Bytes;
use memchr::memmem::Finder;

use super::{LogChunk, StoreError};
use crate::id::{JobId, RunId};
use crate::job::LogLine;

/// How long the shortest text is that can be searched for, in bytes.
const SHORTEST: usize = 3;

/// How many terms of a long text an index is asked for: with so many it names hardly a block too many.
const MOST_TERMS: usize = 48;

/// How much of a line is shown, in bytes: a match and what is around it.
const SHOWN: usize = 4096;

/// Finds lines in the logs of closed runs.
#[async_trait]
pub trait LogSearch: Debug + Send + Sync + 'static {
    /// Adds the logs of runs that were closed since to the index, and says how many. Only then are they found. A store
    /// that looks at the logs themselves has nothing to do.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails; what was added stays, and the next call goes on. A log that is damaged is
    /// passed over.
    async fn index_logs(&self) -> Result<u64, StoreError>;

    /// Lines that match, the latest log first and of each log the last line first, behind the place `before` if there is
    /// one. A page may have fewer lines than `limit`, even none, and yet be followed by others: the work for one is
    /// bounded.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn search_logs(
        &self,
        query: &LogQuery,
        before: Option<SearchPlace>,
        limit: usize,
    ) -> Result<LogHits, StoreError>;
}

/// What is searched for.
#[derive(Clone)]
pub struct LogQuery {
    run: Option<RunId>,
    finder: Finder<'static>,
}

impl LogQuery {
    /// Lines with this text in them, in the logs of all runs.
    ///
    /// ```
    /// use buildit::store::{BadQuery, LogQuery};
    ///
    /// assert!(LogQuery::new("error[E0277]").is_ok());
    /// assert!(matches!(LogQuery::new("ab"), Err(BadQuery::Short)));
    /// ```
    ///
    /// # Errors
    ///
    /// [`BadQuery`] for a text that nothing can be found by.
    pub fn new(text: &str) -> Result<Self, BadQuery> {
        if text.len() < SHORTEST {
            return Err(BadQuery::Short);
        }
        if text.contains('\n') {
            return Err(BadQuery::Lines);
        }
        let text = text.to_ascii_lowercase();
        Ok(Self { run: None, finder: Finder::new(text.as_bytes()).into_owned() })
    }

    /// The same in the logs of one run.
    #[must_use]
    pub fn in_run(self, run: RunId) -> Self {
        Self { run: Some(run), ..self }
    }

    /// The run whose logs are searched; `None` for all.
    #[must_use]
    pub fn run(&self) -> Option<RunId> {
        self.run
    }

    /// Terms that every block with a match has.
    #[must_use]
    pub fn terms(&self) -> Vec<u16> {
        let mut terms: Vec<u16> = Vec::new();
        for term in self.finder.needle().windows(3).map(term) {
            if terms.len() == MOST_TERMS {
                break;
            }
            if !terms.contains(&term) {
                terms.push(term);
            }
        }
        terms
    }

    /// The lines of a chunk that match, in order.
    #[must_use]
    pub fn matches(&self, job: &JobId, chunk: &LogChunk) -> Vec<LogHit> {
        let text = chunk.text.to_ascii_lowercase();
        let mut hits = Vec::new();
        let (mut line, mut counted, mut from) = (chunk.first_line, 0, 0);
        while let Some(found) = text.get(from..).and_then(|rest| self.finder.find(rest)) {
            let place = from + found;
            line += memchr::memchr_iter(b'\n', &text[counted..place]).count() as u64;
            let begin = memchr::memrchr(b'\n', &text[..place]).map_or(0, |newline| newline + 1);
            let end = memchr::memchr(b'\n', &text[place..]).map_or(text.len(), |newline| place + newline);
            let text = shown(&chunk.text.slice(begin..end), place - begin);
            let found = LogLine { line, time: chunk.time, stream: chunk.stream, text };
            hits.push(LogHit { job: job.clone(), line: found });
            (counted, from) = (place, end);
        }
        hits
    }
}

impl Debug for LogQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(self.finder.needle());
        f.debug_struct("LogQuery").field("run", &self.run).field("text", &text).finish()
    }
}

/// A line, or what of a long one is around the match.
fn shown(line: &Bytes, found: usize) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() <= SHOWN {
        return String::from_utf8_lossy(line).into_owned();
    }
    let begin = found.saturating_sub(SHOWN / 2).min(line.len() - SHOWN);
    String::from_utf8_lossy(&line[begin..begin + SHOWN]).into_owned()
}

/// Nothing can be found by a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadQuery {
    /// It is too short.
    #[error("a text of fewer than {SHORTEST} bytes cannot be searched for")]
    Short,
    /// It is longer than a line.
    #[error("a text of several lines cannot be searched for")]
    Lines,
}

/// A line that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHit {
    /// The job.
    pub job: JobId,
    /// The line; of one of more than 4 KiB, what is around the match.
    pub line: LogLine,
}

/// Lines that match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogHits {
    /// The lines.
    pub hits: Vec<LogHit>,
    /// Where to go on; `None` when there are no more.
    pub next: Option<SearchPlace>,
}

impl LogHits {
    /// Puts the lines of a block that match onto a page of at most `limit`, the last of them first; they come in their
    /// order, and all of them are before the line of `place`. Whether the page is full, and there are more: then
    /// [`next`](Self::next) says where.
    pub fn fill(&mut self, place: SearchPlace, hits: Vec<LogHit>, limit: usize) -> bool {
        let room = limit.saturating_sub(self.hits.len());
        let is_full = hits.len() > room;
        self.hits.extend(hits.into_iter().rev().take(room));
        if is_full {
            let line = self.hits.last().filter(|_| room > 0).map_or(place.line, |hit| hit.line.line);
            self.next = Some(SearchPlace { line, ..place });
        }
        is_full
    }
}

/// A place among all lines of a store, for the next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchPlace {
    /// The store's own number of a block of lines.
    pub block: u64,
    /// Lines of that block before this one are still to come.
    pub line: u64,
}

impl SearchPlace {
    /// Where a search begins: everything is still to come.
    pub const START: Self = Self { block: u64::MAX, line: 0 };

    /// What of this block is still to come when what is before this place is.
    #[must_use]
    pub fn within(self, block: u64) -> Self {
        Self { block, line: if block == self.block { self.line } else { u64::MAX } }
    }
}

/// Which terms are in some lines: a term stands for three bytes that follow each other, whatever their case. Some stand
/// for more than one such three, so a block that has all terms of a query need not have a match.
#[derive(Clone, PartialEq, Eq)]
pub struct LogTerms(Box<[u64; TERMS / 64]>);

/// How many terms there are.
const TERMS: usize = 1 << 16;

impl Default for LogTerms {
    fn default() -> Self {
        Self(Box::new([0; TERMS / 64]))
    }
}

impl LogTerms {
    /// Adds the terms of these lines.
    pub fn add(&mut self, lines: &[u8]) {
        for three in lines.windows(3) {
            let term = usize::from(term(three));
            self.0[term / 64] |= 1 << (term % 64);
        }
    }

    /// The terms, the smallest first.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..=u16::MAX).filter(|term| self.0[usize::from(*term) / 64] & (1 << (term % 64)) != 0)
    }
}

impl Debug for LogTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogTerms").field(&self.iter().count()).finish()
    }
}

/// The term of three bytes: a multiplicative hash of them in lower case.
fn term(three: &[u8]) -> u16 {
    let number = three.iter().fold(0, |number: u32, byte| (number << 8) | u32::from(byte.to_ascii_lowercase()));
    (number.wrapping_mul(0x9E37_79B1) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::job::Stream;

    fn chunk(text: &[u8]) -> LogChunk {
        let lines = u32::try_from(text.iter().filter(|&&byte| byte == b'\n').count()).unwrap();
        let (time, text) = (Timestamp::UNIX_EPOCH, Bytes::copy_from_slice(text));
        LogChunk { first_line: 10, lines, time, stream: Stream::Stdout, text }
    }

    fn found(query: &str, text: &[u8]) -> Vec<(u64, String)> {
        let job = JobId { run: RunId::new(), stage: "a".into(), attempt: 1 };
        let hits = LogQuery::new(query).unwrap().matches(&job, &chunk(text));
        hits.into_iter().map(|hit| (hit.line.line, hit.line.text)).collect()
    }

    #[test]
    fn a_page_goes_on_where_it_was_full() {
        let job = JobId { run: RunId::new(), stage: "a".into(), attempt: 1 };
        let hits = LogQuery::new("one").unwrap().matches(&job, &chunk(b"one 10\none 11\none 12\n"));
        let mut page = LogHits::default();
        let place = SearchPlace::START.within(7);
        assert!(!page.fill(place, hits[1..].to_vec(), 2), "there is room for both");
        assert_eq!((page.hits.iter().map(|hit| hit.line.line).collect::<Vec<_>>(), page.next), (vec![12, 11], None));
        assert!(page.fill(SearchPlace::START.within(6), hits.clone(), 2));
        assert_eq!(page.next, Some(SearchPlace { block: 6, line: u64::MAX }), "none of that block was taken");
        let mut page = LogHits::default();
        assert!(page.fill(place, hits.clone(), 2));
        let next = page.next.unwrap();
        assert_eq!((next, next.within(7), next.within(3).line), (SearchPlace { block: 7, line: 11 }, next, u64::MAX));
    }

    #[test]
    fn a_line_is_found_once_by_any_part_of_it() {
        let text = b"one\nan Error: error\r\n\nerr\nlast \xff error\n";
        let expected = [(11, "an Error: error".to_owned()), (14, "last \u{fffd} error".to_owned())];
        assert_eq!(found("ERROR", text), expected);
        assert_eq!(found("r: e", text), expected[..1]);
        assert_eq!(found("error: ", text), [(11, "an Error: error".to_owned())]);
        assert_eq!(found("errors", text), []);
    }

    #[test]
    fn a_long_line_is_shown_around_the_match() {
        let mut text = vec![b'x'; 20_000];
        text.splice(15_000..15_000, *b"needle");
        text.push(b'\n');
        let (line, shown) = found("needle", &text).remove(0);
        assert!(line == 10 && shown.len() == SHOWN && shown.contains("needle"));
    }

    #[test]
    fn every_block_with_a_match_has_all_terms_of_the_query() {
        let text = b"cargo build --release\n  error[E0277]: the trait `Foo` is not implemented\n";
        let mut terms = LogTerms::default();
        terms.add(text);
        let has =
            |query: &str| LogQuery::new(query).unwrap().terms().iter().all(|term| terms.iter().any(|t| t == *term));
        assert!(has("e0277]: THE trait `foo`") && has("--release") && has("bui"));
        assert!(!has("certainly not there"));
        let long = "0123456789abcdefghijklmnopqrstuvwxyz".repeat(40_000);
        assert!(LogQuery::new(&long).unwrap().terms().len() <= MOST_TERMS);
    }

    #[test]
    fn what_nothing_can_be_found_by_is_refused() {
        assert_eq!(LogQuery::new("\u{fc}").unwrap_err(), BadQuery::Short);
        assert_eq!(LogQuery::new("one\ntwo").unwrap_err(), BadQuery::Lines);
    }
}
