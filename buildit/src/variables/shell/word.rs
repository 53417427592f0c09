//! Words of a command, and the quoting in them.

use std::ops::Range;

use super::place::{Refusal, Verdict};
use super::reader::{Next, Read, Reader};

/// A word of a command.
#[derive(Debug, Default)]
pub(super) struct Word {
    /// What is known of its text without running anything, quotes taken off: all of it, or its beginning.
    pub(super) text: Vec<u8>,
    /// Its bytes in the script.
    pub(super) range: Range<usize>,
    /// Whether there is more to it that only the shell knows.
    pub(super) is_dynamic: bool,
    /// Whether it holds quotes or backslashes.
    pub(super) is_quoted: bool,
    /// Whether it may become other words: a glob, braces, a tilde.
    pub(super) is_pattern: bool,
    /// The references in it, those of substitutions included.
    pub(super) spots: Vec<usize>,
    /// The length of `NAME=` or `NAME+=`, if it begins like that without quotes.
    pub(super) assignment: Option<usize>,
    /// Whether it is `NAME=(…)`.
    pub(super) is_array: bool,
}

impl Word {
    /// The whole text, if it is known and cannot become other words.
    pub(super) fn literal(&self) -> Option<&str> {
        if self.is_dynamic || self.is_pattern { None } else { std::str::from_utf8(&self.text).ok() }
    }

    /// The text up to the first thing that only the shell knows.
    pub(super) fn prefix(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// Whether this is exactly that word, without quotes: what a reserved word must be.
    pub(super) fn is_reserved(&self, word: &str) -> bool {
        !self.is_quoted && self.spots.is_empty() && self.literal() == Some(word)
    }

    /// The name that it assigns to.
    pub(super) fn assigned_name(&self) -> Option<&str> {
        let name = self.prefix().get(..self.assignment?)?;
        Some(name.trim_end_matches(['=', '+']).split('[').next().unwrap_or_default())
    }

    fn push(&mut self, byte: u8) {
        // Behind something unknown the text is no beginning any more.
        if !self.is_dynamic {
            self.text.push(byte);
        }
    }

    fn is_name(&self) -> bool {
        !self.is_quoted && !self.is_dynamic && crate::variables::is_shell_name(self.prefix())
    }
}

impl Reader<'_> {
    /// Reads a word, which may be empty when something stands there that no word can begin with.
    pub(super) fn word(&mut self) -> Read<Word> {
        let mut word = Word::default();
        let (start, first) = (self.at, self.first_spot());
        loop {
            match self.next() {
                Next::End => break,
                Next::Spot(spot) => {
                    word.is_dynamic = true;
                    self.take_spot(spot, Verdict::Bare);
                }
                Next::Byte(b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b')') => break,
                Next::Byte(b'<' | b'>') => {
                    // `<(…)` is a word of its own kind in bash, zsh and ksh.
                    if self.peek_second() != Some(b'(') {
                        break;
                    }
                    self.at += 2;
                    word.is_dynamic = true;
                    self.substitution()?;
                }
                Next::Byte(b'(') => {
                    let last = self.at.checked_sub(1).filter(|last| *last >= start).map(|last| self.bytes[last]);
                    if word.assignment.is_some_and(|length| length == word.text.len()) && !word.is_dynamic {
                        word.is_array = true;
                        self.array()?;
                    } else if matches!(last, Some(b'?' | b'*' | b'+' | b'@' | b'!')) {
                        self.pattern_group()?;
                    } else {
                        break;
                    }
                    word.is_dynamic = true;
                }
                Next::Byte(byte) => self.part(byte, &mut word)?,
            }
        }
        word.spots = (first..self.first_spot()).collect();
        word.range = start..self.at;
        // The body of a here-document begins behind the line of its command: shells disagree where that line ends
        // when a word goes on over several.
        if !self.pending.is_empty() && self.bytes[start..self.at].contains(&b'\n') {
            return Err(Refusal::Unclear);
        }
        Ok(word)
    }

