//! Which variables' values a shell evaluates, and what gets into them.
//!
//! A shell that evaluates `n` as arithmetic goes on with what `n` says: in `a=…; n=a; echo $((n))` the value of `a` is
//! evaluated. So what is assigned is followed, from what is evaluated to all that it names. Scripts are only read, not run:
//! what a command prints, or a file holds, is not followed.

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;

pub(super) type Name = Vec<u8>;

/// One name for `$1` and all others, one for all of them at once, `$@` and `$*`, and one for what those run where a command is
/// named: the first.
const OPERAND: &[u8] = b"1";
const OPERANDS: &[u8] = b"@";
const FIRST: &[u8] = b"0";

/// What an operand is known by: the first one of a command, or another.
pub(super) fn operand(is_first: bool) -> &'static [&'static [u8]] {
    if is_first { &[OPERAND, OPERANDS, FIRST] } else { &[OPERAND, OPERANDS] }
}

/// The name that what the shell expands has here.
fn known(name: &[u8]) -> &[u8] {
    match name {
        [b'0'..=b'9', ..] => OPERAND,
        [b'@' | b'*'] => OPERANDS,
        name => name,
    }
}

/// What arithmetic begins with, and what makes it of a text.
const ARITHMETIC: [&[u8]; 7] = [b"((", b"$[", b"[[", b"let", b"eval", b"declare", b"typeset"];

/// What is known of a part of a script without running it.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    /// The names in it, whether the shell expands them or not.
    pub(super) names: BTreeSet<Name>,
    /// Those that it expands.
    pub(super) expanded: BTreeSet<Name>,
    /// Whether it evaluates something if it is code.
    pub(super) is_arithmetic: bool,
    /// Whether what it says is written otherwise: `$'\x61'`.
    pub(super) is_unknown: bool,
}

impl Text {
    /// That of these bytes, in which the shell expands nothing that is known.
    pub(super) fn of(written: &[u8]) -> Self {
        let mut plain = Vec::with_capacity(written.len());
        let mut at = 0;
        while let Some(byte) = written.get(at) {
            match byte {
                b'\\' if written.get(at + 1) == Some(&b'\n') => at += 1,
                b'"' | b'\'' | b'\\' => {}
                byte => plain.push(*byte),
            }
            at += 1;
        }
        Self {
            names: names(written).chain(names(&plain)).collect(),
            expanded: BTreeSet::new(),
            is_arithmetic: is_arithmetic(written),
            is_unknown: memmem::find(written, b"$'").is_some_and(|at| written[at..].contains(&b'\\')),
        }
    }

    /// Adds a variable that the shell expands in it.
    pub(super) fn expand(&mut self, name: &[u8]) {
        let name = known(name).to_vec();
        self.names.insert(name.clone());
        self.expanded.insert(name);
    }

    fn join(&mut self, other: Self) {
        self.names.extend(other.names);
        self.expanded.extend(other.expanded);
        self.is_arithmetic |= other.is_arithmetic;
        self.is_unknown |= other.is_unknown;
    }
}

/// Whether a script of this text evaluates something.
pub(super) fn is_arithmetic(text: &[u8]) -> bool {
    ARITHMETIC.iter().any(|word| memmem::find(text, word).is_some())
}

/// The names of variables in a text.
fn names(text: &[u8]) -> impl Iterator<Item = Name> {
    let words = text.split(|byte| *byte != b'_' && !byte.is_ascii_alphanumeric());
    words.filter(|word| word.first().is_some_and(|byte| !byte.is_ascii_digit())).map(<[u8]>::to_vec)
}

