//! The tokens of a text, in one flat loop.

use super::unicode::{is_disallowed, is_newline, is_space, is_word, newline_len, space_len};
use super::{Mistake, hints, number, strings};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// White space within a line; the byte order mark too.
    Space,
    Newline,
    /// `// …`, without its line end.
    LineComment,
    /// `/* … */`
    BlockComment,
    /// `/-`
    Slashdash,
    /// A backslash with the line end that it takes away, and a comment between them.
    LineJoin,
    Open,
    Close,
    TypeOpen,
    TypeClose,
    Semicolon,
    Equals,
    /// A bare word.
    Word,
    /// A string in quotes.
    Quoted,
    Number,
    /// `#true`
    Keyword,
    /// A mistake that was told already, and that stands for a value.
    Bad,
}

impl Kind {
    /// Whether it can name a node or a property.
    pub(crate) fn is_name(self) -> bool {
        matches!(self, Self::Word | Self::Quoted | Self::Bad)
    }

    pub(crate) fn is_value(self) -> bool {
        self.is_name() || matches!(self, Self::Number | Self::Keyword)
    }

    /// Whether it parts values on one line.
    pub(crate) fn is_space(self) -> bool {
        matches!(self, Self::Space | Self::BlockComment | Self::LineJoin)
    }
}

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Reads tokens. They cover the text without a gap.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// How deep comments may nest.
    depth: usize,
    pub(crate) mistakes: Vec<Mistake>,
    /// A limit was met: the rest is not looked at.
    pub(crate) stopped: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str, depth: usize) -> Self {
        Self { text, at: 0, depth, mistakes: Vec::new(), stopped: false }
    }

    fn token(&mut self, kind: Kind, length: usize) -> Token {
        let start = self.at;
        self.at += length;
        Token { kind, start, end: self.at }
    }

    fn slash(&mut self, rest: &str) -> Token {
        match rest.as_bytes().get(1) {
            Some(b'/') => {
                let length = rest.find(is_newline).unwrap_or(rest.len());
                self.token(Kind::LineComment, length)
            }
            Some(b'*') => {
                let length = self.block_comment(rest);
                self.token(Kind::BlockComment, length)
            }
            Some(b'-') => self.token(Kind::Slashdash, 2),
            _ => self.bad_word(),
        }
    }

    /// The length of a comment, which may hold others.
    fn block_comment(&mut self, rest: &str) -> usize {
        let bytes = rest.as_bytes();
        let (mut depth, mut at) = (0, 0);
        loop {
            match memchr::memchr2(b'/', b'*', &bytes[at..]) {
                None => {
                    self.mistakes.push(hints::unclosed_comment(self.at));
                    return rest.len();
                }
                Some(found) => at += found,
            }
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
                return at;
            }
            if depth > self.depth {
                self.mistakes.push(hints::too_deep(self.at + at - 2, self.depth));
                self.stopped = true;
                return rest.len();
            }
        }
    }

    /// `\`, white space and comments, and the line end.
    fn line_join(&mut self, rest: &str) -> Token {
        let mut length = 1;
        loop {
            let space = space_len(&rest[length..]);
            length += space;
            if rest[length..].starts_with("/*") {
                let start = self.at;
                self.at += length;
                length += self.block_comment(&rest[length..]);
                self.at = start;
            } else if space == 0 {
                break;
            }
        }
        if rest[length..].starts_with("//") {
            length += rest[length..].find(is_newline).unwrap_or(rest.len() - length);
        }
        let newline = newline_len(&rest[length..]);
        if newline == 0 && length < rest.len() {
            return self.bad_word();
        }
        self.token(Kind::LineJoin, length + newline)
    }

    fn hash(&mut self, rest: &str) -> Token {
        let length = rest[1..].find(|c| !is_word(c)).map_or(rest.len(), |at| at + 1);
        if let "#true" | "#false" | "#null" | "#inf" | "#-inf" | "#nan" = &rest[..length] {
            let token = self.token(Kind::Keyword, length);
            return self.ends_well(token);
        }
        let length = length.max(rest.bytes().take_while(|b| *b == b'#').count());
        let end = self.at + length;
        self.mistakes.push(hints::bad_hash(self.text, self.at, end));
        self.token(Kind::Bad, length)
    }

    fn quoted(&mut self) -> Option<Token> {
        let before = self.mistakes.len();
        let end = strings::scan(self.text, self.at, &mut self.mistakes)?;
        let token = self.token(Kind::Quoted, end - self.at);
        Some(if self.mistakes.len() == before { self.ends_well(token) } else { token })
    }

    /// Reports what follows a value without a space between them, and counts it to the value.
    fn ends_well(&mut self, token: Token) -> Token {
        let rest = &self.text[self.at..];
        let Some(next) = rest.chars().next() else { return token };
        let fine = is_space(next)
            || is_newline(next)
            || matches!(next, ';' | '{' | '}' | ')' | '=')
            || (next == '/' && matches!(rest.as_bytes().get(1), Some(b'/' | b'*')))
            || joins_line(rest);
        if fine {
            return token;
        }
        self.mistakes.push(hints::glued(self.text, token.start, self.at));
        if next == ',' {
            self.at += 1;
        } else if !matches!(next, '"' | '#') {
            self.at += word_end(rest);
        }
        Token { end: self.at, ..token }
    }

    fn word(&mut self, rest: &str) -> Token {
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (start, end) = (self.at, self.at + length);
        let word = &rest[..length];
        let after = &rest.as_bytes()[length..];
        match after {
            // `a/* why */` is a comment; `src/**` and `https://x` are words that should have quotes.
            [b'/', b'*', b' ' | b'\n', ..] => {}
            [b'/', b'/' | b'*', ..] => {
                let mistake = hints::comment_in_word(self.text, start, end);
                let length = mistake.end - start;
                self.mistakes.push(mistake);
                return self.token(Kind::Bad, length);
            }
            [b'/' | b'(' | b'[' | b'\\' | b'#', ..] if !self.at_value_end(end) => return self.bad_word(),
            [b'{', ..] if word.ends_with('$') => return self.bad_word(),
            [b'"', ..] => {
                self.mistakes.push(hints::glued(self.text, start, end));
                return self.token(Kind::Bad, length);
            }
            _ => {}
        }
        if let Some(c) = rest[length..].chars().next().filter(|c| is_disallowed(*c)) {
            self.mistakes.push(hints::disallowed(c, end));
            return self.token(Kind::Bad, length + c.len_utf8());
        }
        if let Some(mistake) = hints::word(self.text, start, end) {
            self.mistakes.push(mistake);
            return self.token(Kind::Bad, length);
        }
        let kind = if number::looks_like_number(word) { Kind::Number } else { Kind::Word };
        self.token(kind, length)
    }

    /// Whether a raw string or a joined line follows a word: told elsewhere, or fine.
    fn at_value_end(&mut self, end: usize) -> bool {
        let rest = &self.text[end..];
        match rest.as_bytes()[0] {
            b'#' => {
                rest.trim_start_matches('#').starts_with('"') && {
                    self.mistakes.push(hints::glued(self.text, self.at, end));
                    true
                }
            }
            _ => joins_line(rest),
        }
    }

    /// A word that needs quotes, up to the next space.
    fn bad_word(&mut self) -> Token {
        let rest = &self.text[self.at..];
        let length = word_end(rest).max(rest.chars().next().map_or(1, char::len_utf8));
        let end = self.at + length;
        self.mistakes.push(if rest.starts_with('[') {
            hints::list(self.at, end)
        } else {
            hints::bare(self.text, self.at, end)
        });
        self.token(Kind::Bad, length)
    }
}

