//! Commands: what ends them, which words are reserved, what their words are handed to.

use super::place::Refusal;
use super::program::{self, Call, Judgement};
use super::reader::{Assigned, Next, Read, Reader};
use super::word::Word;

/// Where a list of commands ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// With the script.
    End,
    /// With `)`.
    Parenthesis,
    /// With `;;` or `esac`.
    CaseItem,
}

/// What a command turned out to be.
enum Command {
    /// A command, or a reserved word before one.
    Plain(Box<Judgement>),
    /// `esac`.
    Esac,
}

/// What is written into a pipe.
#[derive(Default)]
struct Pipe {
    /// References whose values are written.
    spots: Vec<usize>,
    /// The first here-document of the pipeline.
    documents: usize,
}

impl Reader<'_> {
    /// Reads commands. In a case item, says whether `esac` ended it.
    pub(super) fn list(&mut self, until: Until) -> Read<bool> {
        let mut pipe = Pipe { spots: Vec::new(), documents: self.pending.len() };
        loop {
            self.blanks();
            match self.next() {
                Next::End if until == Until::End => return Ok(false),
                Next::End => return Err(Refusal::Unclosed),
                Next::Byte(b'\n') => {
                    self.newline()?;
                    pipe = Pipe::default();
                }
                Next::Byte(b'#') => self.comment()?,
                Next::Byte(b';') => {
                    if matches!(self.peek_second(), Some(b';' | b'&' | b'|')) {
                        if until != Until::CaseItem {
                            return Err(Refusal::Unclear);
                        }
                        self.at += 2;
                        self.at += usize::from(self.peek() == Some(b'&'));
                        return Ok(false);
                    }
                    self.at += 1;
                    pipe = self.new_pipe();
                }
                Next::Byte(b'&') => {
                    self.at += 1;
                    pipe = self.new_pipe();
                }
                Next::Byte(b'|') => {
                    self.at += 1;
                    if self.peek() == Some(b'|') {
                        self.at += 1;
                        pipe = self.new_pipe();
                    } else {
                        self.at += usize::from(self.peek() == Some(b'&'));
                    }
                }
                Next::Byte(b')') if until == Until::Parenthesis => {
                    self.at += 1;
                    return Ok(false);
                }
                Next::Byte(b')') => return Err(Refusal::Unclear),
                Next::Byte(b'(') => {
                    if self.peek_second() == Some(b'(') {
                        self.at += 2;
                        self.nested(Self::arithmetic)?;
                    } else {
                        self.at += 1;
                        self.nested(|reader| reader.list(Until::Parenthesis))?;
                    }
                }
                _ => match self.command()? {
                    Command::Esac if until == Until::CaseItem => return Ok(true),
                    Command::Esac => return Err(Refusal::Unclear),
                    Command::Plain(judgement) => self.join(&mut pipe, *judgement),
                },
            }
        }
    }

    fn new_pipe(&self) -> Pipe {
        Pipe { spots: Vec::new(), documents: self.pending.len() }
    }

    /// A command whose input is code makes code of what is written into its pipe.
    fn join(&mut self, pipe: &mut Pipe, judgement: Judgement) {
        self.poured.extend(&pipe.spots);
        if judgement.reads_code {
            self.refuse(&std::mem::take(&mut pipe.spots), Refusal::Interpreter);
            self.pending.iter_mut().skip(pipe.documents).for_each(|document| document.is_code = true);
        }
        pipe.spots.extend(judgement.written);
    }

    fn command(&mut self) -> Read<Command> {
        let mut words: Vec<Word> = Vec::new();
        let mut input = Vec::new();
        loop {
            self.blanks();
            match self.next() {
                Next::End | Next::Byte(b'\n' | b';' | b'&' | b'|' | b')') => break,
                Next::Byte(b'#') => {
                    self.comment()?;
                    break;
                }
                Next::Byte(b'(') => {
                    self.function_parentheses(&words)?;
                    return Ok(Command::Plain(Box::default()));
                }
                Next::Byte(b'<' | b'>') if self.peek_second() != Some(b'(') => input.extend(self.redirection()?),
                _ => {
                    let before = self.at;
                    let word = self.word()?;
                    if self.at == before {
                        return Err(Refusal::Unclear);
                    }
                    let is_number =
                        !word.is_quoted && !word.text.is_empty() && word.text.iter().all(u8::is_ascii_digit);
                    if is_number && !word.is_dynamic && matches!(self.peek(), Some(b'<' | b'>')) {
                        continue;
                    }
                    if words.is_empty()
                        && let Some(command) = self.reserved(&word)?
                    {
                        return Ok(command);
                    }
                    if self.shared.loose_braces && word.is_reserved("}") {
                        break;
                    }
                    words.push(word);
                }
            }
        }
        let mut judgement = program::judge(&words, &mut self.shared);
        for (spots, refusal) in judgement.refused.drain(..) {
            self.refuse(&spots, refusal);
        }
        self.assigned.append(&mut judgement.assigned);
        for range in judgement.evaluated.drain(..) {
            self.note_evaluated_in(range);
        }
        for (name, range) in judgement.flows.drain(..) {
            let text = self.text_of(range);
            self.shared.flows.take(name, text);
        }
        for range in judgement.spliced.drain(..) {
            let text = self.text_of(range);
            self.shared.flows.splice(text);
        }
        for range in judgement.commands.drain(..) {
            let text = self.text_of(range);
            self.shared.flows.run(text);
        }
        if let Some(Call { command, first, operands, spots }) = judgement.call.take() {
            let (first, all) = (self.text_of(first), self.text_of(operands));
            self.operands.extend(spots.into_iter().map(|(spot, is_first)| (command.clone(), spot, is_first)));
            self.shared.flows.call(command, first, all);
        }
        self.poured.extend(&input);
        if judgement.reads_code {
            self.refuse(&input, Refusal::Interpreter);
        } else {
            judgement.written.extend(input);
        }
        Ok(Command::Plain(Box::new(judgement)))
    }

    /// What a reserved word at the place of a command begins; `None` when it is an ordinary word.
    fn reserved(&mut self, word: &Word) -> Read<Option<Command>> {
        if word.is_quoted || !word.spots.is_empty() || word.is_dynamic {
            return Ok(None);
        }
        // `{` and `[[` look like patterns; as reserved words they are themselves.
        let plain = || Ok(Some(Command::Plain(Box::default())));
        match word.text.as_slice() {
            b"if" | b"then" | b"else" | b"elif" | b"fi" | b"do" | b"done" | b"while" | b"until" | b"!" | b"{"
            | b"}" => plain(),
            b"esac" => Ok(Some(Command::Esac)),
            b"case" => self.nested(Self::case).and_then(|()| plain()),
            b"for" | b"select" => self.for_words().and_then(|()| plain()),
            b"function" => {
                self.blanks();
                let name = self.word()?;
                self.refuse(&name.spots, Refusal::Name);
                self.shared.flows.define(name.text.clone());
                self.blanks();
                if self.peek() == Some(b'(') {
                    self.function_parentheses(std::slice::from_ref(&name))?;
                }
                plain()
            }
            b"[[" => self.test().and_then(|()| plain()),
            _ => Ok(None),
        }
    }

    /// `()` behind the name of a function.
    fn function_parentheses(&mut self, words: &[Word]) -> Read<()> {
        let [name] = words else { return Err(Refusal::Unclear) };
        self.at += 1;
        self.blanks();
        if name.literal().is_none() || self.peek() != Some(b')') {
            return Err(Refusal::Unclear);
        }
        self.shared.flows.define(name.text.clone());
        self.at += 1;
        Ok(())
    }

    /// A redirection, at its operator. The references of a here-string are given back.
    fn redirection(&mut self) -> Read<Vec<usize>> {
        for operator in [&b"<<<"[..], b"<<-", b"<<", b"<&", b"<>", b"<", b">>", b">&", b">|", b">"] {
            if !self.sees(operator) {
                continue;
            }
            self.at += operator.len();
            if matches!(operator, b"<<" | b"<<-") {
                return self.announce_document(operator == b"<<-").map(|()| Vec::new());
            }
            self.blanks();
            let before = self.at;
            let word = self.word()?;
            if self.at == before {
                return Err(Refusal::Unclear);
            }
            return Ok(if operator == b"<<<" { word.spots } else { Vec::new() });
        }
        Err(Refusal::Unclear)
    }

    /// `case WORD in (PATTERN) … ;; esac`, behind `case`.
    fn case(&mut self) -> Read<()> {
        self.blanks();
        self.word()?;
        self.lines()?;
        if !self.word()?.is_reserved("in") {
            return Err(Refusal::Unclear);
        }
        loop {
            self.lines()?;
            let mut opened = false;
            if self.peek() == Some(b'(') {
                self.at += 1;
                opened = true;
                self.blanks();
            }
            let before = self.at;
            let first = self.word()?;
            if !opened && first.is_reserved("esac") {
                return Ok(());
            }
            if self.at == before {
                return Err(Refusal::Unclear);
            }
            loop {
                self.blanks();
                match self.peek() {
                    Some(b')') => {
                        self.at += 1;
                        break;
                    }
                    Some(b'|') => {
                        self.at += 1;
                        self.blanks();
                        self.word()?;
                    }
                    _ => return Err(Refusal::Unclear),
                }
            }
            if self.list(Until::CaseItem)? {
                return Ok(());
            }
        }
    }

    /// Passes over blanks, newlines and comments.
    fn lines(&mut self) -> Read<()> {
        loop {
            self.blanks();
            match self.peek() {
                Some(b'\n') => self.newline()?,
                Some(b'#') => self.comment()?,
                _ => return Ok(()),
            }
        }
    }

    /// `for NAME in WORDS`, behind `for`. The words are only words.
    fn for_words(&mut self) -> Read<()> {
        self.blanks();
        if self.sees(b"((") {
            self.at += 2;
            return self.nested(Self::arithmetic);
        }
        let name = self.word()?;
        self.refuse(&name.spots, Refusal::Name);
        let (first, start) = (self.first_spot(), self.at);
        self.lines()?;
        let is_in = self.sees(b"in")
            && !self.bytes[..self.end].get(self.at + 2).is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !is_in {
            return Ok(());
        }
        self.at += 2;
        loop {
            self.blanks();
            match self.next() {
                Next::End | Next::Byte(b'\n' | b';' | b'#') => {
                    let spots = first..self.first_spot();
                    let assigned = |spot| Assigned { spot, name: name.text.clone(), by_builtin: false };
                    self.assigned.extend(spots.map(assigned));
                    let text = self.text_of(start..self.at);
                    self.shared.flows.take(name.text, text);
                    return Ok(());
                }
                _ => {
                    let before = self.at;
                    self.word()?;
                    if self.at == before {
                        return Err(Refusal::Unclear);
                    }
                }
            }
        }
    }

    /// `[[ … ]]`, behind the brackets. References may stand in it while no operator evaluates its operands.
    fn test(&mut self) -> Read<()> {
        let start = self.at;
        let mut spots = Vec::new();
        let mut evaluates = false;
        loop {
            self.blanks();
            match self.next() {
                Next::End => return Err(Refusal::Unclosed),
                Next::Byte(b'\n') => self.newline()?,
                Next::Byte(b'&' | b'|' | b'(' | b')' | b'<' | b'>') => self.at += 1,
                Next::Byte(b';') => return Err(Refusal::Unclear),
                _ => {
                    let before = self.at;
                    let word = self.word()?;
                    if word.is_reserved("]]") || word.text == b"]]" && !word.is_quoted && !word.is_dynamic {
                        break;
                    }
                    if self.at == before {
                        return Err(Refusal::Unclear);
                    }
                    evaluates |= word.text.first() == Some(&b'-') && !program::is_plain_test(word.prefix());
                    spots.extend(word.spots);
                }
            }
        }
        if evaluates {
            self.note_evaluated(start);
            self.refuse(&spots, Refusal::Test);
        }
        Ok(())
    }
}
