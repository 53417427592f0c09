//! Strings in quotes: where they end, what is wrong with them, and which byte of the text each byte of the value is.

use super::Mistake;
use super::escape::{self, Escape};
use super::hints;
use super::unicode::{is_disallowed, is_newline, newline_len, space_len};

/// How a string is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    /// How many `#` stand before and after it; with one or more it is raw.
    hashes: usize,
    multiline: bool,
}

/// Reads the form of the string that the text begins with, if it begins with one.
fn form(text: &str) -> Option<Form> {
    let hashes = text.bytes().take_while(|b| *b == b'#').count();
    let rest = &text[hashes..];
    if !rest.starts_with('"') {
        return None;
    }
    // A raw `"""` that no line end follows is one quote and a text that begins with two.
    let multiline = rest.starts_with("\"\"\"") && (hashes == 0 || newline_len(&rest[3..]) > 0);
    Some(Form { hashes, multiline })
}

/// Finds the end of the string that begins at `start`, and reports what is wrong with it.
pub(crate) fn scan(text: &str, start: usize, out: &mut Vec<Mistake>) -> Option<usize> {
    let form = form(&text[start..])?;
    Some(match form.multiline {
        false => scan_line(text, start, form, out),
        true => scan_lines(text, start, form, out),
    })
}

/// Whether the string is closed here: by quotes and as many `#` as opened it.
fn closes(rest: &str, form: Form) -> Option<usize> {
    let quotes = if form.multiline { 3 } else { 1 };
    let after = rest.strip_prefix(if form.multiline { "\"\"\"" } else { "\"" })?;
    let hashes = after.bytes().take(form.hashes).take_while(|b| *b == b'#').count();
    (hashes == form.hashes).then_some(quotes + hashes)
}

fn scan_line(text: &str, start: usize, form: Form, out: &mut Vec<Mistake>) -> usize {
    let mut at = start + form.hashes + 1;
    while let Some(c) = text[at..].chars().next() {
        if let Some(length) = closes(&text[at..], form) {
            if form.hashes > 0 && &text[start + form.hashes + 1..at] == "\"" {
                out.push(hints::raw_quote(start, at + length));
            }
            return at + length;
        }
        if is_newline(c) {
            let end = hints::end_of_broken_string(text, at, form.hashes).unwrap_or(at);
            out.push(hints::newline_in_string(start, at));
            return end;
        }
        at += step(text, at, c, form, out);
    }
    out.push(hints::unclosed_string(start, text.len()));
    text.len()
}

/// The bytes of the next character or escape.
fn step(text: &str, at: usize, c: char, form: Form, out: &mut Vec<Mistake>) -> usize {
    if c == '\\' && form.hashes == 0 {
        let (escape, length) = escape::read(&text[at..]);
        if escape == Escape::Bad {
            out.push(hints::bad_escape(text, at, at + length));
        }
        return length;
    }
    if is_disallowed(c) {
        out.push(hints::disallowed(c, at));
    }
    c.len_utf8()
}

fn scan_lines(text: &str, start: usize, form: Form, out: &mut Vec<Mistake>) -> usize {
    let opened = start + form.hashes + 3;
    let newline = newline_len(&text[opened..]);
    if newline == 0 {
        return scan_glued(text, start, opened, out);
    }
    let mut lines = vec![opened + newline];
    let mut at = opened + newline;
    loop {
        if let Some((prefix, end)) = closing_line(text, at, form) {
            lines.pop();
            check_indent(text, &lines, prefix, form, out);
            return end;
        }
        // The rest of the line.
        loop {
            let Some(c) = text[at..].chars().next() else {
                out.push(hints::unclosed_string(start, text.len()));
                return text.len();
            };
            if let Some(length) = closes(&text[at..], form) {
                out.push(hints::quotes_in_line(at, at + length));
                return at + length;
            }
            let newline = newline_len(&text[at..]);
            if newline > 0 {
                at += newline;
                lines.push(at);
                break;
            }
            at += step(text, at, c, form, out);
        }
    }
}

/// `"""x`: the opening quotes must end their line.
fn scan_glued(text: &str, start: usize, opened: usize, out: &mut Vec<Mistake>) -> usize {
    out.push(hints::text_after_quotes(start, opened));
    text[opened..].find("\"\"\"").map_or(text.len(), |at| opened + at + 3)
}

/// Whether the line that begins here closes the string: its indent, and where the string ends.
fn closing_line(text: &str, line: usize, form: Form) -> Option<(&str, usize)> {
    let mut at = line + space_len(&text[line..]);
    let prefix = &text[line..at];
    while form.hashes == 0 && text[at..].starts_with('\\') {
        let (Escape::Nothing, length) = escape::read(&text[at..]) else { return None };
        at += length;
    }
    closes(&text[at..], form).map(|length| (prefix, at + length))
}

/// Each line must begin with the indent of the closing quotes, or be blank.
fn check_indent(text: &str, lines: &[usize], prefix: &str, form: Form, out: &mut Vec<Mistake>) {
    for line in lines {
        let rest = &text[*line..];
        if !rest.starts_with(prefix) && !is_blank(rest, form) {
            let indent = space_len(rest);
            out.push(hints::bad_indent(*line, *line + indent.max(1)));
            // One is enough: the others are likely of the same kind.
            return;
        }
    }
}

/// Whether nothing but white space is left of the line.
fn is_blank(line: &str, form: Form) -> bool {
    let mut at = space_len(line);
    while form.hashes == 0 && line[at..].starts_with('\\') {
        let (Escape::Nothing, length) = escape::read(&line[at..]) else { return false };
        at += length;
    }
    newline_len(&line[at..]) > 0
}

