//! A script as the shell will see it, with its references as opaque spots in it.

use std::ops::Range;

use super::place::Verdict;
use crate::variables::reference::{PieceKind, Reference, ReferenceError, pieces};

/// A script whose escapes (`$${`) are taken out and whose references are known.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The text that is read. References stand in it as they were written.
    pub(super) text: String,
    /// The references, in order.
    pub(super) spots: Vec<Spot>,
    /// What begins like a reference and is none.
    pub(super) malformed: Vec<(Range<usize>, ReferenceError)>,
}

/// A reference in a script.
#[derive(Debug)]
pub(super) struct Spot {
    pub(super) reference: Reference,
    /// Its bytes in [`Source::text`].
    pub(super) range: Range<usize>,
    /// Its bytes in what the person wrote.
    pub(super) written: Range<usize>,
}

impl Source {
    pub(super) fn new(written: &str) -> Self {
        let mut source = Self::default();
        for piece in pieces(written) {
            let from = source.text.len();
            let text = if piece.kind == PieceKind::Escape { "${" } else { &written[piece.range.clone()] };
            source.text.push_str(text);
            match piece.kind {
                PieceKind::Reference(reference) => {
                    source.spots.push(Spot { reference, range: from..source.text.len(), written: piece.range });
                }
                PieceKind::Malformed(error) => source.malformed.push((piece.range, error)),
                PieceKind::Text | PieceKind::Escape => {}
            }
        }
        source
    }

    /// The text with each reference that can be expanded as an expansion of the variable that `name` gives it.
    pub(super) fn expanded(&self, verdicts: &[Verdict], name: impl Fn(&Reference) -> String) -> String {
        let mut text = String::with_capacity(self.text.len() + 16 * self.spots.len());
        let mut done = 0;
        for (spot, verdict) in self.spots.iter().zip(verdicts) {
            text.push_str(&self.text[done..spot.range.start]);
            done = spot.range.end;
            match verdict {
                Verdict::Bare => text.extend(["\"${", &name(&spot.reference), "}\""]),
                Verdict::Quoted => text.extend(["${", &name(&spot.reference), "}"]),
                Verdict::Comment | Verdict::Refused(_) => text.push_str(&self.text[spot.range.clone()]),
            }
        }
        text.push_str(&self.text[done..]);
        text
    }
}
