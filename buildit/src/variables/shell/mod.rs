//! References in a shell script become expansions of environment variables (guarantee G6).
//!
//! A value is never pasted into a script: it goes into the job's environment, and the reference becomes an expansion
//! that is quoted for its place. Where a reference stands is found by reading the script as a shell would. Where no
//! expansion is safe, or where that cannot be told, the reference is refused with the name of the variable to read.
//!
//! Beyond the quoting itself a reference is refused
//! - in the words of whatever takes them as code: `eval`, `sh -c`, `ssh`, `python -c`, `awk`'s and `sed`'s first operand,
//!   `make NAME=…`, behind `sudo`, `env`, `xargs` and their like too, and in what such a program reads from a pipe of
//!   `echo`, a here-document or a here-string;
//! - where the command is named, behind a command that only the shell knows (`$CMD …`), and in what a builtin takes as
//!   the name of a variable;
//! - assigned to a variable that the same scripts use in arithmetic, in code for an interpreter or as a command, or to one
//!   that is named in what such a variable is assigned; also by `read`, and as an operand of a function (see `flow.rs`).
//!
//! What a script does with a variable by further steps of its own is its author's business, as is what a program makes
//! of an argument that begins with `-`.

mod builtin;
mod command;
mod document;
mod expansion;
mod flow;
mod place;
mod program;
mod reader;
mod source;
mod table;
mod word;

pub use place::{Placement, Refusal};

use std::ops::Range;

use super::reference::{Reference, ReferenceError, may_refer};
use crate::pipeline::Shell;
use flow::Text;
use place::Verdict;
use reader::{Assigned, Reader, Shared};
use source::Source;

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
    if !sources.iter().any(|source| may_refer(source)) {
        return sources.iter().map(|source| Script { text: (*source).to_owned(), ..Script::default() }).collect();
    }
    let sources: Vec<Source> = sources.iter().map(|source| Source::new(source)).collect();
    let verdicts = if shell.is_posix() {
        judge(&sources, shell)
    } else {
        sources.iter().map(|source| vec![Verdict::Refused(Refusal::OtherShell); source.spots.len()]).collect()
    };
    sources.into_iter().zip(verdicts).map(|(source, verdicts)| script(source, &verdicts)).collect()
}

/// Judges the references of scripts that share one shell.
fn judge(sources: &[Source], shell: &Shell) -> Vec<Vec<Verdict>> {
    let name = shell.program().rsplit('/').next().unwrap_or_default();
    let evaluates = matches!(name, "zsh" | "ksh");
    let mut shared = Shared { evaluates, loose_braces: name == "zsh", ..Shared::default() };
    // A script that does not end where it should swallows the beginning of the next.
    let mut is_open = false;
    let mut all = Vec::with_capacity(sources.len());
    let (mut assigned, mut operands, mut poured) = (Vec::new(), Vec::new(), Vec::new());
    if !sources.iter().any(|source| !source.spots.is_empty()) {
        return vec![Vec::new(); sources.len()];
    }
    for (index, source) in sources.iter().enumerate() {
        let refuse_all = |refusal| vec![Verdict::Refused(refusal); source.spots.len()];
        if is_open {
            all.push(refuse_all(Refusal::Unclosed));
            shared.flows.evaluate(Text::of(source.text.as_bytes()));
            continue;
        }
        let mut reader = Reader::new(source, shared);
        let end = if source.text.contains('\0') { Err(Refusal::Unclear) } else { reader.script() };
        shared = reader.shared;
        assigned.extend(reader.assigned.drain(..).map(|assigned| (index, assigned)));
        operands.extend(reader.operands.drain(..).map(|operand| (index, operand)));
        poured.extend(reader.poured.drain(..).map(|spot| (index, spot)));
        all.push(match end {
            Ok(()) => reader.verdicts,
            Err(refusal) => {
                is_open = refusal == Refusal::Unclosed;
                // Whatever it does with its variables, it may evaluate them.
                shared.flows.evaluate(Text::of(source.text.as_bytes()));
                refuse_all(refusal)
            }
        });
    }
    shared.flows.follow();
    let mut refuse = |index: usize, spot: usize| {
        let verdict: &mut Verdict = &mut all[index][spot];
        if !matches!(verdict, Verdict::Refused(_) | Verdict::Comment) {
            *verdict = Verdict::Refused(Refusal::Arithmetic);
        }
    };
    // A variable that evaluates what is assigned to it may have been made so anywhere in these scripts.
    let evaluates = |name: &[u8]| shared.integers || shared.flows.evaluates(name);
    for (index, Assigned { spot, name, by_builtin }) in assigned {
        if by_builtin && shared.arrays || evaluates(&name) {
            refuse(index, spot);
        }
    }
    for (index, (command, spot, is_first)) in operands {
        if shared.flows.evaluates_operand(&command, is_first) {
            refuse(index, spot);
        }
    }
    if shared.flows.readers().any(evaluates) {
        poured.into_iter().for_each(|(index, spot)| refuse(index, spot));
    }
    all
}

fn script(source: Source, verdicts: &[Verdict]) -> Script {
    let text = source.expanded(verdicts, environment_name);
    let references = source.spots.into_iter().zip(verdicts).map(|(spot, verdict)| Placed {
        reference: spot.reference,
        range: spot.written,
        placement: (*verdict).into(),
    });
    Script { text, references: references.collect(), malformed: source.malformed }
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
    program::is_code(words, index)
}

#[cfg(test)]
mod tests;
