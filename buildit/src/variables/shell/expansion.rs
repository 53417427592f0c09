//! What begins with `$` or a backtick.

use super::flow::{Text, is_arithmetic};
use super::place::{Refusal, Verdict};
use super::reader::{Assigned, Next, Read, Reader};

impl Reader<'_> {
    /// Reads an expansion at its `$`. Says whether it is one; a lone `$` is only itself.
    pub(super) fn dollar(&mut self, quoted: bool) -> Read<bool> {
        let second = self.peek_second();
        match second {
            Some(b'(') => {
                if self.sees(b"$((") {
                    self.at += 3;
                    self.nested(Self::arithmetic)?;
                } else {
                    self.at += 2;
                    self.substitution()?;
                }
                Ok(true)
            }
            Some(b'{') => {
                self.at += 2;
                self.nested(|reader| reader.parameter(quoted))?;
                Ok(true)
            }
            Some(b'\'') if !quoted => self.dollar_quotes().map(|()| true),
            // `$"…"` is a text to translate in bash; elsewhere a `$` before a quoted text.
            Some(b'"') if !quoted => {
                self.at += 1;
                Ok(true)
            }
            Some(b'[') => {
                self.at += 2;
                let start = self.at;
                self.nested(|reader| reader.forcing(Refusal::Arithmetic, Self::old_arithmetic))?;
                self.note_evaluated(start);
                Ok(true)
            }
            Some(b'_' | b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z') => {
                let start = self.at;
                self.at += 2;
                while self.peek().is_some_and(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
                    self.at += 1;
                }
                self.expansions.push((start, self.bytes[start + 1..self.at].to_vec()));
                Ok(true)
            }
            _ => {
                self.at += 1;
                Ok(false)
            }
        }
    }

    /// `$(…)` and `<(…)`, behind the parenthesis: commands with a quoting of their own.
    pub(super) fn substitution(&mut self) -> Read<()> {
        let outer = std::mem::take(&mut self.pending);
        let in_document = std::mem::replace(&mut self.in_document, false);
        let start = self.at;
        self.nested(|reader| reader.list(super::command::Until::Parenthesis))?;
        self.substitutions.push(start..self.at);
        // Where the body of a here-document lies whose line ends within a substitution, shells disagree.
        let crosses = !outer.is_empty() && self.bytes[start..self.at].contains(&b'\n');
        if !self.pending.is_empty() || crosses {
            return Err(Refusal::Unclear);
        }
        self.pending = outer;
        self.in_document = in_document;
        Ok(())
    }

    /// `$'…'`, at its `$`: escapes in bash, zsh and ksh, none in dash. Where both read the same end, it is only a
    /// place that takes no reference.
    fn dollar_quotes(&mut self) -> Read<()> {
        self.at += 2;
        loop {
            match self.next() {
                Next::End => return Err(Refusal::Unclosed),
                Next::Spot(spot) => self.take_spot(spot, Verdict::Refused(Refusal::DollarQuotes)),
                Next::Byte(b'\\') if self.peek_second() == Some(b'\'') => return Err(Refusal::Unclear),
                Next::Byte(b'\\') if self.peek_second() == Some(b'\\') => self.at += 2,
                Next::Byte(b'\'') => {
                    self.at += 1;
                    return Ok(());
                }
                Next::Byte(_) => self.at += 1,
            }
        }
    }

    /// Backticks, at the first. The next one that no backslash precedes ends them, whatever quotes stand between.
    pub(super) fn backticks(&mut self) -> Read<()> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.next() {
                Next::End => return Err(Refusal::Unclosed),
                Next::Spot(spot) => self.take_spot(spot, Verdict::Refused(Refusal::Backticks)),
                Next::Byte(b'\\') => {
                    self.at += 1;
                    if self.peek().is_some() {
                        self.at += 1;
                    }
                }
                Next::Byte(b'`') => {
                    self.at += 1;
                    let body = &self.bytes[start..self.at];
                    if is_arithmetic(body) {
                        self.shared.flows.evaluate(Text::of(body));
                    }
                    self.substitutions.push(start..self.at);
                    return Ok(());
                }
                Next::Byte(_) => self.at += 1,
            }
        }
    }

    /// `$((…))` and `((…))`, behind the parentheses. What may be two nested groups of commands instead is unclear.
    pub(super) fn arithmetic(&mut self) -> Read<()> {
        let start = self.at;
        self.arithmetic_text()?;
        self.note_evaluated(start);
        Ok(())
    }

    fn arithmetic_text(&mut self) -> Read<()> {
        self.forcing(Refusal::Arithmetic, |reader| {
            let mut open = 0;
            let mut before = b' ';
            loop {
                let byte = match reader.next() {
                    Next::End => return Err(Refusal::Unclosed),
                    Next::Spot(spot) => {
                        reader.take_spot(spot, Verdict::Quoted);
                        before = b'x';
                        continue;
                    }
                    Next::Byte(byte) => byte,
                };
                match byte {
                    b'$' => drop(reader.dollar(true)?),
                    b'"' => {
                        reader.at += 1;
                        reader.double_quotes(&mut Vec::new())?;
                    }
                    b'`' => reader.backticks()?,
                    b'\'' | b'\\' | b'\n' | b';' => return Err(Refusal::Unclear),
                    // The beginning of a comment, if these are commands.
                    b'#' if matches!(before, b' ' | b'\t') => return Err(Refusal::Unclear),
                    b'(' => {
                        open += 1;
                        reader.at += 1;
                    }
                    b')' if open > 0 => {
                        open -= 1;
                        reader.at += 1;
                    }
                    b')' if reader.sees(b"))") => {
                        reader.at += 2;
                        return Ok(());
                    }
                    b')' => return Err(Refusal::Unclear),
                    _ => reader.at += 1,
                }
                before = byte;
            }
        })
    }

    /// `$[…]`, behind the bracket: arithmetic in bash and zsh, text in dash.
    fn old_arithmetic(&mut self) -> Read<()> {
        loop {
            match self.next() {
                Next::End => return Err(Refusal::Unclear),
                Next::Spot(spot) => self.take_spot(spot, Verdict::Quoted),
                Next::Byte(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                Next::Byte(byte) if byte.is_ascii_alphanumeric() || b"+-*/%_".contains(&byte) => self.at += 1,
                Next::Byte(_) => return Err(Refusal::Unclear),
            }
        }
    }

    /// `${…}` of the shell, behind the brace.
    fn parameter(&mut self, quoted: bool) -> Read<()> {
        // `${ command; }` and `${| command; }` run commands in ksh and newer bash; `${(…)…}` has flags in zsh.
        if matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'|' | b'(')) {
            return Err(Refusal::Unclear);
        }
        let is_indirect = self.peek() == Some(b'!');
        if matches!(self.peek(), Some(b'#' | b'!')) && self.peek_second() != Some(b'}') {
            self.at += 1;
        }
        let name = self.at;
        if self.peek().is_some_and(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
            while self.peek().is_some_and(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
                self.at += 1;
            }
        } else if self.peek().is_some_and(|byte| b"@*#?-$!".contains(&byte)) {
            self.at += 1;
        }
        let name = (name, self.bytes[name..self.at].to_vec());
        // The value is the name of what is expanded, or a text with expansions of its own.
        if is_indirect || self.sees(b"@P") {
            self.shared.flows.splice(Text { expanded: [name.1.clone()].into(), ..Text::default() });
        }
        self.expansions.push(name.clone());
        let is_colon = usize::from(self.peek() == Some(b':'));
        let is_default = self.bytes[..self.end].get(self.at + is_colon).is_some_and(|byte| b"-=+?".contains(byte));
        if is_default {
            let assigns = self.bytes[self.at + is_colon] == b'=';
            self.at += 1 + is_colon;
            let (start, first) = (self.at, self.first_spot());
            self.parameter_word(quoted)?;
            if assigns {
                let text = self.text_of(start..self.at);
                self.shared.flows.take(name.1.clone(), text);
                let assigned = |spot| Assigned { spot, name: name.1.clone(), by_builtin: false };
                self.assigned.extend((first..self.first_spot()).map(assigned));
            }
            return Ok(());
        }
        // A subscript, an offset and a length are arithmetic.
        let start = self.at;
        self.forcing(Refusal::Expansion, |reader| reader.parameter_word(quoted))?;
        if matches!(self.bytes[start], b'[' | b':') {
            self.note_evaluated(start);
        }
        Ok(())
    }

    /// What stands behind the operator of `${…}`, up to its brace.
    fn parameter_word(&mut self, quoted: bool) -> Read<()> {
        loop {
            match self.next() {
                Next::End => return Err(Refusal::Unclosed),
                Next::Spot(spot) => self.take_spot(spot, if quoted { Verdict::Quoted } else { Verdict::Bare }),
                Next::Byte(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                // Quotes within a quoted expansion mean different things to different shells.
                Next::Byte(b'\'') if quoted => return Err(Refusal::Unclear),
                Next::Byte(b'\'') => self.single_quotes()?,
                Next::Byte(b'"') if self.in_document => return Err(Refusal::Unclear),
                Next::Byte(b'"') => self.quotes_in_parameter(quoted)?,
                Next::Byte(b'\\') => self.skip_escaped(&mut Vec::new())?,
                Next::Byte(b'$') => drop(self.dollar(quoted)?),
                Next::Byte(b'`') => self.backticks()?,
                Next::Byte(b'{') => return Err(Refusal::Unclear),
                Next::Byte(_) => self.at += 1,
            }
        }
    }

    fn quotes_in_parameter(&mut self, quoted: bool) -> Read<()> {
        self.at += 1;
        if !quoted {
            return self.double_quotes(&mut Vec::new()).map(|_| ());
        }
        let start = self.at;
        self.forcing(Refusal::Expansion, |reader| reader.double_quotes(&mut Vec::new()))?;
        if self.bytes[start..self.at].contains(&b'}') { Err(Refusal::Unclear) } else { Ok(()) }
    }
}
