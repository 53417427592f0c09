//! The reader's place in a script, and what it has found out.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::place::{Refusal, Verdict};
use super::source::Source;

/// How deep substitutions and here-documents may stand in each other. What is deeper is refused, so that no script
/// makes the reader run out of stack.
const DEEPEST: usize = 48;

/// What the scripts of a stage share, because they share one shell.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Whether `test`, `printf` and `exit` evaluate their words as arithmetic: zsh and ksh.
    pub(super) evaluates: bool,
    /// Whether a `}` ends a command wherever it stands: zsh.
    pub(super) loose_braces: bool,
    /// Whether some variable evaluates what is assigned to it: `declare -i`, `declare -n`.
    pub(super) integers: bool,
    /// Whether some variable is an array, so that `local x=…` may read the value as a list of words.
    pub(super) arrays: bool,
    /// Variables whose values are evaluated somewhere: those that stand in arithmetic, in code for an interpreter, or
    /// where a command is named.
    pub(super) evaluated: BTreeSet<Vec<u8>>,
    /// Variables, and the names in what is assigned to them: a shell that evaluates `n` goes on with what `n` says.
    pub(super) flows: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
}

impl Shared {
    /// Notes as evaluated what the variables say that are.
    pub(super) fn follow(&mut self) {
        let mut open: Vec<Vec<u8>> = self.evaluated.iter().cloned().collect();
        while let Some(name) = open.pop() {
            for said in self.flows.remove(&name).unwrap_or_default() {
                if self.evaluated.insert(said.clone()) {
                    open.push(said);
                }
            }
        }
    }
}

/// The names of variables in a text.
fn names(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let words = text.split(|byte| *byte != b'_' && !byte.is_ascii_alphanumeric());
    words.filter(|word| word.first().is_some_and(|byte| !byte.is_ascii_digit())).map(<[u8]>::to_vec)
}

/// A reference whose value a variable of the script takes.
#[derive(Clone, Debug)]
pub(super) struct Assigned {
    pub(super) spot: usize,
    /// The variable.
    pub(super) name: Vec<u8>,
    /// Whether `local`, `export` or `readonly` assigns it.
    pub(super) by_builtin: bool,
}

/// Reads a script as a shell would, as far as quoting goes, and judges each reference by where it stands.
///
/// It moves forward only. An error ends the reading: then no reference of the script can be placed.
pub(super) struct Reader<'s> {
    pub(super) bytes: &'s [u8],
    spots: &'s [super::source::Spot],
    pub(super) at: usize,
    /// Where the text ends for what is being read: the whole script, or the body of a here-document.
    pub(super) end: usize,
    next: usize,
    pub(super) verdicts: Vec<Verdict>,
    /// Here-documents whose bodies begin at the next newline.
    pub(super) pending: Vec<HereDocument>,
    /// Why no reference may stand here, whatever the quoting.
    pub(super) forced: Option<Refusal>,
    /// Whether the words around are the body of a here-document.
    pub(super) in_document: bool,
    pub(super) depth: usize,
    pub(super) shared: Shared,
    /// The variables that the shell expands, and where.
    pub(super) expansions: Vec<(usize, Vec<u8>)>,
    /// References that are assigned to variables.
    pub(super) assigned: Vec<Assigned>,
}

/// A here-document that was announced.
#[derive(Debug)]
pub(super) struct HereDocument {
    pub(super) end_word: Vec<u8>,
    pub(super) quoted: bool,
    pub(super) strips_tabs: bool,
    /// Whether its command reads it as code.
    pub(super) is_code: bool,
}

/// What stands at the reader's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing more.
    End,
    /// A reference, by its number.
    Spot(usize),
    /// A byte.
    Byte(u8),
}

pub(super) type Read<T> = Result<T, Refusal>;

impl<'s> Reader<'s> {
    pub(super) fn new(source: &'s Source, shared: Shared) -> Self {
        Self {
            bytes: source.text.as_bytes(),
            spots: &source.spots,
            at: 0,
            end: source.text.len(),
            next: 0,
            verdicts: vec![Verdict::Refused(Refusal::Unclear); source.spots.len()],
            pending: Vec::new(),
            forced: None,
            in_document: false,
            depth: 0,
            shared,
            expansions: Vec::new(),
            assigned: Vec::new(),
        }
    }

    /// Reads the whole script.
    pub(super) fn script(&mut self) -> Read<()> {
        self.list(super::command::Until::End)?;
        if self.pending.is_empty() { Ok(()) } else { Err(Refusal::Unclosed) }
    }

    pub(super) fn next(&self) -> Next {
        if self.at >= self.end {
            return Next::End;
        }
        match self.spots.get(self.next) {
            Some(spot) if spot.range.start == self.at => Next::Spot(self.next),
            _ => Next::Byte(self.bytes[self.at]),
        }
    }

    /// The byte at the reader's place; `None` at a reference and at the end.
    pub(super) fn peek(&self) -> Option<u8> {
        match self.next() {
            Next::Byte(byte) => Some(byte),
            _ => None,
        }
    }

