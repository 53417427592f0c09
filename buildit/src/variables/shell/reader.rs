//! The reader's place in a script, and what it has found out.

use std::ops::Range;

use super::flow::{Flows, Name, Text};
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
    /// What the scripts do with their variables.
    pub(super) flows: Flows,
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
    /// Where substitutions stand, in the order of their ends.
    pub(super) substitutions: Vec<Range<usize>>,
    /// References that are assigned to variables.
    pub(super) assigned: Vec<Assigned>,
    /// References among the operands of a command, which may be a function, and whether they are in its first one.
    pub(super) operands: Vec<(Name, usize, bool)>,
    /// References whose values come in to some command, by a pipe or a here-document.
    pub(super) poured: Vec<usize>,
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
            substitutions: Vec::new(),
            assigned: Vec::new(),
            operands: Vec::new(),
            poured: Vec::new(),
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

    /// Notes that this part of the script is evaluated.
    pub(super) fn note_evaluated_in(&mut self, range: Range<usize>) {
        let text = self.text_of(range);
        self.shared.flows.evaluate(text);
    }

    /// What is known of a part of the script that was read, but for what its substitutions print.
    pub(super) fn text_of(&self, range: Range<usize>) -> Text {
        let mut written = Vec::new();
        let mut expansions = Vec::new();
        let mut at = range.start;
        for substitution in self.outermost(&range) {
            self.add(at..substitution.start, &mut written, &mut expansions);
            at = substitution.end;
        }
        self.add(at..range.end, &mut written, &mut expansions);
        let mut text = Text::of(&written);
        expansions.into_iter().for_each(|name| text.expand(name));
        text
    }

    /// The substitutions in a part of the script that stand in no other one of it, in order.
    fn outermost(&self, range: &Range<usize>) -> Vec<Range<usize>> {
        let first = self.substitutions.partition_point(|one| one.end <= range.start);
        let mut outer: Vec<Range<usize>> = Vec::new();
        // An outer one ends behind those in it.
        for one in self.substitutions[first..].iter().take_while(|one| one.end <= range.end) {
            while outer.last().is_some_and(|last| one.start <= last.start) {
                outer.pop();
            }
            outer.push(one.clone());
        }
        outer.retain(|one| one.start >= range.start);
        outer
    }

    /// Adds a part of the script in which no substitution stands.
    fn add<'r>(&'r self, range: Range<usize>, written: &mut Vec<u8>, expansions: &mut Vec<&'r [u8]>) {
        let first = self.expansions.partition_point(|(at, _)| *at < range.start);
        let within = self.expansions[first..].iter().take_while(|(at, _)| *at < range.end);
        expansions.extend(within.map(|(_, name)| &name[..]));
        written.extend_from_slice(&self.bytes[range]);
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