/// What the scripts of a stage do with their variables.
#[derive(Debug, Default)]
pub(super) struct Flows {
    /// Those whose values are evaluated as arithmetic.
    evaluated: BTreeSet<Name>,
    /// Those whose values become code, the name of a command, or the name of a variable, whose subscript is evaluated.
    spliced: BTreeSet<Name>,
    /// What they are assigned.
    taken: BTreeMap<Name, Text>,
    /// What commands are called with, which may be functions: their first operands, and all.
    calls: BTreeMap<Name, [Text; 2]>,
    functions: BTreeSet<Name>,
    /// Those that take what comes in.
    readers: BTreeSet<Name>,
    /// Whether any of them may be evaluated.
    all: bool,
}

impl Flows {
    /// Notes that a text is evaluated, with all that it names.
    pub(super) fn evaluate(&mut self, text: Text) {
        self.all |= text.is_unknown;
        self.evaluated.extend(text.names);
    }

    /// Notes that a text becomes code, or a name, as the shell expands it. What stands in single quotes it does not expand:
    /// `sh -c 'echo "$X"'` is the way that is right.
    pub(super) fn splice(&mut self, text: Text) {
        if text.is_arithmetic {
            self.evaluated.extend(text.names);
        }
        self.spliced.extend(text.expanded);
    }

    /// Notes that a text names the command that runs.
    pub(super) fn run(&mut self, mut text: Text) {
        if text.expanded.remove(OPERANDS) {
            text.expanded.insert(FIRST.to_vec());
        }
        self.splice(text);
    }

    /// Notes that a variable takes a text.
    pub(super) fn take(&mut self, name: Name, text: Text) {
        self.taken.entry(name).or_default().join(text);
    }

    /// Notes that a variable takes what comes in.
    pub(super) fn read_into(&mut self, name: Name) {
        self.readers.insert(name);
    }

    /// Notes that a command, which may be a function, is called with such a first operand, and such operands.
    pub(super) fn call(&mut self, name: Name, first: Text, all: Text) {
        let [known_first, known_all] = self.calls.entry(name).or_default();
        known_first.join(first);
        known_all.join(all);
    }

    pub(super) fn define(&mut self, name: Name) {
        self.functions.insert(name);
    }

    /// Follows all that was noted, once everything was.
    pub(super) fn follow(&mut self) {
        let (calls, functions) = (std::mem::take(&mut self.calls), &self.functions);
        let to_functions: Vec<[Text; 2]> =
            calls.into_iter().filter(|(name, _)| functions.contains(name)).map(|(_, texts)| texts).collect();
        for [first, all] in to_functions {
            self.take(FIRST.to_vec(), first);
            self.take(OPERAND.to_vec(), all.clone());
            self.take(OPERANDS.to_vec(), all);
        }
        let mut open: Vec<(Name, bool)> = self.evaluated.iter().map(|name| (name.clone(), false)).collect();
        open.extend(self.spliced.iter().map(|name| (name.clone(), true)));
        while let Some((name, is_spliced)) = open.pop() {
            let Some(text) = self.taken.get(&name) else { continue };
            self.all |= text.is_unknown;
            if !is_spliced || text.is_arithmetic {
                let new = text.names.iter().filter(|name| self.evaluated.insert((*name).clone()));
                open.extend(new.map(|name| (name.clone(), false)));
            }
            if is_spliced {
                let new = text.expanded.iter().filter(|name| self.spliced.insert((*name).clone()));
                open.extend(new.map(|name| (name.clone(), true)));
            }
        }
    }

    /// Whether the value of a variable is evaluated somewhere.
    pub(super) fn evaluates(&self, name: &[u8]) -> bool {
        self.all || self.evaluated.contains(name) || self.spliced.contains(name)
    }

    /// Whether the operands of a command, its first one or others, are evaluated somewhere.
    pub(super) fn evaluates_operand(&self, command: &[u8], is_first: bool) -> bool {
        self.functions.contains(command) && operand(is_first).iter().any(|name| self.evaluates(name))
    }

    /// The variables that take what comes in.
    pub(super) fn readers(&self) -> impl Iterator<Item = &[u8]> {
        self.readers.iter().map(Vec::as_slice)
    }
}