/// The value of a valid string or bare word with, for each of its bytes, the byte of the written text that it comes
/// from; one more entry tells where the value ends.
pub(crate) fn decode(written: &str) -> (String, Vec<u32>) {
    let mut value = Value::default();
    // KDL 1 writes `r` before a raw string; no bare word holds quotes.
    if written.starts_with("r\"") || written.starts_with("r#") {
        let hashes = written[1..].bytes().take_while(|b| *b == b'#').count();
        let end = written.len().saturating_sub(hashes + 1).max(hashes + 2);
        value.copy(written, hashes + 2, end.min(written.len()));
        value.places.push(end as u32);
        return (value.text, value.places);
    }
    match form(written) {
        None => value.copy(written, 0, written.len()),
        Some(form) if form.multiline => decode_lines(written, form, &mut value),
        Some(form) => {
            let quote = form.hashes + 1;
            let end = written.len().saturating_sub(quote).max(quote.min(written.len()));
            value.copy_escaped(written, quote, end, form);
        }
    }
    let end = value.end.unwrap_or(written.len());
    value.places.push(end as u32);
    (value.text, value.places)
}

fn decode_lines(written: &str, form: Form, value: &mut Value) {
    let body = form.hashes + 3;
    let mut at = body + newline_len(&written[body..]);
    let mut prefix = "";
    let mut lines = vec![];
    // First the lines, to know the closing one and its indent.
    while at < written.len() {
        if let Some((indent, _)) = closing_line(written, at, form) {
            prefix = indent;
            break;
        }
        let start = at;
        let mut end = at;
        while let Some(c) = written[end..].chars().next() {
            if newline_len(&written[end..]) > 0 {
                break;
            }
            end += if c == '\\' && form.hashes == 0 { escape::read(&written[end..]).1 } else { c.len_utf8() };
        }
        lines.push((start, end));
        at = end + newline_len(&written[end..]);
        if at == end {
            break;
        }
    }
    for (index, (start, end)) in lines.iter().enumerate() {
        if index > 0 {
            value.push("\n", lines[index - 1].1);
        }
        if !is_blank(&written[*start..], form) {
            let indent = if written[*start..].starts_with(prefix) { prefix.len() } else { 0 };
            value.copy_escaped(written, start + indent, *end, form);
        }
        value.end = Some(*end);
    }
}

/// A value as it grows.
#[derive(Default)]
struct Value {
    text: String,
    places: Vec<u32>,
    end: Option<usize>,
}

impl Value {
    /// Adds characters that all come from one place.
    fn push(&mut self, text: &str, from: usize) {
        self.text.push_str(text);
        self.places.extend(std::iter::repeat_n(from as u32, text.len()));
    }

    /// Adds bytes as they are.
    fn copy(&mut self, written: &str, start: usize, end: usize) {
        self.text.push_str(&written[start..end]);
        self.places.extend((start..end).map(|at| at as u32));
        self.end = Some(end);
    }

    /// Adds bytes, with escapes read unless the string is raw.
    fn copy_escaped(&mut self, written: &str, start: usize, end: usize, form: Form) {
        let mut at = start;
        while at < end {
            let next = match form.hashes {
                0 => memchr::memchr(b'\\', &written.as_bytes()[at..end]).map_or(end, |found| at + found),
                _ => end,
            };
            self.copy(written, at, next);
            at = next;
            if at < end {
                let (escape, length) = escape::read(&written[at..]);
                if let Escape::Char(c) = escape {
                    self.push(c.encode_utf8(&mut [0; 4]), at);
                }
                at += length;
            }
        }
        self.end = Some(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the KDL parser makes of it.
    fn kdl(written: &str) -> String {
        let document = kdl::KdlDocument::parse_v2(&format!("n {written}")).unwrap();
        document.nodes()[0].entries()[0].value().as_string().unwrap().to_owned()
    }

    #[test]
    fn values_are_those_of_the_parser() {
        let written = [
            r#""""#,
            r#""plain""#,
            r#""a\tb\u{1F600}\s\\\"c""#,
            "\"a\\   \n  b\"",
            r##"#"raw "x" \n"#"##,
            r###"##"raw "# x"##"###,
            "word",
            "\"\"\"\n    one\n      two\\n\n\n    three \"x\"\n    \"\"\"",
            "#\"\"\"\n  raw \\n\n\n  x\n  \"\"\"#",
            "\"\"\"\n\"\"\"",
            "\"\"\"\n\n\"\"\"",
            "\"\"\"\r\n  a\r\n  b\\\r\n     c\r\n  \"\"\"",
            "\"\"\"\n  a\n  \\\n  \"\"\"",
        ];
        for written in written {
            let mut mistakes = Vec::new();
            if written.contains('"') {
                assert_eq!(scan(written, 0, &mut mistakes), Some(written.len()), "{written}");
            }
            assert_eq!(mistakes, [], "{written}");
            let (value, places) = decode(written);
            assert_eq!(value, kdl(written), "{written}");
            assert_eq!(places.len(), value.len() + 1, "{written}");
            assert!(places.is_sorted(), "{written}");
        }
    }

    #[test]
    fn places_lead_back_to_the_text() {
        let written = "\"\"\"\n    é\\tx\n    needle\n    \"\"\"";
        let (value, places) = decode(written);
        let at = value.find("needle").unwrap();
        assert_eq!(&written[places[at] as usize..places[at + 6] as usize], "needle");
    }
}
