//! From text to a KDL document.

use kdl::KdlDocument;

use super::findings::{Findings, at};
use super::source::Source;
use crate::diagnostic::Diagnostic;

/// Parses the text, or says what is wrong with it.
pub(crate) fn parse(source: &Source, depth: usize, out: &mut Findings) -> Option<KdlDocument> {
    let _ = depth;
    match KdlDocument::parse(source.text()) {
        Ok(document) => Some(document),
        Err(error) => {
            for found in error.diagnostics {
                let origin = source.origin(found.span.offset(), found.span.len());
                let message = found.message.unwrap_or_else(|| "this is no KDL".to_owned());
                let mut finding = at(Diagnostic::error("syntax", message), origin);
                finding.help = found.help;
                out.push(finding);
            }
            None
        }
    }
}
