//! What a command does with its words: whether a value among them would be code, a name, or the command itself.

use std::ops::Range;

use super::builtin;
use super::place::Refusal;
use super::reader::{Assigned, Shared};
use super::table;
use super::word::Word;

/// What a command does with the references in it.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    /// References that cannot stand where they do.
    pub(super) refused: Vec<(Vec<usize>, Refusal)>,
    /// References that are assigned to variables.
    pub(super) assigned: Vec<Assigned>,
    /// Whether it reads its input as code: `sh`, `ssh host`, `python`.
    pub(super) reads_code: bool,
    /// The parts of the script that it evaluates: the words of `let`.
    pub(super) evaluated: Vec<Range<usize>>,
    /// The parts of the script that become code as the shell expands them: the words of `eval`, the command's own name.
    pub(super) spliced: Vec<Range<usize>>,
    /// Its operands, under its name: it may be a function.
    pub(super) call: Option<Call>,
    /// Variables that it assigns, and the parts of the script that they take: all words, with or without references.
    pub(super) flows: Vec<(Vec<u8>, Range<usize>)>,
    /// The parts of the script that name what it runs.
    pub(super) commands: Vec<Range<usize>>,
    /// References that it writes as they are: those of `echo` and `printf`.
    pub(super) written: Vec<usize>,
}

/// What a command is called with.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) command: Vec<u8>,
    pub(super) first: Range<usize>,
    pub(super) operands: Range<usize>,
    /// The references among them, and whether they are in the first one.
    pub(super) spots: Vec<(usize, bool)>,
}

impl Judgement {
    pub(super) fn refuse(&mut self, words: &[Word], refusal: Refusal) {
        let spots: Vec<usize> = words.iter().flat_map(|word| word.spots.iter().copied()).collect();
        if !spots.is_empty() {
            self.refused.push((spots, refusal));
        }
    }
}

impl Judgement {
    /// Refuses all references in code, and notes the variables in it.
    pub(super) fn code(&mut self, words: &[Word]) {
        self.spliced.extend(words.iter().map(|word| word.range.clone()));
        self.refuse(words, Refusal::Interpreter);
    }
}

/// Whether `[[ … ]]` takes the operands of this operator as text.
pub(super) fn is_plain_test(operator: &str) -> bool {
    table::PLAIN_TESTS.contains(&operator)
}

/// Judges a command by its words, its reserved words and redirections taken off.
pub(super) fn judge(words: &[Word], shared: &mut Shared) -> Judgement {
    let mut out = Judgement::default();
    let first = words.iter().position(|word| word.assignment.is_none()).unwrap_or(words.len());
    for word in &words[..first] {
        assign(word, false, &mut out);
    }
    command(&words[first..], shared, &mut out);
    if let [name, operands @ ..] = &words[first..]
        && let (Some(command), [begin, ..], [.., end]) = (name.literal(), operands, operands)
    {
        let spots = operands.iter().enumerate();
        let spots = spots.flat_map(|(at, word)| word.spots.iter().map(move |spot| (*spot, at == 0))).collect();
        let (first, operands) = (begin.range.clone(), begin.range.start..end.range.end);
        out.call = Some(Call { command: command.into(), first, operands, spots });
    }
    out
}

/// Notes what is assigned, and refuses it for a variable that the shell reads as code.
pub(super) fn assign(word: &Word, by_builtin: bool, out: &mut Judgement) {
    if word.assigned_name().is_some_and(crate::variables::is_code_variable) {
        out.refuse(std::slice::from_ref(word), Refusal::Interpreter);
    }
    let name = word.assigned_name().unwrap_or_default().as_bytes().to_vec();
    out.assigned.extend(word.spots.iter().map(|spot| Assigned { spot: *spot, name: name.clone(), by_builtin }));
    out.flows.push((name, word.range.clone()));
}

fn command(mut words: &[Word], shared: &mut Shared, out: &mut Judgement) {
    loop {
        let Some((first, rest)) = words.split_first() else { return };
        let Some(name) = command_name(first) else {
            // What runs is known only to the shell; it may be `eval`.
            let within_path = !first.spots.is_empty() && first.prefix().contains('/');
            let refused = if within_path { rest } else { words };
            out.commands.push(first.range.clone());
            out.reads_code = true;
            return out.refuse(refused, Refusal::CommandWord);
        };
        let Some(wrapper) = table::WRAPPERS.iter().find(|wrapper| wrapper.name == name) else {
            program(name, rest, shared, out);
            return hidden_shell(rest, out);
        };
        match wrapped(wrapper, rest, out) {
            Some(inner) => words = inner,
            None => return,
        }
    }
}

