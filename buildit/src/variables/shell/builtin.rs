//! Builtins that take a word as a name, or evaluate it.

use super::flow::operand;
use super::place::Refusal;
use super::program::{Judgement, assign};
use super::reader::{Assigned, Shared};
use super::table;
use super::word::Word;

pub(super) fn judge(name: &str, words: &[Word], shared: &mut Shared, out: &mut Judgement) {
    match name {
        "declare" | "typeset" | "integer" | "float" | "nameref" => {
            shared.integers |= matches!(name, "integer" | "float" | "nameref");
            note_attributes(words, shared);
            for word in words.iter().filter(|word| word.assignment.is_some()) {
                assign(word, true, out);
            }
            names(words, out);
        }
        "local" | "export" | "readonly" => {
            note_attributes(words, shared);
            for word in words {
                if word.assignment.is_some() && !word.is_array {
                    assign(word, true, out);
                } else {
                    if word.is_array {
                        assign(word, true, out);
                    }
                    names(std::slice::from_ref(word), out);
                }
            }
        }
        "set" => {
            let from = words.iter().position(|word| word.literal() == Some("--"));
            let (before, operands) = words.split_at(from.unwrap_or(words.len()));
            out.refuse(before, Refusal::Name);
            let operands = operands.iter().filter(|word| word.literal() != Some("--")).enumerate();
            for (word, name) in operands.flat_map(|(at, word)| operand(at == 0).iter().map(move |name| (word, name))) {
                takes(word, name, out);
            }
        }
        "." | "source" => {
            // The value would name the script that runs.
            if let Some(script) = words.first()
                && !script.prefix().contains('/')
            {
                out.refuse(std::slice::from_ref(script), Refusal::CommandWord);
            }
        }
        "read" => {
            for name in words.iter().filter_map(Word::literal).filter(|name| !name.starts_with('-')) {
                shared.flows.read_into(name.as_bytes().to_vec());
            }
            shared.flows.read_into(b"REPLY".to_vec());
            names(words, out);
        }
        "[" | "test" => test(words, shared, out),
        "printf" => printf(words, shared, out),
        "let" => {
            out.evaluated.extend(words.iter().map(|word| word.range.clone()));
            out.refuse(words, Refusal::Arithmetic);
        }
        // Prompt escapes, and with them substitutions, are expanded in what it prints.
        "print" => {
            let first = words.first();
            if shared.evaluates && first.is_some_and(|word| word.prefix() != "-r" && word.prefix() != "--") {
                out.refuse(words, Refusal::Name);
            }
        }
        _ if table::NAME_TAKERS.contains(&name) => names(words, out),
        _ if shared.evaluates && table::NUMBER_TAKERS.contains(&name) => out.refuse(words, Refusal::Arithmetic),
        _ => {}
    }
}

/// Words that are names of variables, or hold some: subscripts in them are evaluated.
fn names(words: &[Word], out: &mut Judgement) {
    out.spliced.extend(words.iter().map(|word| word.range.clone()));
    out.refuse(words, Refusal::Name);
}

/// Notes that a variable takes what a word says.
fn takes(word: &Word, name: &[u8], out: &mut Judgement) {
    out.flows.push((name.to_vec(), word.range.clone()));
    let assigned = |spot: &usize| Assigned { spot: *spot, name: name.to_vec(), by_builtin: false };
    out.assigned.extend(word.spots.iter().map(assigned));
}

/// Notes that a variable may evaluate what is assigned to it. Which one is not asked: the stage's scripts share a shell,
/// and functions run later than they are read.
fn note_attributes(words: &[Word], shared: &mut Shared) {
    for word in words {
        if word.assignment.is_some() {
            continue;
        }
        let text = word.prefix();
        if text.starts_with(['-', '+']) {
            shared.integers |= text.contains(['i', 'n', 'E', 'F']);
            shared.arrays |= text.contains(['a', 'A']);
        }
        if word.is_dynamic {
            (shared.integers, shared.arrays) = (true, true);
        }
    }
}

/// `[ … ]`: a value must not be taken for an operator, and none of those that evaluate their operands may be there.
fn test(words: &[Word], shared: &Shared, out: &mut Judgement) {
    let is = |word: Option<&Word>, operators: &[&str]| {
        word.and_then(Word::literal).is_some_and(|text| operators.contains(&text))
    };
    let is_binary =
        |word: Option<&Word>| is(word, table::BINARY_TESTS) || !shared.evaluates && is(word, table::NUMBER_TESTS);
    if shared.evaluates && words.iter().any(|word| is(Some(word), table::NUMBER_TESTS)) {
        out.evaluated.extend(words.iter().map(|word| word.range.clone()));
    }
    let end = words.iter().position(|word| word.literal() == Some("]")).unwrap_or(words.len());
    let words = &words[..end];
    if let Some(at) = words.iter().position(|word| word.literal() == Some("-v")) {
        out.spliced.extend(words.get(at + 1).map(|word| word.range.clone()));
    }
    for (at, word) in words.iter().enumerate().filter(|(_, word)| !word.spots.is_empty()) {
        let before = at.checked_sub(1).map(|before| &words[before]);
        let is_operand = is(before, table::UNARY_TESTS) || is_binary(before) || is_binary(words.get(at + 1));
        if !is_operand && words.len() > 1 {
            out.refuse(std::slice::from_ref(word), Refusal::Test);
        }
    }
}

/// `printf FORMAT …`: `-v` takes a name, and some shells evaluate what `%d` prints.
fn printf(words: &[Word], shared: &Shared, out: &mut Judgement) {
    let words = match words.split_first() {
        Some((first, rest)) if first.literal() == Some("--") => rest,
        _ => words,
    };
    let Some((format, values)) = words.split_first() else { return };
    if format.literal() == Some("-v")
        && let Some((name, printed)) = values.split_first()
    {
        out.spliced.push(name.range.clone());
        for word in printed {
            takes(word, name.prefix().as_bytes(), out);
        }
    }
    if format.prefix().is_empty() && format.is_dynamic || format.prefix().starts_with('-') {
        return out.refuse(words, Refusal::Name);
    }
    let is_text = |format: &str| {
        let mut conversions = format.split('%').skip(1);
        // `%%` splits into an empty piece, which prints itself.
        conversions.all(|rest| {
            let letter = rest.trim_start_matches(|c: char| c.is_ascii_digit() || "-+ #0.*".contains(c)).chars().next();
            matches!(letter, None | Some('s' | 'b' | 'q' | 'c')) && !rest.contains('*')
        })
    };
    if shared.evaluates
        && !format.literal().or(Some(format.prefix()).filter(|_| format.is_pattern)).is_some_and(is_text)
    {
        out.refuse(values, Refusal::Arithmetic);
    }
}