    /// Reads one part of a word that begins with this byte.
    fn part(&mut self, byte: u8, word: &mut Word) -> Read<()> {
        match byte {
            b'\'' => {
                word.is_quoted = true;
                let from = self.at + 1;
                self.single_quotes()?;
                for byte in &self.bytes[from..self.at - 1] {
                    word.push(*byte);
                }
            }
            b'"' => {
                word.is_quoted = true;
                self.at += 1;
                let mut text = Vec::new();
                let known = self.double_quotes(&mut text)?;
                for byte in text {
                    word.push(byte);
                }
                word.is_dynamic |= !known;
            }
            b'\\' => {
                word.is_quoted |= self.peek_second() != Some(b'\n');
                let mut text = Vec::new();
                self.skip_escaped(&mut text)?;
                for byte in text {
                    word.push(byte);
                }
            }
            b'$' => {
                if self.dollar(false)? {
                    word.is_dynamic = true;
                } else {
                    word.push(b'$');
                }
            }
            b'`' => {
                word.is_dynamic = true;
                self.backticks()?;
            }
            b'[' if word.is_name() && word.assignment.is_none() => self.subscript(word)?,
            b'=' if word.assignment.is_none() && word.is_assignable() => {
                word.push(b'=');
                word.assignment = Some(word.text.len());
                self.at += 1;
            }
            _ => {
                // `{}` is only itself: braces expand where there is something in them.
                let is_pattern = matches!(byte, b'*' | b'?' | b'[' | b'~')
                    || byte == b'{' && self.peek_second().is_some_and(|second| second != b'}');
                word.is_pattern |= is_pattern && word.assignment.is_none();
                word.push(byte);
                self.at += 1;
            }
        }
        Ok(())
    }

    /// `'…'`, at its opening quote.
    pub(super) fn single_quotes(&mut self) -> Read<()> {
        self.at += 1;
        loop {
            match self.next() {
                Next::End => return Err(Refusal::Unclosed),
                Next::Spot(spot) => self.take_spot(spot, Verdict::Refused(Refusal::SingleQuotes)),
                Next::Byte(b'\'') => {
                    self.at += 1;
                    return Ok(());
                }
                Next::Byte(_) => self.at += 1,
            }
        }
    }

    /// `"…"`, behind its opening quote. The text goes to `text` as far as it is known; says whether all of it is.
    pub(super) fn double_quotes(&mut self, text: &mut Vec<u8>) -> Read<bool> {
        let mut known = true;
        loop {
            match self.next() {
                Next::End => return Err(Refusal::Unclosed),
                Next::Spot(spot) => {
                    known = false;
                    self.take_spot(spot, Verdict::Quoted);
                }
                Next::Byte(b'"') => {
                    self.at += 1;
                    return Ok(known);
                }
                Next::Byte(b'\\') => {
                    let mut escaped = Vec::new();
                    self.skip_escaped(&mut escaped)?;
                    // Only these lose their backslash between double quotes.
                    if known && escaped.first().is_some_and(|byte| !matches!(byte, b'$' | b'`' | b'"' | b'\\')) {
                        text.push(b'\\');
                    }
                    if known {
                        text.extend(escaped);
                    }
                }
                Next::Byte(b'$') => {
                    if self.dollar(true)? {
                        known = false;
                    } else if known {
                        text.push(b'$');
                    }
                }
                Next::Byte(b'`') => {
                    known = false;
                    self.backticks()?;
                }
                Next::Byte(byte) => {
                    if known {
                        text.push(byte);
                    }
                    self.at += 1;
                }
            }
        }
    }

