//! Escapes in quoted strings.

use super::unicode::{is_newline, is_space};

/// What a backslash stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escape {
    /// A character.
    Char(char),
    /// Nothing: it swallows the white space and line ends after it.
    Nothing,
    /// It is no escape.
    Bad,
}

/// Reads the escape that the text begins with, and says how many bytes it takes.
pub(crate) fn read(text: &str) -> (Escape, usize) {
    let mut chars = text.chars();
    debug_assert_eq!(chars.next(), Some('\\'));
    let Some(second) = text.get(1..).and_then(|rest| rest.chars().next()) else { return (Escape::Bad, 1) };
    let plain = match second {
        '\\' | '"' => second,
        'b' => '\u{8}',
        'f' => '\u{C}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        's' => ' ',
        'u' => return unicode(text),
        c if is_space(c) || is_newline(c) => {
            let rest = text[1..].trim_start_matches(|c| is_space(c) || is_newline(c));
            return (Escape::Nothing, text.len() - rest.len());
        }
        c => return (Escape::Bad, 1 + c.len_utf8()),
    };
    (Escape::Char(plain), 2)
}

/// `\u{1F600}`
fn unicode(text: &str) -> (Escape, usize) {
    let Some(digits) = text.strip_prefix("\\u{") else { return (Escape::Bad, 2) };
    let count = digits.bytes().take(7).take_while(u8::is_ascii_hexdigit).count();
    let scalar = u32::from_str_radix(&digits[..count], 16).ok().and_then(char::from_u32);
    match scalar {
        Some(c) if count <= 6 && digits[count..].starts_with('}') => (Escape::Char(c), 3 + count + 1),
        _ => (Escape::Bad, 3 + count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(read(r"\nx"), (Escape::Char('\n'), 2));
        assert_eq!(read(r"\u{1F600}x"), (Escape::Char('😀'), 9));
        assert_eq!(read("\\  \n  x"), (Escape::Nothing, 6));
        for bad in [r"\d", r"\$HOME", r"\", r"\u{}", r"\u{1234567}", r"\u{D800}", r"\u12", r"\/", r"\ü"] {
            assert_eq!(read(bad).0, Escape::Bad, "{bad}");
            assert!(bad.is_char_boundary(read(bad).1));
        }
    }
}