    /// The byte behind the one at the reader's place, unless a reference begins there.
    pub(super) fn peek_second(&self) -> Option<u8> {
        let at = self.at + 1;
        let is_spot = self.spots.get(self.next).is_some_and(|spot| spot.range.start == at);
        (at < self.end && !is_spot).then(|| self.bytes[at])
    }

    /// Whether these bytes stand at the reader's place. None of them can be a reference: those begin with `${`.
    pub(super) fn sees(&self, bytes: &[u8]) -> bool {
        self.bytes[self.at.min(self.end)..self.end].starts_with(bytes)
    }

    /// Passes over the reference at the reader's place.
    pub(super) fn take_spot(&mut self, spot: usize, verdict: Verdict) {
        self.verdicts[spot] = match self.forced {
            Some(refusal) if verdict != Verdict::Comment => Verdict::Refused(refusal),
            _ => verdict,
        };
        self.at = self.spots[spot].range.end;
        self.next = spot + 1;
    }

    /// Whether the reference was written over more than one line.
    pub(super) fn spans_lines(&self, spot: usize) -> bool {
        self.bytes[self.spots[spot].range.clone()].contains(&b'\n')
    }

    /// Passes over bytes up to `end`, in which no reference may stand for this reason.
    pub(super) fn skip_to(&mut self, end: usize, refusal: Refusal) {
        while let Some(spot) = self.spots.get(self.next).filter(|spot| spot.range.start < end) {
            let stop = spot.range.end;
            self.verdicts[self.next] = Verdict::Refused(self.forced.unwrap_or(refusal));
            self.next += 1;
            self.at = stop;
        }
        self.at = self.at.max(end);
    }

    /// Passes over what a backslash takes the meaning from.
    pub(super) fn skip_escaped(&mut self, out: &mut Vec<u8>) -> Read<()> {
        self.at += 1;
        match self.next() {
            Next::End => Err(Refusal::Unclosed),
            Next::Spot(spot) => {
                self.take_spot(spot, Verdict::Refused(Refusal::Backslash));
                Ok(())
            }
            // A newline behind a backslash is no character at all.
            Next::Byte(b'\n') => {
                self.at += 1;
                Ok(())
            }
            Next::Byte(byte) => {
                out.push(byte);
                self.at += 1;
                Ok(())
            }
        }
    }

    /// Reads something that stands within something else of its kind.
    pub(super) fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth == DEEPEST {
            return Err(Refusal::Unclear);
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Reads something in which no reference may stand for this reason, unless a stronger one holds already.
    pub(super) fn forcing<T>(&mut self, refusal: Refusal, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        let before = self.forced;
        self.forced = before.or(Some(refusal));
        let result = read(self);
        self.forced = before;
        result
    }

    /// Passes over blanks and continued lines.
    pub(super) fn blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' => self.at += 1,
                b'\\' if self.peek_second() == Some(b'\n') => self.at += 2,
                _ => return,
            }
        }
    }

    /// Passes over a comment, up to the newline. References in it are left alone.
    pub(super) fn comment(&mut self) -> Read<()> {
        loop {
            match self.next() {
                Next::End | Next::Byte(b'\n') => return Ok(()),
                // The comment would end within the reference.
                Next::Spot(spot) if self.spans_lines(spot) => return Err(Refusal::Unclear),
                Next::Spot(spot) => self.take_spot(spot, Verdict::Comment),
                Next::Byte(_) => self.at += 1,
            }
        }
    }

    /// The number of the next reference.
    pub(super) fn first_spot(&self) -> usize {
        self.next
    }

    /// Notes that what was read since `start` is evaluated, with the values of all variables that it names.
    pub(super) fn note_evaluated(&mut self, start: usize) {
        self.note_evaluated_in(start..self.at);
    }

    /// Notes that the variables which the shell expands in this part of the script become code. What stands in single
    /// quotes there it does not expand: `sh -c 'echo "$X"'` is the way that is right.
    pub(super) fn note_spliced(&mut self, range: &Range<usize>) {
        let within = self.expansions.iter().filter(|(at, _)| range.contains(at));
        self.shared.evaluated.extend(within.map(|(_, name)| name.clone()));
    }

    /// Notes that this part of the script is evaluated.
    pub(super) fn note_evaluated_in(&mut self, range: Range<usize>) {
        self.shared.evaluated.extend(names(&self.bytes[range]));
    }

    /// Notes that a variable takes this part of the script, as it is written and without its quotes.
    pub(super) fn note_flow(&mut self, name: Vec<u8>, range: Range<usize>) {
        let written = &self.bytes[range];
        let plain: Vec<u8> = written.iter().copied().filter(|byte| !b"\"'\\".contains(byte)).collect();
        let taken: Vec<Vec<u8>> = names(written).chain(names(&plain)).collect();
        self.shared.flows.entry(name).or_default().extend(taken);
    }

    /// Refuses a reference that was placed before.
    pub(super) fn refuse(&mut self, spots: &[usize], refusal: Refusal) {
        for spot in spots {
            if !matches!(self.verdicts[*spot], Verdict::Comment | Verdict::Refused(_)) {
                self.verdicts[*spot] = Verdict::Refused(refusal);
            }
        }
    }
}