    /// `[…]` behind a name, which is a subscript if an `=` follows.
    fn subscript(&mut self, word: &mut Word) -> Read<()> {
        let start = self.at;
        word.push(b'[');
        self.at += 1;
        let mut inner = Word::default();
        self.forcing(Refusal::Subscript, |reader| {
            let mut open = 1;
            loop {
                match reader.next() {
                    Next::End | Next::Byte(b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')') => {
                        return Ok(());
                    }
                    Next::Spot(spot) => {
                        inner.is_dynamic = true;
                        reader.take_spot(spot, Verdict::Bare);
                    }
                    Next::Byte(b'[') => {
                        open += 1;
                        inner.push(b'[');
                        reader.at += 1;
                    }
                    Next::Byte(b']') => {
                        reader.at += 1;
                        open -= 1;
                        inner.push(b']');
                        if open == 0 {
                            return Ok(());
                        }
                    }
                    Next::Byte(byte) => reader.part(byte, &mut inner)?,
                }
            }
        })?;
        self.note_evaluated(start);
        word.is_pattern |= !matches!(self.next(), Next::Byte(b'=' | b'+'));
        word.is_quoted |= inner.is_quoted;
        for byte in &inner.text {
            word.push(*byte);
        }
        if inner.is_dynamic {
            // An assignment still: its name is known, and that is all that is asked of it.
            let equals = if self.sees(b"+=") { 2 } else { usize::from(self.sees(b"=")) };
            if equals > 0 {
                word.text.extend(std::iter::repeat_n(b'=', equals));
                word.assignment = Some(word.text.len());
                self.at += equals;
            }
            word.is_dynamic = true;
        }
        Ok(())
    }

    /// `(a b c)` behind `NAME=`.
    fn array(&mut self) -> Read<()> {
        self.at += 1;
        self.shared.arrays = true;
        self.nested(|reader| {
            loop {
                reader.blanks();
                match reader.next() {
                    Next::End => return Err(Refusal::Unclosed),
                    Next::Byte(b'\n') if reader.pending.is_empty() => reader.at += 1,
                    Next::Byte(b'#') => reader.comment()?,
                    Next::Byte(b')') => {
                        reader.at += 1;
                        return Ok(());
                    }
                    // `[index]=value`
                    Next::Byte(b'[') => {
                        let before = reader.at;
                        reader.forcing(Refusal::Subscript, Self::word)?;
                        if reader.at == before {
                            return Err(Refusal::Unclear);
                        }
                    }
                    _ => {
                        let before = reader.at;
                        reader.word()?;
                        if reader.at == before {
                            return Err(Refusal::Unclear);
                        }
                    }
                }
            }
        })
    }

    /// `@(a|b)`, at its parenthesis. Shells without such patterns read it in another way.
    fn pattern_group(&mut self) -> Read<()> {
        self.at += 1;
        self.nested(|reader| {
            reader.forcing(Refusal::Unclear, |reader| {
                loop {
                    match reader.next() {
                        Next::End => return Err(Refusal::Unclosed),
                        Next::Byte(b')') => {
                            reader.at += 1;
                            return Ok(());
                        }
                        Next::Byte(b'|') => reader.at += 1,
                        Next::Byte(b' ' | b'\t' | b'\n' | b';' | b'&' | b'<' | b'>') => return Err(Refusal::Unclear),
                        Next::Byte(b'(') => reader.pattern_group()?,
                        _ => {
                            let before = reader.at;
                            reader.word()?;
                            if reader.at == before {
                                return Err(Refusal::Unclear);
                            }
                        }
                    }
                }
            })
        })
    }
}

impl Word {
    /// Whether what was read so far can be assigned to: `name`, `name+`, `name[…]`.
    fn is_assignable(&self) -> bool {
        if self.is_dynamic || (self.is_quoted && !self.prefix().contains('[')) {
            return false;
        }
        let text = self.prefix();
        let text = text.strip_suffix('+').unwrap_or(text);
        let name = text.split('[').next().unwrap_or_default();
        crate::variables::is_shell_name(name) && (name.len() == text.len() || text.ends_with(']'))
    }
}