/// The name of the program or builtin that a word runs, if it is known.
fn command_name(word: &Word) -> Option<&str> {
    if !word.is_dynamic && word.text == b"[" {
        return Some("[");
    }
    let path = word.literal()?;
    Some(path.rsplit('/').next().unwrap_or(path))
}

/// What a wrapper runs: the words behind its own. `None` when there is nothing, or when it cannot be told.
fn wrapped<'w>(wrapper: &table::Wrapper, words: &'w [Word], out: &mut Judgement) -> Option<&'w [Word]> {
    let mut at = 0;
    let mut operands = wrapper.operands;
    while let Some(word) = words.get(at) {
        if wrapper.assigns && word.assignment.is_some() && !word.is_quoted_before_assignment() {
            assign(word, false, out);
            at += 1;
            continue;
        }
        let Some(text) = word.literal() else {
            if operands == 0 && !word.prefix().starts_with('-') {
                // The command itself.
                return Some(&words[at..]);
            }
            out.refuse(&words[at..], Refusal::CommandWord);
            return None;
        };
        if text == "--" {
            at += 1;
            break;
        }
        let takes_value = |letter: char| wrapper.valued.contains(letter);
        match text.strip_prefix('-') {
            Some(long) if long.starts_with('-') && !long.contains('=') => {
                // A long option may take the next word; then the command would be another.
                out.refuse(&words[at..], Refusal::CommandWord);
                return Some(&words[at + 1..]).filter(|_| words[at..].iter().all(|word| word.spots.is_empty()));
            }
            Some(letters) if !letters.is_empty() => {
                if wrapper.code.is_some_and(|code| letters.starts_with(code)) {
                    out.refuse(&words[at..], Refusal::Interpreter);
                    return None;
                }
                let value = letters.find(takes_value);
                if value.is_some_and(|place| place + 1 == letters.len()) {
                    if let Some(value) = words.get(at + 1) {
                        out.refuse(std::slice::from_ref(value), Refusal::CommandWord);
                    }
                    at += 1;
                }
            }
            _ if operands > 0 => operands -= 1,
            _ => return Some(&words[at..]),
        }
        at += 1;
    }
    words.get(at + operands..)
}

/// A known program, or one that takes its words as text.
fn program(name: &str, words: &[Word], shared: &mut Shared, out: &mut Judgement) {
    if table::ALL_CODE.contains(&name) {
        out.code(words);
        // `eval sh` hands its own input on.
        out.reads_code = true;
    } else if table::SHELLS.contains(&name) {
        shell(words, out);
    } else if let Some(interpreter) = table::interpreter(name) {
        interpret(interpreter, words, out);
    } else if table::FIRST_IS_CODE.contains(&name) {
        first_is_code(name, words, out);
    } else if matches!(name, "make" | "gmake") {
        // `NAME=value` is expanded by make, `$(shell …)` included.
        let assigned: Vec<&Word> = words.iter().filter(|word| word.assignment.is_some()).collect();
        for word in assigned {
            out.refuse(std::slice::from_ref(word), Refusal::Interpreter);
        }
    } else {
        builtin::judge(name, words, shared, out);
    }
    if table::WRITERS.contains(&name) {
        out.written.extend(words.iter().flat_map(|word| word.spots.iter().copied()));
    }
}

/// `sh`, `bash` and the like: `-c` takes code, the first operand is a script, what follows is the script's business.
fn shell(words: &[Word], out: &mut Judgement) {
    let mut at = 0;
    let mut from_input = false;
    while let Some(word) = words.get(at) {
        let text = word.prefix();
        let is_option = text.len() > 1 && text.starts_with(['-', '+']) && text != "--";
        if is_option && !text.starts_with("--") && text.contains('c') {
            return out.code(words);
        }
        let Some(text) = word.literal() else { return out.refuse(&words[at..], Refusal::Interpreter) };
        at += 1;
        if !is_option {
            if matches!(text, "--" | "-") && !from_input {
                // What follows is the script, or nothing.
                match words.get(at) {
                    Some(script) if script.literal().is_none() => {
                        return out.refuse(&words[at..], Refusal::Interpreter);
                    }
                    Some(_) => return,
                    None => break,
                }
            }
            if from_input && text != "--" {
                out.refuse(&words[at..], Refusal::Interpreter);
                out.reads_code = true;
            } else {
                out.reads_code = from_input;
            }
            return;
        }
        from_input |= !text.starts_with("--") && text.contains('s');
        if text.ends_with(['o', 'O']) || matches!(text, "--rcfile" | "--init-file") {
            if let Some(value) = words.get(at) {
                out.refuse(std::slice::from_ref(value), Refusal::Interpreter);
            }
            at += 1;
        }
    }
    out.reads_code = true;
}

