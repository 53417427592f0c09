//! One output of a job, cut at its marks.

use bytes::{Buf, Bytes, BytesMut};

use super::marks::{Mark, Marks, Parsed, SIGN};

/// Something that was read from one output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes of the job, and the raw offset behind them.
    Bytes(Bytes, u64),
    /// A mark, and the raw offset behind it.
    Mark(Mark, u64),
}

/// Cuts one output at its marks, across any borders of what is read.
#[derive(Debug)]
pub(super) struct Sections {
    /// What may be the beginning of a mark.
    rest: BytesMut,
    /// The raw offset behind all that was cut.
    offset: u64,
}

impl Sections {
    pub(super) fn new(offset: u64) -> Self {
        Self { rest: BytesMut::new(), offset }
    }

    pub(super) fn push(&mut self, marks: &Marks, bytes: Bytes, mut give: impl FnMut(Piece)) {
        let mut bytes = if self.rest.is_empty() {
            bytes
        } else {
            self.rest.extend_from_slice(&bytes);
            self.rest.split().freeze()
        };
        let mut searched = 0;
        while let Some(found) = memchr::memchr(SIGN, &bytes[searched..]) {
            let at = searched + found;
            match marks.parse(&bytes[at..]) {
                Parsed::None => searched = at + 1,
                Parsed::Maybe => {
                    let rest = bytes.split_off(at);
                    self.pass(bytes, &mut give);
                    self.rest.extend_from_slice(&rest);
                    return;
                }
                Parsed::Mark(mark, length) => {
                    self.pass(bytes.split_to(at), &mut give);
                    bytes.advance(length);
                    self.offset += length as u64;
                    give(Piece::Mark(mark, self.offset));
                    searched = 0;
                }
            }
        }
        self.pass(bytes, &mut give);
    }

    /// Nothing more will come: what looked like the beginning of a mark was none.
    pub(super) fn finish(&mut self, mut give: impl FnMut(Piece)) {
        let rest = self.rest.split().freeze();
        self.pass(rest, &mut give);
    }

    fn pass(&mut self, bytes: Bytes, give: &mut impl FnMut(Piece)) {
        if !bytes.is_empty() {
            self.offset += bytes.len() as u64;
            give(Piece::Bytes(bytes, self.offset));
        }
    }
}
