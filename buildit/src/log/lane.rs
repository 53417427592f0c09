//! One output of a job: raw bytes in, whole masked lines out. Pure.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::job::Stream;
use crate::secret::{End, Masker, Scan};

/// The longest line that is stored as one, in raw bytes without its end: 256 KiB. A longer one (a progress bar that
/// never ends its line, a file of one line) is stored as several lines, nothing of it is lost, and memory stays
/// bounded. The cut lies neither within a character nor within a secret.
pub const MAX_LINE: usize = 256 * 1024;

/// How much is looked at together: what is decided can be stored while the rest is masked.
const WINDOW: usize = 256 * 1024;

/// A shorter text is copied, so that it does not keep the buffer alive that it was read into.
const SMALL: usize = 4096;

/// Whole lines of one stream.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) stream: Stream,
    pub(crate) text: Bytes,
    pub(crate) lines: u32,
    /// The raw offset behind them.
    pub(crate) end: u64,
    pub(crate) raw: Raw,
}

/// Whether lines are the raw bytes, so that a place in them is one in what the job wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    Same,
    /// Something in them is masked, or a line end is added.
    Other,
}

/// Puts the pieces of one output together.
#[derive(Debug)]
pub(crate) struct Lane {
    masker: Arc<Masker>,
    stream: Stream,
    /// What is not stored yet; begins at the beginning of a line.
    pending: Vec<u8>,
    /// The raw offset of the beginning of `pending`.
    offset: u64,
}

impl Lane {
    /// A lane whose first bytes lie at this raw offset.
    pub(crate) fn new(masker: Arc<Masker>, offset: u64) -> Self {
        Self { masker, stream: Stream::Stdout, pending: Vec::new(), offset }
    }

    /// The raw offset behind what was taken.
    fn taken(&self) -> u64 {
        self.offset + self.pending.len() as u64
    }

    /// Takes bytes that end at the raw offset `end`, or directly behind what was taken. What was taken before is
    /// passed over.
    pub(crate) fn push(&mut self, stream: Stream, mut bytes: Bytes, end: Option<u64>, out: &mut Vec<Piece>) {
        if let Some(end) = end {
            if stream == Stream::Command {
                return self.stand_in(bytes, end, out);
            }
            let start = end.saturating_sub(bytes.len() as u64);
            let known = self.taken().saturating_sub(start);
            if known >= bytes.len() as u64 && end <= self.taken() {
                return;
            }
            bytes = bytes.slice(usize::try_from(known).unwrap_or(usize::MAX).min(bytes.len())..);
            if start > self.taken() {
                // Something was not passed on, which can only be between two lines.
                self.finish(out);
                self.offset = start;
            }
        }
        if stream != self.stream {
            self.finish(out);
            self.stream = stream;
        }
        while !bytes.is_empty() {
            let window = bytes.split_to(bytes.len().min(WINDOW));
            if self.masker.is_empty() {
                self.push_plain(window, out);
            } else {
                self.push_masked(&window, out);
            }
        }
    }

    /// Takes the echo of a command in place of the mark that stands for it in the raw output.
    fn stand_in(&mut self, bytes: Bytes, end: u64, out: &mut Vec<Piece>) {
        if end <= self.taken() {
            return;
        }
        self.finish(out);
        self.stream = Stream::Command;
        let first = out.len();
        let masker = Arc::clone(&self.masker);
        self.settle(bytes, &|text| masker.scan(text, 0, 0, End::Closed), out);
        self.finish(out);
        out[first..].iter_mut().for_each(|piece| (piece.end, piece.raw) = (end, Raw::Other));
        self.offset = end;
    }

    /// Ends a line that was begun.
    pub(crate) fn finish(&mut self, out: &mut Vec<Piece>) {
        let text = Bytes::from(std::mem::take(&mut self.pending));
        let found = self.masker.scan(&text, 0, 0, End::Closed);
        let stored = self.store_lines(&text, &found, out);
        if stored < text.len() {
            self.store(&text, stored..text.len(), &found, Line::Cut, out);
        }
    }