/// A shell that another program runs: `docker exec app sh -c '…'`.
fn hidden_shell(words: &[Word], out: &mut Judgement) {
    for (at, word) in words.iter().enumerate() {
        let Some(name) = command_name(word).filter(|name| table::SHELLS.contains(name)) else { continue };
        let rest = &words[at + 1..];
        out.reads_code = true;
        let takes_code = rest.iter().any(|word| {
            let text = word.prefix();
            text.starts_with('-') && !text.starts_with("--") && text.contains('c')
        });
        if takes_code && !name.is_empty() {
            return out.code(rest);
        }
    }
}

/// `python -c`, `perl -e`, `psql -c`: an option takes code.
fn interpret(interpreter: &table::Interpreter, words: &[Word], out: &mut Judgement) {
    let takes_code = |word: &Word| {
        let text = word.prefix();
        let short = text.starts_with('-') && !text.starts_with("--");
        short && text[1..].contains(interpreter.letters)
            || table::CODE_OPTIONS.iter().any(|long| text.starts_with(long))
    };
    if words.iter().any(takes_code) {
        return out.code(words);
    }
    let script = words.iter().position(|word| !word.prefix().starts_with('-') || word.literal().is_none());
    match script {
        Some(at) if words[at].literal().is_none() && interpreter.runs_file => {
            out.refuse(&words[at..], Refusal::Interpreter);
        }
        Some(_) => out.reads_code = !interpreter.runs_file,
        None => out.reads_code = true,
    }
}

/// `awk` and `sed`: the first operand is code unless an option gave it.
fn first_is_code(name: &str, words: &[Word], out: &mut Judgement) {
    let is_awk = name.contains("awk");
    let mut given = false;
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let text = word.prefix();
        at += 1;
        let value = words.get(at).map(std::slice::from_ref).unwrap_or_default();
        match text {
            // The value of a variable and a separator are text.
            "-v" | "-F" if is_awk && word.literal().is_some() => at += 1,
            "-f" | "--file" if word.literal().is_some() => {
                given = true;
                at += 1;
            }
            "-e" | "--expression" | "--source" if word.literal().is_some() => {
                out.refuse(value, Refusal::Interpreter);
                given = true;
                at += 1;
            }
            "--" if word.literal().is_some() => {}
            _ if text.starts_with("-v") && is_awk => {}
            _ if text.len() > 1 && text.starts_with('-') => {
                if text.starts_with("-e") || text.starts_with("--expression") || word.literal().is_none() {
                    out.refuse(std::slice::from_ref(word), Refusal::Interpreter);
                    given |= text.contains('e');
                }
            }
            _ if given => return,
            _ => {
                // The program; if only the shell knows it, what follows may be code as well.
                let code = if word.is_dynamic && word.spots.is_empty() { &words[at - 1..] } else { &words[at - 1..at] };
                out.refuse(code, Refusal::Interpreter);
                return;
            }
        }
    }
}

impl Word {
    /// Whether the name before the `=` is quoted, so that it is no assignment but a word.
    fn is_quoted_before_assignment(&self) -> bool {
        self.assignment.is_none()
    }
}

/// Whether the word at `index` of a command line that runs without a shell is code for an interpreter in it.
pub(super) fn is_code(words: &[&str], index: usize) -> bool {
    let line: Vec<Word> = words
        .iter()
        .enumerate()
        .map(|(at, text)| {
            let is_dynamic = at == index;
            let text = if is_dynamic { String::new() } else { (*text).to_owned() };
            Word { text: text.into_bytes(), is_dynamic, spots: vec![at], ..Word::default() }
        })
        .collect();
    let mut out = Judgement::default();
    command(&line, &mut Shared::default(), &mut out);
    out.refused.iter().any(|(spots, refusal)| *refusal == Refusal::Interpreter && spots.contains(&index))
}
