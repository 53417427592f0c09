//! The canonical form of a text.
//!
//! The KDL library's own formatting loses comments, so the tokens are printed here as they are written, with other
//! white space between them. What is printed is read again, and refused if a comment or a value were not as before.

mod multiline;
mod printer;
mod verify;

use super::options::Limits;
use super::pipeline::InvalidPipeline;
use super::source::{Source, Sources};
use super::syntax::grammar;
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Why a text was not formatted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// It is no KDL.
    #[error("the text cannot be read: {0}")]
    Invalid(#[source] Box<InvalidPipeline>),
    /// Its formatted text would not mean the same. This is a fault of the formatter; the text is fine.
    #[error("the formatted text would not mean the same, so the text stays as it is")]
    WouldChange,
}

/// The text in its canonical form: four spaces for each level, one node a line unless the block was written on one
/// line, at most one blank line in a row. Comments, the way in which values are written, and the order of everything
/// stay. `name` is what diagnostics call the text.
///
/// ```
/// let text = "stage \"a\"   {run   \"x\" // why\n}";
/// assert_eq!(buildit::config::format("a.kdl", text)?, "stage \"a\" {\n    run \"x\" // why\n}\n");
/// # Ok::<(), buildit::config::FormatError>(())
/// ```
///
/// # Errors
///
/// [`FormatError::Invalid`] when the text is no KDL; whether it is a pipeline does not matter.
pub fn format(name: &str, text: &str) -> Result<String, FormatError> {
    let limits = Limits::default();
    if text.len() > limits.bytes {
        let message = format!("the text has {} bytes, and at most {} are formatted", text.len(), limits.bytes);
        return Err(invalid(Source::new(name, ""), vec![Diagnostic::error("too-large", message)]));
    }
    let checked = grammar::check(text, limits.depth);
    if !checked.mistakes.is_empty() {
        let source = Source::new(name, text);
        let findings = checked.mistakes.into_iter().map(|mistake| mistake.into_diagnostic(&source)).collect();
        return Err(invalid(source, findings));
    }
    let printed = printer::print(text, limits.depth);
    if verify::same(text, &printed, limits.depth) { Ok(printed) } else { Err(FormatError::WouldChange) }
}

fn invalid(source: Source, findings: Vec<Diagnostic>) -> FormatError {
    let mut sources = Sources::default();
    sources.push(source);
    FormatError::Invalid(Box::new(InvalidPipeline { diagnostics: Diagnostics(findings), sources }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn formatted(text: &str) -> String {
        format("test.kdl", text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
    }

    #[test]
    fn the_canonical_form() {
        for (text, canonical) in [
            ("", ""),
            ("\n\n", ""),
            ("a  1   b = 2", "a 1 b=2\n"),
            ("a;b", "a\nb\n"),
            ("a{b;c}", "a { b; c }\n"),
            ("a{b;c;}", "a { b; c }\n"),
            ("a { }", "a { }\n"),
            ("a {\n\n\nb\n\n\n\nc\n\n}", "a {\n    b\n\n    c\n}\n"),
            ("a; b // c", "a\nb // c\n"),
            ("a // c\n  // d  \nb", "a // c\n// d\nb\n"),
            ("a { // c\n b }", "a { // c\n    b\n}\n"),
            ("a /* x */ b/* y */", "a /* x */ b /* y */\n"),
            ("/-  a { b }\n", "/-a { b }\n"),
            ("a /-\nb /- { c } { d }", "a /-b /-{ c } { d }\n"),
            ("a \\\n b \\ // why\n c", "a \\\n    b \\ // why\n    c\n"),
            ("( t ) a (u)1 p=(v) 2", "(t)a (u)1 p=(v)2\n"),
            ("a\r\nb", "a\nb\n"),
            ("\u{FEFF}a", "a\n"),
            ("a \"\"\"\n x\n\n   y\n \"\"\"", "a \"\"\"\n    x\n\n      y\n    \"\"\"\n"),
            ("s {\nrun #\"\"\"\nx\\n\n\"\"\"#\n}", "s {\n    run #\"\"\"\n        x\\n\n        \"\"\"#\n}\n"),
            ("a { b { c\n} }", "a {\n    b {\n        c\n    }\n}\n"),
        ] {
            assert_eq!(formatted(text), canonical, "{text:?}");
            assert_eq!(formatted(canonical), canonical, "not idempotent: {text:?}");
        }
    }

    #[test]
    fn what_is_no_kdl_is_refused() {
        let Err(FormatError::Invalid(invalid)) = format("x.kdl", "a {") else { panic!("accepted") };
        assert_eq!(invalid.diagnostics.0[0].code, "unclosed-block");
    }

    fn piece() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "a",
            "b",
            "\"x\"",
            "\"\"\"\n  m\n   n\n\n  \"\"\"",
            "#\"\"\"\n\n  m\n  \"\"\"#",
            "1.50",
            "#true",
            " ",
            " ",
            " ",
            "\n",
            "\n",
            ";",
            "{",
            "}",
            "{\n",
            "\n}",
            "=",
            "(t)",
            "/-",
            "/- ",
            "//c \n",
            "/*c*/",
            "/*\nc */",
            "\\\n",
            "\\ //d\n",
            "\r\n",
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
        #[test]
        fn formatting_keeps_everything_and_is_idempotent(pieces in prop::collection::vec(piece(), 0..16)) {
            let text = pieces.concat();
            match format("test.kdl", &text) {
                Err(FormatError::Invalid(_)) => {}
                Err(FormatError::WouldChange) => prop_assert!(false, "{text:?} -> {:?}", printer::print(&text, 64)),
                Ok(once) => {
                    let twice = format("test.kdl", &once);
                    prop_assert!(twice.as_ref().is_ok_and(|twice| *twice == once), "{text:?} -> {once:?} -> {twice:?}");
                }
            }
        }
    }
}