    /// Nothing is to be masked: the lines between the first and the last newline are not even copied.
    fn push_plain(&mut self, mut bytes: Bytes, out: &mut Vec<Piece>) {
        if !self.pending.is_empty() {
            let first = memchr::memchr(b'\n', &bytes).map_or(bytes.len(), |newline| newline + 1);
            self.pending.extend_from_slice(&bytes.split_to(first));
            let text = Bytes::from(std::mem::take(&mut self.pending));
            self.settle(text, &Scan::nothing_in, out);
        }
        if !bytes.is_empty() {
            self.settle(bytes, &Scan::nothing_in, out);
        }
    }

    fn push_masked(&mut self, bytes: &[u8], out: &mut Vec<Piece>) {
        let mut text = std::mem::take(&mut self.pending);
        text.extend_from_slice(bytes);
        let masker = Arc::clone(&self.masker);
        self.settle(text.into(), &|text| masker.scan(text, 0, 0, End::Open), out);
    }

    /// Stores what of the text is decided and keeps the rest.
    fn settle(&mut self, text: Bytes, scan: &dyn Fn(&[u8]) -> Scan, out: &mut Vec<Piece>) {
        let stored = self.store_lines(&text, &scan(&text), out);
        self.pending.extend_from_slice(&text[stored..]);
    }

    /// Stores the whole lines of the text that are decided, and says how many bytes they are.
    fn store_lines(&mut self, text: &Bytes, found: &Scan, out: &mut Vec<Piece>) -> usize {
        let mut stored = 0;
        let mut line = 0;
        while found.settled.saturating_sub(line) > MAX_LINE {
            if let Some(newline) = memchr::memrchr(b'\n', &text[line..=line + MAX_LINE]) {
                line += newline + 1;
                continue;
            }
            let cut = place_to_cut(text, line, found);
            if cut > found.settled {
                break;
            }
            self.store(text, stored..cut, found, Line::Cut, out);
            (stored, line) = (cut, cut);
        }
        let mut limit = found.settled;
        while let Some(newline) = text.get(stored..limit).and_then(|lines| memchr::memrchr(b'\n', lines)) {
            let end = stored + newline + 1;
            // A cursor within a secret of several lines would make a restarted engine read the half of it.
            if let Some(secret) = found.masked.iter().find(|range| range.start < end && end < range.end) {
                limit = secret.start;
                continue;
            }
            self.store(text, stored..end, found, Line::Whole, out);
            stored = end;
            break;
        }
        stored
    }

    fn store(&mut self, text: &Bytes, range: Range<usize>, found: &Scan, line: Line, out: &mut Vec<Piece>) {
        self.offset += range.len() as u64;
        let raw = text.slice(range.clone());
        let masked: Vec<_> = found
            .masked
            .iter()
            .filter(|secret| secret.start < range.end && range.start < secret.end)
            .map(|secret| secret.start.saturating_sub(range.start)..secret.end - range.start)
            .collect();
        let raw_is = if masked.is_empty() && line == Line::Whole { Raw::Same } else { Raw::Other };
        let text = if raw_is == Raw::Same {
            if raw.len() < SMALL { Bytes::copy_from_slice(&raw) } else { raw }
        } else {
            let mut text = Vec::with_capacity(raw.len() + 1);
            Masker::write(&raw, &masked, &mut text);
            if line == Line::Cut {
                text.push(b'\n');
            }
            text.into()
        };
        let lines = u32::try_from(memchr::memchr_iter(b'\n', &text).count()).unwrap_or(u32::MAX);
        out.push(Piece { stream: self.stream, text, lines, end: self.offset, raw: raw_is });
    }
}

/// Whether the last line of a text has its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Whole,
    Cut,
}

/// Where to cut the line of more than [`MAX_LINE`] bytes that begins at `line`.
fn place_to_cut(text: &[u8], line: usize, found: &Scan) -> usize {
    let place = line + MAX_LINE;
    if let Some(secret) = found.masked.iter().find(|range| range.start < place && place < range.end) {
        return if secret.start > line { secret.start } else { secret.end };
    }
    let is_within_character = |place: &usize| text[*place] & 0b1100_0000 == 0b1000_0000;
    (place - 3..=place).rev().find(|place| !is_within_character(place)).unwrap_or(place)
}

impl Scan {
    /// What a masker finds that knows no secret.
    fn nothing_in(text: &[u8]) -> Self {
        Self { masked: Vec::new(), settled: text.len() }
    }
}
