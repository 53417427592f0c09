//! How much of a job's output is stored. Pure.
//!
//! Everything here follows from the cursor that goes with the stored lines: what is stored by raw offsets, and what is
//! passed over moves the cursor too, so that a job which never stops talking fills no spool. The last lines are held
//! back, and the cursor stays before them. So an engine that takes the job over reads them again, finds by the cursor
//! that the limit is behind it, and closes the log as the one before would have.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use bytes::Bytes;
use jiff::Timestamp;

use super::lane::{Piece, Raw};
use crate::executor::{LogCursor, Physical};
use crate::job::Stream;

/// How much of the end of a log that has gone beyond its limit is kept, in bytes: what tells why a job failed.
pub const TAIL: usize = 64 * 1024;

/// How much is passed over before the cursor is stored again: a commit for each piece would slow the job down.
const STEP: u64 = 8 * 1024 * 1024;

/// In what pieces the last lines are held, in bytes: so much less than [`TAIL`] of them may be left.
const GRAIN: usize = 8 * 1024;

/// Lines as they were read.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) piece: Piece,
    /// The output that they came from; `None` for what has no position.
    pub(super) physical: Option<Physical>,
    pub(super) time: Timestamp,
}

impl Cut {
    fn bytes(&self) -> usize {
        self.piece.text.len()
    }

    /// The lines before and after a place between two of them.
    fn split_at(self, place: usize) -> (Self, Self) {
        let Self { piece: Piece { stream, text, lines, end, raw }, physical, time } = self;
        let front = text.slice(..place);
        let front_lines = u32::try_from(memchr::memchr_iter(b'\n', &front).count()).unwrap_or(u32::MAX);
        // Where something is masked or cut, the text may be longer than what was read.
        let front_end = end.saturating_sub((text.len() - place) as u64);
        let cut = |text, lines, end| Self { piece: Piece { stream, text, lines, end, raw }, physical, time };
        (cut(front, front_lines, front_end), cut(text.slice(place..), lines - front_lines, end))
    }

    /// The last place between two lines that is not behind `most`; 0 when there is none, and when nobody knows where
    /// the raw lines end, since something in them is masked.
    fn border(&self, most: usize) -> usize {
        match self.piece.raw {
            Raw::Other => 0,
            Raw::Same => memchr::memrchr(b'\n', &self.piece.text[..most]).map_or(0, |newline| newline + 1),
        }
    }
}

/// Keeps to the limit.
#[derive(Debug)]
pub(super) struct Limit {
    bytes: u64,
    /// Where what was read ends.
    read: LogCursor,
    /// The bytes of what was read and has no position.
    other: u64,
    /// How much is stored, once it is all.
    stored: Option<u64>,
    /// Where what was stored or passed over ends: what is held back begins there.
    passed: LogCursor,
    /// How much was passed over since the cursor was last given out.
    unsaid: u64,
    tail: VecDeque<Cut>,
    tail_bytes: usize,
}

impl Limit {
    /// A limit on a job whose stored log ends at this cursor.
    pub(super) fn new(bytes: NonZeroU64, cursor: LogCursor) -> Self {
        let bytes = bytes.get();
        // An earlier engine may have passed something over; what it had stored ended just before the limit.
        let stored = (cursor.stdout + cursor.stderr > bytes).then_some(bytes);
        let (tail, tail_bytes) = (VecDeque::new(), 0);
        Self { bytes, read: cursor, other: 0, stored, passed: cursor, unsaid: 0, tail, tail_bytes }
    }

    /// Leaves what is to be stored.
    pub(super) fn sift(&mut self, pieces: &mut Vec<Cut>) {
        let mut read = std::mem::take(pieces).into_iter();
        if self.stored.is_none() {
            for cut in read.by_ref() {
                let before = self.total();
                self.count(&cut);
                if self.total() <= self.bytes {
                    self.passed = self.read;
                    pieces.push(cut);
                    continue;
                }
                let room = usize::try_from(self.bytes - before).unwrap_or(usize::MAX);
                let border = cut.border(room.min(cut.bytes()));
                let (front, rest) = cut.split_at(border);
                self.stored = Some(before + border as u64);
                if border > 0 {
                    pass(&mut self.passed, &front);
                    pieces.push(front);
                }
                self.hold(rest);
                break;
            }
        }
        for cut in read {
            self.count(&cut);
            self.hold(cut);
        }
    }

    /// The lines that were held back, behind a notice when there are others that were left out; at the end of the log.
    pub(super) fn close(&mut self, time: Timestamp) -> Vec<Cut> {
        let Some(stored) = self.stored else { return Vec::new() };
        let left_out = self.total().saturating_sub(self.tail_bytes as u64).saturating_sub(stored);
        let tail = Vec::from(std::mem::take(&mut self.tail));
        self.tail_bytes = 0;
        if tail.is_empty() || left_out == 0 {
            return tail;
        }
        let limit = self.bytes;
        let text = format!("buildit: the log is longer than {limit} bytes: about {left_out} bytes are left out here\n");
        let piece = Piece { stream: Stream::Command, text: text.into(), lines: 1, end: 0, raw: Raw::Other };
        std::iter::once(Cut { piece, physical: None, time }).chain(tail).collect()
    }

    /// Where the cursor is to be stored by itself, with the line that it has; `None` while there is no need.
    pub(super) fn passed(&mut self, stored: LogCursor) -> Option<LogCursor> {
        let passed = LogCursor { line: stored.line, ..self.passed };
        let is_closed = self.tail.is_empty();
        if is_closed {
            self.passed = self.read;
        }
        if self.unsaid == 0 || (self.unsaid < STEP && !is_closed) {
            return None;
        }
        self.unsaid = 0;
        Some(passed)
    }

    fn total(&self) -> u64 {
        self.read.stdout + self.read.stderr + self.other
    }

    fn count(&mut self, cut: &Cut) {
        match cut.physical {
            Some(_) => pass(&mut self.read, cut),
            None => self.other += cut.bytes() as u64,
        }
    }

    /// Holds these lines back, and passes over the first ones when there are enough.
    fn hold(&mut self, mut cut: Cut) {
        let begin = cut.border(cut.bytes().saturating_sub(TAIL));
        if begin > 0 {
            let (front, rest) = cut.split_at(begin);
            self.add(front);
            cut = rest;
        }
        while cut.bytes() > GRAIN {
            let border = cut.border(GRAIN);
            if border == 0 {
                break;
            }
            let (front, rest) = cut.split_at(border);
            self.add(front);
            cut = rest;
        }
        self.add(cut);
        while self.tail.len() > 1 && self.tail_bytes > TAIL {
            let Some(first) = self.tail.pop_front() else { break };
            self.tail_bytes -= first.bytes();
            self.unsaid += first.bytes() as u64;
            pass(&mut self.passed, &first);
        }
    }

    fn add(&mut self, mut cut: Cut) {
        // A slice would keep all alive that was read with it.
        if cut.bytes() <= GRAIN {
            cut.piece.text = Bytes::copy_from_slice(&cut.piece.text);
        }
        self.tail_bytes += cut.bytes();
        self.tail.push_back(cut);
    }
}

fn pass(cursor: &mut LogCursor, cut: &Cut) {
    if let Some(physical) = cut.physical {
        cursor.set_offset(physical, cut.piece.end.max(cursor.offset(physical)));
    }
}
