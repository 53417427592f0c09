//! The grammar of KDL 2 as a flat loop over tokens: which texts are well formed.

use std::ops::Range;

use super::Mistake;
use super::hints;
use super::lexer::{Kind, Lexer, Token};

/// What the check of a text found.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) mistakes: Vec<Mistake>,
    /// Comments in `/* */` and the parts that `/-` takes away, by their beginnings.
    pub(crate) blanks: Vec<Range<usize>>,
}

/// Where in a node the loop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before a node.
    Node,
    /// After its name or an entry.
    Entries,
    /// After a block that `/-` takes away: only a block may follow.
    BeforeBlock,
    /// After its block.
    AfterBlock,
}

/// A block that is open.
#[derive(Clone, Copy, Debug)]
struct Block {
    brace: usize,
    /// Where the `/-` is that takes the whole node away.
    node_removed: Option<usize>,
    /// Where the `/-` is that takes the block away.
    removed: Option<usize>,
    /// What comes after it.
    then: Place,
}

/// Checks a text whose blocks and comments may nest this deep.
pub(crate) fn check(text: &str, depth: usize) -> Checked {
    let mut check = Check {
        text,
        depth,
        lexer: Lexer::new(text, depth),
        peeked: None,
        found: Checked::default(),
        blocks: Vec::new(),
        place: Place::Node,
        removed: None,
        spaced: true,
        after_bad: false,
    };
    check.run();
    let mut found = check.found;
    found.mistakes.append(&mut check.lexer.mistakes);
    found.mistakes.sort_by_key(|mistake| mistake.start);
    found.blanks.sort_by_key(|range| range.start);
    found
}

struct Check<'a> {
    text: &'a str,
    depth: usize,
    lexer: Lexer<'a>,
    peeked: Option<Token>,
    found: Checked,
    blocks: Vec<Block>,
    place: Place,
    /// Where the `/-` of the node is that is being read.
    removed: Option<usize>,
    /// Whether white space came before what comes now.
    spaced: bool,
    /// Whether a mistake came before it, so that a missing space is no news.
    after_bad: bool,
}

