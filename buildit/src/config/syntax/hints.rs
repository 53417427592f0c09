//! The mistakes that people make in KDL, each with the way out.

use super::super::findings::shown;
use super::Mistake;
use super::number::{self, NotANumber};
use super::unicode::{is_newline, is_space};

fn mistake(code: &'static str, start: usize, end: usize, message: impl Into<String>, help: &str) -> Mistake {
    let help = (!help.is_empty()).then(|| help.to_owned());
    Mistake { code, start, end, message: message.into(), help }
}

pub(crate) fn newline_in_string(start: usize, end: usize) -> Mistake {
    let help = "close it on its line, or write several lines between `\"\"\"` and `\"\"\"`, each on a line of its own";
    mistake("newline-in-string", start, end, "a string ends on the line where it begins", help)
}

pub(crate) fn unclosed_string(start: usize, end: usize) -> Mistake {
    let end = end.min(start + 40);
    mistake("unclosed-string", start, end, "the string is not closed", "end it with the quotes that it begins with")
}

pub(crate) fn text_after_quotes(start: usize, end: usize) -> Mistake {
    let help = "begin the text on the next line; the closing `\"\"\"` stands on a line of its own too";
    mistake("text-after-quotes", start, end, "nothing may follow `\"\"\"` on its line", help)
}

pub(crate) fn quotes_in_line(start: usize, end: usize) -> Mistake {
    let help = "put the closing `\"\"\"` on a line of its own, with the indent of the text";
    mistake("quotes-in-line", start, end, "`\"\"\"` stands in the middle of a line", help)
}

pub(crate) fn bad_indent(start: usize, end: usize) -> Mistake {
    let help = "indent each line at least as the closing `\"\"\"`, with the same tabs and spaces";
    mistake("bad-indent", start, end, "the line is indented less than the closing `\"\"\"`", help)
}

