//! [`MaskStream`].

use std::sync::Arc;

use super::Masker;
use super::masker::Pen;
use super::matcher::{End, count_digits};

/// Masks bytes that arrive in pieces: what comes out is the same wherever they are cut.
///
/// It keeps back only what may be the beginning of a secret, which is shorter than the longest form (with the line
/// ends of a wrapped one).
#[derive(Debug)]
pub struct MaskStream {
    masker: Arc<Masker>,
    pen: Pen,
    /// What is not decided yet.
    kept: Vec<u8>,
    /// How much of it is known to be masked.
    covered: usize,
    /// How many digits of base64 came directly before it.
    digits: usize,
    has_masked: bool,
}

impl MaskStream {
    pub(super) fn new(masker: Arc<Masker>) -> Self {
        Self { masker, pen: Pen::default(), kept: Vec::new(), covered: 0, digits: 0, has_masked: false }
    }

    /// Takes the next piece and appends to `out` what is decided.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        if self.masker.is_empty() {
            out.extend_from_slice(chunk);
        } else if self.kept.is_empty() {
            let settled = self.pass(chunk, End::Open, out);
            self.kept.extend_from_slice(&chunk[settled..]);
        } else {
            let mut text = std::mem::take(&mut self.kept);
            text.extend_from_slice(chunk);
            let settled = self.pass(&text, End::Open, out);
            text.drain(..settled);
            self.kept = text;
        }
    }

    /// Says that no more follows, and appends the rest to `out`. The stream can be used for another text then.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let text = std::mem::take(&mut self.kept);
        self.pass(&text, End::Closed, out);
        *self = Self { has_masked: self.has_masked, ..Self::new(Arc::clone(&self.masker)) };
    }

    /// Whether there was a secret in what it took so far, of this text or of one before.
    #[must_use]
    pub fn has_masked(&self) -> bool {
        self.has_masked
    }

    fn pass(&mut self, text: &[u8], end: End, out: &mut Vec<u8>) -> usize {
        let found = self.masker.scan(text, self.covered, self.digits, end);
        self.has_masked |= !found.masked.is_empty();
        self.pen.write(&text[..found.settled], &found.masked, out);
        self.digits = count_digits(&text[..found.settled], self.digits);
        if found.settled == 0 {
            return 0;
        }
        let across = found.masked.iter().find(|range| range.start < found.settled && found.settled < range.end);
        self.covered = across.map_or(0, |range| range.end - found.settled);
        found.settled
    }
}
