//! Prints tokens with canonical white space.

use super::super::syntax::lexer::{Kind, Lexer, Token};
use super::multiline;

const INDENT: usize = 4;

/// Prints a well-formed text.
pub(crate) fn print(text: &str, depth: usize) -> String {
    let tokens: Vec<Token> = Lexer::new(text, depth).filter(|token| token.kind != Kind::Space).collect();
    let one_line = one_line_blocks(&tokens);
    let mut printer = Printer { text, out: String::with_capacity(text.len() + 64), ..Printer::default() };
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1).map(|next| next.kind);
        printer.token(*token, next, one_line[index]);
    }
    printer.break_line();
    printer.out
}

/// For each `{` whether its block stands on one line.
fn one_line_blocks(tokens: &[Token]) -> Vec<bool> {
    let mut one_line = vec![false; tokens.len()];
    let mut open: Vec<(usize, bool)> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Open => open.push((index, true)),
            Kind::Close => {
                if let Some((start, is_one_line)) = open.pop() {
                    one_line[start] = is_one_line;
                    // A block around one of several lines has several lines.
                    if let Some((_, outer)) = open.last_mut().filter(|_| !is_one_line) {
                        *outer = false;
                    }
                }
            }
            Kind::Newline | Kind::LineComment | Kind::LineJoin => {
                if let Some((_, is_one_line)) = open.last_mut() {
                    *is_one_line = false;
                }
            }
            _ => {}
        }
    }
    one_line
}

/// What stands before the next token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Before {
    /// The beginning of a line.
    #[default]
    Line,
    /// Something that the next token follows directly: `=`, `/-`, `(`.
    Tight,
    /// Anything else.
    Space,
}

#[derive(Debug, Default)]
struct Printer<'a> {
    text: &'a str,
    out: String,
    /// For each open block whether it stands on one line.
    blocks: Vec<bool>,
    before: Before,
    /// A `;` was read and nothing after it yet.
    separator: bool,
    /// Line ends since the last token; two make a blank line.
    newlines: usize,
    /// Whether the last solid token was `/-`, whose line ends mean nothing.
    after_slashdash: bool,
    /// Whether the line goes on from the one before it, by `\` or after a comment behind `/-`.
    continued: bool,
}

impl Printer<'_> {
    fn token(&mut self, token: Token, next: Option<Kind>, opens_one_line: bool) {
        let text = &self.text[token.start..token.end];
        match token.kind {
            Kind::Newline => self.newline(),
            Kind::Semicolon => self.separator = true,
            Kind::LineComment => self.line_comment(text.trim_end()),
            Kind::LineJoin => self.line_join(text, next),
            Kind::Open => {
                self.put("{");
                self.blocks.push(opens_one_line);
                if !opens_one_line && next != Some(Kind::LineComment) {
                    self.break_line();
                }
                self.newlines = 0;
            }
            Kind::Close => self.close(),
            Kind::Equals => {
                self.before = Before::Tight;
                self.put("=");
                self.before = Before::Tight;
            }
            Kind::Slashdash | Kind::TypeOpen => {
                self.put(text);
                self.before = Before::Tight;
            }
            Kind::TypeClose => {
                self.before = Before::Tight;
                self.put(text);
                self.before = Before::Tight;
            }
            Kind::Quoted if text.contains("\"\"\"\n") || text.contains("\"\"\"\r") => {
                let moved = multiline::moved(text, self.indent() + INDENT);
                self.put(&moved);
            }
            _ => self.put(text),
        }
        self.after_slashdash = token.kind == Kind::Slashdash
            || (self.after_slashdash
                && matches!(token.kind, Kind::Newline | Kind::LineComment | Kind::BlockComment | Kind::LineJoin));
    }

    fn indent(&self) -> usize {
        self.blocks.iter().filter(|one_line| !**one_line).count() * INDENT
    }

    fn in_one_line(&self) -> bool {
        self.blocks.last().copied().unwrap_or(false)
    }

    /// Prints a token with what belongs before it.
    fn put(&mut self, text: &str) {
        if std::mem::take(&mut self.separator) {
            if self.in_one_line() {
                self.out.push(';');
                self.before = Before::Space;
            } else if std::mem::take(&mut self.continued) {
                self.out.push('\n');
            } else {
                self.break_line();
            }
        }
        match self.before {
            Before::Line => {
                // No blank line at the beginning of the text or of a block.
                if self.newlines > 1 && !self.out.is_empty() && !self.continued && !self.out.ends_with("{\n") {
                    self.out.push('\n');
                }
                let indent = self.indent() + if self.continued { INDENT } else { 0 };
                self.out.extend(std::iter::repeat_n(' ', indent));
            }
            Before::Tight => {}
            Before::Space => self.out.push(' '),
        }
        self.continued = false;
        self.newlines = 0;
        self.out.push_str(text);
        self.before = Before::Space;
    }

    fn break_line(&mut self) {
        if self.before != Before::Line {
            self.out.push('\n');
            self.before = Before::Line;
            self.newlines = 1;
        }
    }

    fn newline(&mut self) {
        if self.after_slashdash {
            return;
        }
        self.separator = false;
        if std::mem::take(&mut self.continued) {
            // The line that goes on ends empty, and its node with it.
            self.out.push('\n');
            self.newlines = 1;
        } else if self.before == Before::Line {
            self.newlines += 1;
        } else {
            self.break_line();
        }
    }

    fn line_comment(&mut self, text: &str) {
        // A comment after `a;` belongs to `a`.
        self.separator = false;
        let block_began = self.before != Before::Line;
        if self.before == Before::Tight {
            self.before = Before::Space;
        }
        let continues = self.after_slashdash;
        self.put(text);
        self.out.push('\n');
        self.before = Before::Line;
        self.newlines = usize::from(block_began && !continues);
        self.continued = continues;
        self.newlines = 0;
    }

    fn line_join(&mut self, text: &str, next: Option<Kind>) {
        let comment = text.trim_end().strip_prefix('\\').map_or("", str::trim);
        let ends = matches!(next, None | Some(Kind::Newline | Kind::Semicolon | Kind::Close | Kind::LineJoin));
        let useless = self.before != Before::Space || ends || self.separator;
        if comment.is_empty() && useless {
            return;
        }
        if self.before == Before::Tight {
            self.before = Before::Space;
        }
        self.put("\\");
        if !comment.is_empty() {
            self.out.push(' ');
            self.out.push_str(comment);
        }
        self.out.push('\n');
        self.before = Before::Line;
        self.continued = true;
    }

    fn close(&mut self) {
        self.separator = false;
        let one_line = self.blocks.pop().unwrap_or(false);
        if !one_line {
            self.break_line();
            self.newlines = 0;
        }
        self.continued = false;
        self.put("}");
    }
}
