//! From text to a KDL document, without the ways in which a text can kill the parser.
//!
//! The KDL parser is recursive and goes on after errors: nested blocks, nested comments, the asterisks of a comment,
//! and what it takes for the rest of a broken file each cost it stack, and a chain of `/-` blocks doubles its time
//! with each. So it never sees such a text. The [lexer] and the [grammar] here are flat loops that find every
//! mistake, with hints of their own, and the parser gets only what they accept, with comments and `/-` parts
//! [blanked](blank) out. It is still the parser that says what the values are.

pub(crate) mod blank;
pub(crate) mod escape;
pub(crate) mod grammar;
pub(crate) mod hints;
pub(crate) mod lexer;
mod number;
pub(crate) mod strings;
mod unicode;

use kdl::KdlDocument;

use super::findings::Findings;
use super::source::Source;
use crate::diagnostic::Diagnostic;

/// A mistake in the form of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) code: &'static str,
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Mistake {
    pub(crate) fn into_diagnostic(self, source: &Source) -> Diagnostic {
        let origin = source.origin(self.start, self.end.saturating_sub(self.start));
        Diagnostic { help: self.help, ..Diagnostic::error(self.code, self.message).with_origin(origin) }
    }
}

/// Parses the text, or says what is wrong with it.
pub(crate) fn parse(source: &Source, depth: usize, out: &mut Findings) -> Option<KdlDocument> {
    let text = source.text();
    let checked = grammar::check(text, depth);
    if checked.mistakes.is_empty() {
        match KdlDocument::parse_v2(&blank::blanked(text, &checked.blanks)) {
            Ok(document) => return Some(document),
            Err(error) => refused_by_parser(source, error, out),
        }
        return None;
    }
    #[cfg(feature = "kdl-v1")]
    if let Some(document) = super::v1::parse(text, depth) {
        return Some(document);
    }
    checked.mistakes.into_iter().for_each(|mistake| out.push(mistake.into_diagnostic(source)));
    None
}

/// Tells the parser's own errors, should it refuse a text that the grammar accepts.
fn refused_by_parser(source: &Source, error: kdl::KdlError, out: &mut Findings) {
    for found in error.diagnostics {
        let origin = source.origin(found.span.offset(), found.span.len());
        let message = found.message.unwrap_or_else(|| "this is no KDL".to_owned());
        let mut finding = Diagnostic::error("syntax", message).with_origin(origin);
        finding.help = found.help;
        out.push(finding);
    }
}
