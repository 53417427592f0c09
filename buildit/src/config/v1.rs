//! Texts of KDL 1, which the KDL library reads too: behind the feature `kdl-v1`.

use std::ops::Range;

use kdl::KdlDocument;

use super::syntax::blank;

/// With parts that are commented out by `/-` the parser's time doubles with each level.
const DEEPEST_WITH_SLASHDASH: usize = 8;

/// Parses a text of KDL 1; `None` when it is none, or one that the parser cannot bear.
pub(crate) fn parse(text: &str, depth: usize) -> Option<KdlDocument> {
    let scan = Scan::of(text, depth)?;
    let limit = if scan.slashdash { DEEPEST_WITH_SLASHDASH } else { depth };
    if scan.deepest > limit {
        return None;
    }
    KdlDocument::parse_v1(&blank::blanked(text, &scan.comments)).ok()
}

/// What matters of a text for the parser's stack and time.
#[derive(Debug, Default)]
struct Scan {
    comments: Vec<Range<usize>>,
    deepest: usize,
    slashdash: bool,
}

impl Scan {
    /// `None` when a string, a comment or a block is not closed.
    fn of(text: &str, depth: usize) -> Option<Self> {
        let bytes = text.as_bytes();
        let mut scan = Self::default();
        let (mut at, mut open) = (0, 0_usize);
        while at < bytes.len() {
            let rest = &bytes[at..];
            at += match rest {
                [b'"', ..] => quoted(rest)?,
                [b'r', b'"' | b'#', ..] if !follows_word(bytes, at) => raw(rest).unwrap_or(1),
                [b'/', b'/', ..] => memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len()),
                [b'/', b'*', ..] => {
                    let length = comment(rest, depth)?;
                    scan.comments.push(at..at + length);
                    length
                }
                [b'/', b'-', ..] => {
                    scan.slashdash = true;
                    2
                }
                [b'{', ..] => {
                    open += 1;
                    scan.deepest = scan.deepest.max(open);
                    1
                }
                [b'}', ..] => {
                    open = open.checked_sub(1)?;
                    1
                }
                _ => 1,
            };
        }
        (open == 0).then_some(scan)
    }
}

fn follows_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || matches!(bytes[at - 1], b'_' | b'-'))
}

/// The length of a string in quotes, over any number of lines.
fn quoted(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The length of `r"…"` or `r#"…"#`.
fn raw(bytes: &[u8]) -> Option<usize> {
    let hashes = bytes[1..].iter().take_while(|b| **b == b'#').count();
    if bytes.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let mut at = 2 + hashes;
    loop {
        at += memchr::memchr(b'"', bytes.get(at..)?)? + 1;
        if bytes[at..].iter().take(hashes).take_while(|b| **b == b'#').count() == hashes {
            return Some(at + hashes);
        }
    }
}

/// The length of a comment that may hold others.
fn comment(bytes: &[u8], limit: usize) -> Option<usize> {
    let (mut at, mut depth) = (0, 0);
    loop {
        at += memchr::memchr2(b'/', b'*', bytes.get(at..)?)?;
        match bytes.get(at..at + 2) {
            Some(b"/*") => depth += 1,
            Some(b"*/") => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return Some(at);
        }
        if depth > limit {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_first_version_are_read() {
        let text = "a true null r\"x\\\" /* ** { */ \"two\nlines\" {\n b r#\"}\"#\n}";
        let document = parse(text, 64).unwrap();
        assert_eq!(document.nodes()[0].entries().len(), 4);
        assert_eq!(document.nodes()[0].children().unwrap().nodes().len(), 1);
    }

    #[test]
    fn deep_texts_are_refused() {
        let deep = |n: usize, node: &str| format!("{}{}", node.repeat(n), "}\n".repeat(n));
        assert!(parse(&deep(64, "a {\n"), 64).is_some());
        assert!(parse(&deep(65, "a {\n"), 64).is_none());
        assert!(parse(&deep(60, "/-a {\n"), 64).is_none());
        assert!(parse(&"/*".repeat(1000), 64).is_none());
        assert!(parse(&format!("a /* {} */", "*".repeat(100_000)), 64).is_some());
    }
}
