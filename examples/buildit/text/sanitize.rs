//! What a job prints, a file says or git knows is not to be trusted with a terminal: it could move the cursor, set the
//! title or write to the clipboard. Colours of a job are harmless and pass where they are wanted; all other controls go.

use std::borrow::Cow;

/// What may stay of the controls in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Colours and weights (SGR).
    Colours,
    /// Nothing.
    Nothing,
}

/// The text without controls but those that may stay. Tabs always stay.
pub(crate) fn sanitize(text: &str, keep: Keep) -> Cow<'_, str> {
    if !text.chars().any(|character| character.is_control() && character != '\t') {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|character: char| character.is_control() && character != '\t') {
        clean.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = control_length(rest);
        if keep == Keep::Colours && is_sgr(&rest[..length]) {
            clean.push_str(&rest[..length]);
        }
        rest = &rest[length..];
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// Text that was not written here, as it stands in a line for people: a name, a branch, a message. It has no controls,
/// and blanks for its line breaks and tabs.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    match text.contains(['\n', '\r', '\t']) {
        true => sanitize(&text.replace(['\n', '\r', '\t'], " "), Keep::Nothing).into_owned().into(),
        false => sanitize(text, Keep::Nothing),
    }
}

/// What is to be seen of a line on which a progress bar was redrawn: what was drawn last.
pub(crate) fn visible_line(text: &str) -> &str {
    text.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default()
}

/// The length of the control sequence that `text` begins with; at least one character.
fn control_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.get(1)) {
        // A control sequence ends with its first byte of 0x40 to 0x7e.
        (Some(0x1b), Some(b'[')) => {
            bytes[2..].iter().position(|byte| (0x40..=0x7e).contains(byte)).map_or(bytes.len(), |end| end + 3)
        }
        // A string (title, link, clipboard) ends with BEL or with ESC and a backslash.
        (Some(0x1b), Some(b']' | b'P' | b'X' | b'^' | b'_')) => {
            let bell = text.find('\u{7}').map(|at| at + 1);
            let terminator = text.find("\u{1b}\\").map(|at| at + 2);
            bell.into_iter().chain(terminator).min().unwrap_or(bytes.len())
        }
        (Some(0x1b), Some(second)) if second.is_ascii() => 2,
        _ => text.chars().next().map_or(0, char::len_utf8),
    }
}

fn is_sgr(sequence: &str) -> bool {
    sequence
        .strip_prefix("\u{1b}[")
        .and_then(|rest| rest.strip_suffix('m'))
        .is_some_and(|parameters| parameters.bytes().all(|byte| byte.is_ascii_digit() || byte == b';' || byte == b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_pass_and_only_where_wanted() {
        let text = "a\u{1b}[31mred\u{1b}[0m\u{1b}[2J\u{1b}]0;title\u{7}b\u{1b}]52;c;eA==\u{1b}\\c\u{8}\td\u{9b}e";
        assert_eq!(sanitize(text, Keep::Colours), "a\u{1b}[31mred\u{1b}[0mbc\tde");
        assert_eq!(sanitize(text, Keep::Nothing), "aredbc\tde");
    }

    #[test]
    fn a_sequence_that_is_cut_off_does_not_survive() {
        for text in ["x\u{1b}", "x\u{1b}[", "x\u{1b}[31", "x\u{1b}]0;t", "x\u{1b}ü"] {
            assert!(!sanitize(text, Keep::Colours).contains('\u{1b}'), "{text:?}");
        }
    }

    #[test]
    fn text_from_elsewhere_is_one_line_without_controls() {
        assert_eq!(clean("evil\u{1b}]0;PWNED\u{7}\u{1b}[2J\u{1b}[31m\u{9b}2J one\ntwo\tthree"), "evil2J one two three");
        assert!(matches!(clean("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn the_last_drawing_of_a_line_is_seen() {
        assert_eq!(visible_line("10%\r20%\r30%\r"), "30%");
        assert_eq!(visible_line("plain"), "plain");
    }
}