impl Check<'_> {
    fn run(&mut self) {
        while let Some(token) = self.next() {
            match token.kind {
                Kind::Space | Kind::LineJoin | Kind::BlockComment => self.spaced = true,
                Kind::LineComment => {}
                Kind::Newline => self.end_node(token.start),
                Kind::Semicolon if self.place == Place::Node => {
                    self.unexpected(token, "a node stands before each `;`");
                }
                Kind::Semicolon => self.end_node(token.end),
                Kind::Close => self.close(token),
                Kind::Open => {
                    if !self.open(token, None) {
                        return;
                    }
                }
                Kind::Slashdash => {
                    if !self.slashdash(token) {
                        return;
                    }
                }
                _ => self.item(token),
            }
        }
        if !self.lexer.stopped {
            self.end_node(self.text.len());
            for block in std::mem::take(&mut self.blocks) {
                self.found.mistakes.push(hints::unclosed_block(block.brace));
            }
        }
    }

    fn next(&mut self) -> Option<Token> {
        let token = match self.peeked.take() {
            Some(token) => token,
            None => self.lexer.next()?,
        };
        if token.kind == Kind::BlockComment {
            self.found.blanks.push(token.start..token.end);
        }
        Some(token)
    }

    /// The next token after white space, and after line ends too where those do not count.
    fn next_solid(&mut self, lines: bool) -> Option<Token> {
        loop {
            let token = self.next()?;
            let skipped = token.kind.is_space() || (lines && matches!(token.kind, Kind::Newline | Kind::LineComment));
            if !skipped {
                return Some(token);
            }
        }
    }

    fn unexpected(&mut self, token: Token, expected: &str) {
        self.found.mistakes.push(hints::unexpected(self.text, token.start, token.end, expected));
    }

    fn end_node(&mut self, end: usize) {
        if let Some(start) = self.removed.take() {
            self.found.blanks.push(start..end);
        }
        self.place = Place::Node;
        self.spaced = true;
    }

    fn open(&mut self, token: Token, removed: Option<usize>) -> bool {
        let after_block = self.place == Place::AfterBlock && removed.is_none();
        if self.place == Place::Node {
            self.unexpected(token, "a block follows the name of its node, on the same line");
        } else if after_block {
            self.unexpected(token, "a node has one block");
        }
        if self.blocks.len() >= self.depth {
            self.found.mistakes.push(hints::too_deep(token.start, self.depth));
            return false;
        }
        let then = match self.place {
            Place::Entries | Place::BeforeBlock if removed.is_some() => Place::BeforeBlock,
            _ => Place::AfterBlock,
        };
        self.blocks.push(Block { brace: token.start, node_removed: self.removed.take(), removed, then });
        self.place = Place::Node;
        self.spaced = true;
        true
    }

    fn close(&mut self, token: Token) {
        self.end_node(token.start);
        let Some(block) = self.blocks.pop() else {
            self.found.mistakes.push(hints::unmatched_close(token.start));
            return;
        };
        if let Some(start) = block.removed {
            self.found.blanks.push(start..token.end);
        }
        self.removed = block.node_removed;
        self.place = block.then;
        self.spaced = false;
    }

    /// `/-` before a node, an entry or a block. False when a limit was met.
    fn slashdash(&mut self, token: Token) -> bool {
        if self.place != Place::Node && !self.spaced {
            self.unexpected(token, "put a space before `/-`");
        }
        let place = self.place;
        let Some(next) = self.next_solid(true) else {
            self.unexpected(token, "`/-` takes away the node, value or block after it");
            return true;
        };
        if next.kind == Kind::Open && place != Place::Node {
            return self.open(next, Some(token.start));
        }
        let startable = next.kind.is_value() || next.kind == Kind::TypeOpen;
        if !startable || matches!(place, Place::BeforeBlock | Place::AfterBlock) {
            self.unexpected(token, "`/-` takes away the node, value or block after it");
            self.peeked = Some(next);
            return true;
        }
        if place == Place::Node {
            // Of `/- /- a` the first counts: the blank begins there.
            self.removed = self.removed.or(Some(token.start));
            self.item(next);
            return true;
        }
        self.spaced = true;
        let end = self.entry(next);
        self.found.blanks.push(token.start..end);
        true
    }

    /// A name, a value or a property.
    fn item(&mut self, token: Token) {
        match self.place {
            Place::Node => self.name(token),
            Place::Entries => {
                self.entry(token);
            }
            Place::BeforeBlock | Place::AfterBlock => {
                self.unexpected(token, "after a block comes a new line or `;`");
                self.skip_line();
            }
        }
    }

    fn name(&mut self, token: Token) {
        let Some(token) = self.after_type(token) else { return };
        if token.kind.is_name() {
            self.place = Place::Entries;
            self.spaced = false;
            self.after_bad = token.kind == Kind::Bad;
            return;
        }
        self.unexpected(token, "a node begins with its name");
        self.leave(token);
        self.skip_line();
    }

    /// Gives back a token that ends what could not be read.
    fn leave(&mut self, token: Token) {
        self.spaced = true;
        if matches!(token.kind, Kind::Newline | Kind::Semicolon | Kind::Open | Kind::Close) {
            self.peeked = Some(token);
        }
    }

    /// Reads a value or a property, and says where it ends.
    fn entry(&mut self, token: Token) -> usize {
        if !self.spaced && !self.after_bad {
            self.unexpected(token, "put a space before it");
        }
        self.spaced = false;
        self.after_bad = token.kind == Kind::Bad;
        let typed = token.kind == Kind::TypeOpen;
        let Some(value) = self.after_type(token) else { return token.end };
        if !value.kind.is_value() {
            self.unexpected(value, "a value, a property or a block stands here");
            self.leave(value);
            return value.end;
        }
        if typed || !value.kind.is_name() {
            return value.end;
        }
        // A name with `=` after it, white space between them or not, is a property.
        let mut end = value.end;
        let Some(mut next) = self.next() else { return end };
        let spaced = next.kind.is_space();
        if spaced {
            match self.next_solid(false) {
                Some(solid) => next = solid,
                None => return end,
            }
        }
        if next.kind != Kind::Equals {
            self.spaced = spaced;
            self.peeked = Some(next);
            return end;
        }
        end = next.end;
        let Some(token) = self.next_solid(false) else {
            self.unexpected(next, "a value is missing after `=`");
            return end;
        };
        let Some(value) = self.after_type(token) else { return end };
        if value.kind.is_value() {
            return value.end;
        }
        self.unexpected(next, "a value is missing after `=`");
        self.leave(value);
        end
    }

    /// The token after a type in `( )`, if there is one: the given one otherwise.
    fn after_type(&mut self, token: Token) -> Option<Token> {
        if token.kind != Kind::TypeOpen {
            return Some(token);
        }
        let name = self.next_solid(false);
        let close = name.and_then(|name| if name.kind.is_name() { self.next_solid(false) } else { None });
        match close {
            Some(close) if close.kind == Kind::TypeClose => {
                let after = self.next_solid(false);
                if after.is_none() {
                    self.unexpected(token, "a name or a value comes after it");
                }
                after
            }
            _ => {
                let help = "a text with brackets needs quotes; `(name)` before a value is a type annotation";
                self.unexpected(token, help);
                self.skip_line();
                None
            }
        }
    }

    /// Leaves the rest of a line that makes no sense, but for blocks.
    fn skip_line(&mut self) {
        while let Some(token) = self.next() {
            if matches!(token.kind, Kind::Newline | Kind::Semicolon | Kind::Open | Kind::Close) {
                if token.kind == Kind::Open {
                    self.place = Place::Entries;
                }
                self.peeked = Some(token);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::blank::blanked;
    use super::*;
    use kdl::KdlDocument;
    use proptest::prelude::*;

    fn codes(text: &str) -> Vec<&'static str> {
        check(text, 64).mistakes.iter().map(|mistake| mistake.code).collect()
    }

    #[test]
    fn blocks_are_balanced() {
        assert_eq!(codes("a {\n b\n"), ["unclosed-block"]);
        assert_eq!(codes("a }"), ["unmatched-close"]);
        assert_eq!(codes(&"}".repeat(1000)).len(), 1000);
        assert_eq!(codes(&"a{".repeat(65)), ["too-deep"]);
        assert_eq!(codes("a { } b"), ["unexpected"]);
        assert_eq!(codes("a { }; b"), Vec::<&str>::new());
        assert_eq!(codes("{ a }"), ["unexpected"]);
        assert_eq!(codes("a =1"), ["unexpected"]);
        assert_eq!(codes("a b="), ["unexpected"]);
    }

    #[test]
    fn what_slashdash_takes_away_is_blanked() {
        let see = |text: &str| {
            let checked = check(text, 64);
            assert_eq!(checked.mistakes, [], "{text}");
            let blank = blanked(text, &checked.blanks).into_owned();
            assert_eq!(blank.len(), text.len());
            KdlDocument::parse_v2(&blank).unwrap_or_else(|error| panic!("{text:?} {blank:?} {error:?}"));
            blank.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(see("a /-b c"), "a c");
        assert_eq!(see("a /-b=1 /- { x } { y }"), "a { y }");
        assert_eq!(see("a; /-b; c"), "a; c");
        assert_eq!(see("/-b { x\n y; }\nc"), "c");
        assert_eq!(see("a { /-b }"), "a { }");
        assert_eq!(see("a /* ** // */ b // c"), "a b // c");
        assert_eq!(see("/-a /-b {\n}\nc {\n}"), "c { }");
        assert_eq!(see("a { } /- { b }"), "a { }");
        assert_eq!(see("/-\n\na\nb"), "b");
    }

    #[test]
    fn a_chain_of_slashdash_blocks_costs_nothing() {
        let text = format!("{}{}", "a /-{".repeat(60), "}".repeat(60));
        let checked = check(&text, 64);
        assert_eq!(checked.mistakes, []);
        KdlDocument::parse_v2(&blanked(&text, &checked.blanks)).unwrap();
    }

    fn piece() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "a",
            "b1",
            "-",
            "\"x\"",
            "#\"r\"#",
            "\"\"\"\n  m\n  \"\"\"",
            "1",
            "-2.5",
            "0x1f",
            "#true",
            "#null",
            "true",
            "20m",
            " ",
            " ",
            " ",
            " ",
            "\n",
            "\n",
            ";",
            "{",
            "}",
            "{",
            "}",
            "=",
            "(t)",
            "(",
            ")",
            "/-",
            "//c\n",
            "/*c*/",
            "\\\n",
            ",",
            "\"",
            "\t",
            "#",
            "\\",
            "ü",
            "/",
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
        /// What is accepted here, the parser accepts: so it never goes on after an error of its own.
        #[test]
        fn the_parser_accepts_what_is_accepted_here(pieces in prop::collection::vec(piece(), 0..14)) {
            let text = pieces.concat();
            let checked = check(&text, 8);
            if checked.mistakes.is_empty() {
                let blank = blanked(&text, &checked.blanks);
                let parsed = KdlDocument::parse_v2(&blank);
                prop_assert!(parsed.is_ok(), "{text:?} {blank:?} {parsed:?}");
            }
        }

        /// And what the parser accepts is refused here only for its own reasons.
        #[test]
        fn what_the_parser_accepts_is_mostly_accepted(pieces in prop::collection::vec(piece(), 0..10)) {
            let text = pieces.concat();
            if KdlDocument::parse_v2(&text).is_ok() {
                let checked = check(&text, 8);
                let ours = ["bad-keyword", "comment-in-word", "comma", "single-quotes", "missing-space"];
                let expected = checked.mistakes.is_empty()
                    || checked.mistakes.iter().any(|mistake| ours.contains(&mistake.code));
                prop_assert!(expected, "{text:?} {:?}", checked.mistakes);
            }
        }
    }
}
