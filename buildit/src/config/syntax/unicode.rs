//! The classes of characters of KDL 2.

/// White space within a line.
pub(crate) fn is_space(c: char) -> bool {
    matches!(c, '\t' | ' ' | '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}')
}

/// What ends a line; `\r\n` counts as one.
pub(crate) fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{B}' | '\u{C}' | '\u{2028}' | '\u{2029}')
}

/// What may stand nowhere but in comments: control characters and those that turn the direction of writing.
pub(crate) fn is_disallowed(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{E}'..='\u{1F}' | '\u{7F}' | '\u{200E}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// What may stand in a word without quotes.
pub(crate) fn is_word(c: char) -> bool {
    if c.is_ascii() {
        return c > ' '
            && !matches!(c, '\\' | '/' | '(' | ')' | '{' | '}' | '[' | ']' | ';' | '"' | '#' | '=' | '\u{7F}');
    }
    !is_space(c) && !is_newline(c) && !is_disallowed(c)
}

/// The length of the line end that the text begins with; 0 if there is none.
pub(crate) fn newline_len(text: &str) -> usize {
    if text.starts_with("\r\n") {
        return 2;
    }
    text.chars().next().filter(|c| is_newline(*c)).map_or(0, char::len_utf8)
}

/// The bytes of white space within a line that the text begins with.
pub(crate) fn space_len(text: &str) -> usize {
    text.len() - text.trim_start_matches(is_space).len()
}