pub(crate) fn raw_quote(start: usize, end: usize) -> Mistake {
    mistake("raw-quote", start, end, "a raw string cannot be a single quote", r#"write it as "\"""#)
}

pub(crate) fn disallowed(c: char, at: usize) -> Mistake {
    let message = format!("the character U+{:04X} may not be written", c as u32);
    let help = format!("in a string in quotes write `\\u{{{:x}}}`", c as u32);
    mistake("disallowed-character", at, at + c.len_utf8(), message, &help)
}

pub(crate) fn bad_escape(text: &str, start: usize, end: usize) -> Mistake {
    let written = &text[start..end];
    let help = match written {
        "\\$" => {
            "`$` needs no backslash; `$${` is a literal `${`; in a raw string `#\"…\"#` a backslash is a backslash"
        }
        "\\u" => "a character by its number is `\\u{1F600}`",
        _ => "write `\\\\` for a backslash, or a raw string: `#\"…\"#`",
    };
    mistake("bad-escape", start, end, format!("`{}` is no escape", shown(written)), help)
}

pub(crate) fn unclosed_comment(start: usize) -> Mistake {
    let help = "end it with `*/`; a glob such as \"src/**\" needs quotes";
    mistake("unclosed-comment", start, start + 2, "the comment is not closed", help)
}

pub(crate) fn too_deep(at: usize, limit: usize) -> Mistake {
    let message = format!("blocks and comments nest deeper than {limit} levels");
    mistake("too-deep", at, at + 1, message, "no pipeline needs that many")
}

/// `https://x` and `src/**` without quotes: KDL takes the rest for a comment.
pub(crate) fn comment_in_word(text: &str, start: usize, comment: usize) -> Mistake {
    let rest = text[comment..].find(|c| is_space(c) || is_newline(c) || c == ';').unwrap_or(text.len() - comment);
    let end = comment + rest;
    let marks = &text[comment..comment + 2];
    let message = format!("`{marks}` begins a comment, so that only `{}` is left", shown(&text[start..comment]));
    let help = format!("write it in quotes: \"{}\"", shown(&text[start..end]));
    mistake("comment-in-word", start, end, message, &help)
}

/// A word that must stand in quotes, or `None` when it may stand as it is.
pub(crate) fn word(text: &str, start: usize, end: usize) -> Option<Mistake> {
    let word = &text[start..end];
    if let "true" | "false" | "null" | "inf" | "-inf" | "nan" = word {
        let help = format!("KDL 2 writes `#{word}`; a text needs quotes: \"{word}\"");
        return Some(mistake("keyword", start, end, format!("`{word}` needs a `#` before it"), &help));
    }
    if number::looks_like_number(word) {
        return match number::check(word) {
            Ok(()) => None,
            Err(NotANumber::TooLarge) => Some(mistake(
                "number-too-large",
                start,
                end,
                format!("the number `{}` is too large", shown(word)),
                "write it in quotes if its digits are meant",
            )),
            Err(NotANumber::Word) => Some(bare(text, start, end)),
        };
    }
    if word.starts_with('\'') {
        let help = "KDL has double quotes only; `#\"…\"#` holds both kinds";
        return Some(mistake("single-quotes", start, end, "a string does not begin with `'`", help));
    }
    if let Some(before) = word.strip_suffix(',') {
        let help = format!("write `{}` and a space", shown(before));
        return Some(mistake("comma", end - 1, end, "values are not parted by commas", &help));
    }
    None
}

/// `20m`, `~/.cargo`, `failure()`.
pub(crate) fn bare(text: &str, start: usize, end: usize) -> Mistake {
    let written = shown(&text[start..end]);
    let help = format!("write \"{}\"", written.replace('\\', "\\\\").replace('"', "\\\""));
    mistake("bare-word", start, end, format!("`{written}` needs quotes"), &help)
}

/// Something that follows a value without a space.
pub(crate) fn glued(text: &str, start: usize, at: usize) -> Mistake {
    let before = &text[start..at];
    if before == "r" {
        let help = "KDL 2 writes a raw string as `#\"…\"#`, without `r`";
        return mistake("raw-string", start, at, "`r` before a string is of KDL 1", help);
    }
    let length = text[at..].chars().next().map_or(0, char::len_utf8);
    let found = &text[at..at + length];
    let help = match found {
        "," => "values are parted by spaces, not by commas",
        _ => "put a space between them",
    };
    mistake("missing-space", at, at + length, format!("`{}` follows a value without a space", shown(found)), help)
}

pub(crate) fn list(start: usize, end: usize) -> Mistake {
    let help = "write the values one after another: `needs \"fmt\" \"lint\"`";
    mistake("list", start, end, "KDL has no lists in `[ ]`", help)
}

pub(crate) fn bad_hash(text: &str, start: usize, end: usize) -> Mistake {
    let message = format!("`{}` is no keyword", shown(&text[start..end]));
    let help = "the keywords are `#true`, `#false`, `#null`; a comment begins with `//`; a text with `#` needs quotes";
    mistake("bad-keyword", start, end, message, help)
}

pub(crate) fn unexpected(text: &str, start: usize, end: usize, expected: &str) -> Mistake {
    let message = format!("`{}` cannot stand here", shown(&text[start..end]));
    mistake("unexpected", start, end, message, expected)
}

pub(crate) fn unclosed_block(start: usize) -> Mistake {
    mistake("unclosed-block", start, start + 1, "the block is not closed", "its `}` is missing")
}

pub(crate) fn unmatched_close(start: usize) -> Mistake {
    mistake("unmatched-close", start, start + 1, "this `}` closes no block", "take it away, or find the missing `{`")
}

/// Where a string that goes on over a line end was probably meant to end. `None` when the next quotes rather begin
/// another string.
pub(crate) fn end_of_broken_string(text: &str, newline: usize, hashes: usize) -> Option<usize> {
    /// Farther than this nobody meant one string.
    const FARTHEST: usize = 4000;
    let window = &text.as_bytes()[newline..text.len().min(newline + FARTHEST)];
    let at = newline + memchr::memchr(b'"', window)?;
    let opens = text[..at].ends_with([' ', '=', '\t', '(', '#']) && !text[at + 1..].starts_with(['\n', ' ', ';', '\r']);
    if opens {
        return None;
    }
    let hashes = text[at + 1..].bytes().take(hashes).take_while(|b| *b == b'#').count();
    Some(at + 1 + hashes)
}