/// Whether a backslash follows that takes a line end away.
fn joins_line(rest: &str) -> bool {
    rest.strip_prefix('\\').is_some_and(|after| {
        let after = after.trim_start_matches(is_space);
        after.starts_with("//") || after.starts_with("/*") || after.chars().next().is_none_or(is_newline)
    })
}

/// Where a word that should have had quotes ends: at a space, and never within `${…}`, `(…)` or `[…]`.
fn word_end(rest: &str) -> usize {
    let mut open = 0_usize;
    for (at, c) in rest.char_indices() {
        match c {
            c if is_newline(c) => return at,
            '{' if rest[..at].ends_with('$') => open += 1,
            '(' | '[' => open += 1,
            ')' | ']' | '}' if open > 0 => open -= 1,
            _ if open > 0 => {}
            ';' | '{' | '}' | '"' => return at,
            c if is_space(c) => return at,
            _ => {}
        }
    }
    rest.len()
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        if self.stopped {
            return None;
        }
        let rest = &self.text[self.at..];
        let first = rest.chars().next()?;
        Some(match first {
            c if is_space(c) => self.token(Kind::Space, space_len(rest)),
            c if is_newline(c) => self.token(Kind::Newline, newline_len(rest)),
            '\u{FEFF}' if self.at == 0 => self.token(Kind::Space, first.len_utf8()),
            '{' => self.token(Kind::Open, 1),
            '}' => self.token(Kind::Close, 1),
            '(' => self.token(Kind::TypeOpen, 1),
            ')' => self.token(Kind::TypeClose, 1),
            ';' => self.token(Kind::Semicolon, 1),
            '=' => self.token(Kind::Equals, 1),
            '/' => self.slash(rest),
            '\\' => self.line_join(rest),
            '"' => self.quoted()?,
            '#' if rest.trim_start_matches('#').starts_with('"') => self.quoted()?,
            '#' => self.hash(rest),
            '[' | ']' => self.bad_word(),
            c if is_disallowed(c) => {
                self.mistakes.push(hints::disallowed(c, self.at));
                self.token(Kind::Bad, c.len_utf8())
            }
            _ => self.word(rest),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn codes(text: &str) -> Vec<&'static str> {
        let mut lexer = Lexer::new(text, 64);
        while lexer.next().is_some() {}
        lexer.mistakes.iter().map(|mistake| mistake.code).collect()
    }

    #[test]
    fn common_mistakes_are_named() {
        for (text, code) in [
            ("a true", "keyword"),
            ("timeout 20m", "bare-word"),
            ("paths src/**", "comment-in-word"),
            ("paths !docs/** */", "comment-in-word"),
            ("repository https://x/y", "comment-in-word"),
            ("path ~/.cargo", "bare-word"),
            ("when failure()", "bare-word"),
            ("image ${matrix.image}", "bare-word"),
            (r#"run "\$HOME""#, "bad-escape"),
            (r#"run "\d+""#, "bad-escape"),
            ("run \"a\nb\"", "newline-in-string"),
            ("run 'a b'", "single-quotes"),
            ("needs [\"a\", \"b\"]", "list"),
            ("needs a, b", "comma"),
            ("needs \"a\", \"b\"", "missing-space"),
            ("n 1e400", "number-too-large"),
            ("run r\"x\"", "raw-string"),
            ("run \"\"\"x\"\"\"", "text-after-quotes"),
            ("# a comment", "bad-keyword"),
            ("/* open", "unclosed-comment"),
            ("a \"b", "unclosed-string"),
        ] {
            assert_eq!(codes(text).first(), Some(&code), "{text}");
        }
    }

    #[test]
    fn nested_comments_have_a_limit() {
        let deep = |n| format!("{}{}", "/*".repeat(n), "*/".repeat(n));
        assert_eq!(codes(&deep(64)), Vec::<&str>::new());
        assert_eq!(codes(&deep(65)), ["too-deep"]);
    }

    proptest! {
        #[test]
        fn tokens_cover_any_text(text in "[ -~\n\r\t\u{85}ü/*\"#\\\\{}=-]{0,60}") {
            let mut at = 0;
            let mut lexer = Lexer::new(&text, 8);
            for token in lexer.by_ref() {
                prop_assert!(token.start >= at && token.end > token.start);
                at = token.end;
            }
            prop_assert!(lexer.stopped || at == text.len());
        }
    }
}
