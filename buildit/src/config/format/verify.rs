//! Whether two texts say the same, comments included.

use std::borrow::Cow;

use kdl::{KdlDocument, KdlEntry, KdlNode};

use super::super::syntax::lexer::{Kind, Lexer};
use super::super::syntax::{blank, grammar, strings};

/// Whether both texts have the same comments, the same marks, and the same values in the same nodes.
pub(crate) fn same(one: &str, other: &str, depth: usize) -> bool {
    solid(one, depth).eq(solid(other, depth))
        && match (document(one, depth), document(other, depth)) {
            (Some(one), Some(other)) => same_documents(&one, &other),
            _ => false,
        }
}

/// The tokens that mean something to somebody.
fn solid(text: &str, depth: usize) -> impl Iterator<Item = (Kind, Cow<'_, str>)> {
    Lexer::new(text, depth).filter_map(move |token| {
        let written = &text[token.start..token.end];
        let shown = match token.kind {
            Kind::Space | Kind::Newline | Kind::Semicolon => return None,
            Kind::LineJoin => {
                let comment = written.trim_end().trim_start_matches('\\').trim();
                if comment.is_empty() {
                    return None;
                }
                Cow::Borrowed(comment)
            }
            Kind::LineComment => Cow::Borrowed(written.trim_end()),
            Kind::Quoted if written.contains('\n') => Cow::Owned(strings::decode(written).0),
            _ => Cow::Borrowed(written),
        };
        Some((token.kind, shown))
    })
}

fn document(text: &str, depth: usize) -> Option<KdlDocument> {
    let checked = grammar::check(text, depth);
    if !checked.mistakes.is_empty() {
        return None;
    }
    KdlDocument::parse_v2(&blank::blanked(text, &checked.blanks)).ok()
}

fn same_documents(one: &KdlDocument, other: &KdlDocument) -> bool {
    one.nodes().len() == other.nodes().len()
        && one.nodes().iter().zip(other.nodes()).all(|(one, other)| same_nodes(one, other))
}

// Recursive, but the grammar bounds how deep blocks nest.
fn same_nodes(one: &KdlNode, other: &KdlNode) -> bool {
    let children = match (one.children(), other.children()) {
        (Some(one), Some(other)) => same_documents(one, other),
        (None, None) => true,
        _ => false,
    };
    let type_of = |node: &KdlNode| node.ty().map(|ty| ty.value().to_owned());
    children
        && one.name().value() == other.name().value()
        && type_of(one) == type_of(other)
        && one.entries().len() == other.entries().len()
        && one.entries().iter().zip(other.entries()).all(|(one, other)| parts(one) == parts(other))
}

fn parts(entry: &KdlEntry) -> (Option<&str>, Option<&str>, &kdl::KdlValue) {
    (entry.name().map(|name| name.value()), entry.ty().map(|ty| ty.value()), entry.value())
}
