//! KDL nodes and values together with their places.

use std::borrow::Cow;
use std::collections::HashMap;

use kdl::{KdlEntry, KdlNode, KdlValue};

use super::findings::{Findings, shown};
use super::older;
use super::source::Source;
use crate::pipeline::Origin;

/// In which text something stands, and where the template that holds it is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) source: &'a Source,
    pub(crate) used_at: Option<&'a Origin>,
}

impl Place<'_> {
    pub(crate) fn origin(&self, offset: usize, length: usize) -> Origin {
        let mut origin = self.source.origin(offset, length);
        origin.used_at = self.used_at.cloned().map(Box::new);
        origin
    }
}

/// A node at its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    pub(crate) kdl: &'a KdlNode,
    pub(crate) place: Place<'a>,
}

impl<'a> Node<'a> {
    pub(crate) fn name(&self) -> &'a str {
        self.kdl.name().value()
    }

    /// The node's name and its first argument, if it has one: `stage "test"`. What follows may be long.
    pub(crate) fn origin(&self) -> Origin {
        let name = self.kdl.name().span();
        let end = match self.kdl.entries().first() {
            Some(entry) if entry.name().is_none() => entry.span().offset() + entry.span().len(),
            _ => name.offset() + name.len(),
        };
        self.place.origin(name.offset(), end.saturating_sub(name.offset()))
    }

    /// The node's name alone.
    pub(crate) fn name_origin(&self) -> Origin {
        let span = self.kdl.name().span();
        self.place.origin(span.offset(), span.len())
    }

    pub(crate) fn children(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let place = self.place;
        self.kdl.iter_children().map(move |kdl| Node { kdl, place })
    }

    pub(crate) fn has_children(&self) -> bool {
        self.kdl.children().is_some_and(|children| !children.nodes().is_empty())
    }

    pub(crate) fn args(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        self.entries().filter(|value| value.key().is_none())
    }

    pub(crate) fn arg(&self) -> Option<Value<'a>> {
        self.args().next()
    }

    pub(crate) fn props(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
        self.entries().filter_map(|value| Some((value.key()?, value)))
    }

    pub(crate) fn prop(&self, name: &str) -> Option<Value<'a>> {
        self.props().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let place = self.place;
        self.kdl.entries().iter().map(move |entry| Value { entry, place })
    }
}

/// The names of one kind of node that were read so far, with their places.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashMap<String, Origin>);

impl Seen {
    /// Notes a name; false, and an error, when it is there already.
    pub(crate) fn insert(&mut self, code: &'static str, name: &str, node: Node<'_>, out: &mut Findings) -> bool {
        if let Some(first) = self.0.get(name) {
            let message = format!("there are two `{}` nodes named `{}`", shown(node.name()), shown(name));
            out.related(code, node.origin(), message, (first.clone(), "the first one is here"));
            return false;
        }
        self.0.insert(name.to_owned(), node.origin());
        true
    }
}

/// An argument or the value of a property, at its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    entry: &'a KdlEntry,
    place: Place<'a>,
}

impl<'a> Value<'a> {
    /// The property's name; `None` for an argument.
    pub(crate) fn key(&self) -> Option<&'a str> {
        self.entry.name().map(kdl::KdlIdentifier::value)
    }

    pub(crate) fn has_type(&self) -> bool {
        self.entry.ty().is_some()
    }

    /// The value as it is written, quotes included.
    pub(crate) fn written(&self) -> &'a str {
        self.entry.format().map_or("", |format| format.value_repr.as_str())
    }

    /// Where the whole entry stands: `key="value"`.
    pub(crate) fn entry_origin(&self) -> Origin {
        self.place.origin(self.entry.span().offset(), self.entry.span().len())
    }

    /// Where the value alone stands, quotes included. An entry ends with its value.
    pub(crate) fn origin(&self) -> Origin {
        let span = self.entry.span();
        let (start, end) = (span.offset(), span.offset() + span.len());
        let text = self.place.source.text();
        let written = self.written();
        match end.checked_sub(written.len()) {
            Some(at) if at >= start && !written.is_empty() && text.get(at..end) == Some(written) => {
                self.place.origin(at, written.len())
            }
            _ => self.place.origin(start, span.len()),
        }
    }

    /// The text of a string, or of a number as it is written: `1.10` is `1.10`. References in it stay.
    pub(crate) fn raw_text(&self, out: &mut Findings) -> Option<&'a str> {
        match self.entry.value() {
            KdlValue::String(text) => Some(text),
            KdlValue::Integer(_) => Some(self.written()),
            KdlValue::Float(number) if number.is_finite() => Some(self.written()),
            KdlValue::Float(_) | KdlValue::Bool(_) | KdlValue::Null => {
                let written = shown(self.written());
                out.hinted(
                    "expected-text",
                    self.origin(),
                    format!("`{written}` is no text"),
                    format!("write it in quotes if the text is meant: \"{}\"", written.trim_start_matches('#')),
                );
                None
            }
        }
    }

    /// The text with references of the older spelling (`{git.sha}`) turned into those of today.
    pub(crate) fn text(&self, out: &mut Findings) -> Option<Cow<'a, str>> {
        self.raw_text(out).map(older::modernised)
    }

    /// A boolean: `#true` or `#false`.
    pub(crate) fn flag(&self, out: &mut Findings) -> Option<bool> {
        match self.entry.value() {
            KdlValue::Bool(flag) => Some(*flag),
            other => {
                let meant = other.as_string().filter(|text| matches!(*text, "true" | "false")).unwrap_or("true");
                out.hinted(
                    "expected-boolean",
                    self.origin(),
                    format!("`{}` is neither `#true` nor `#false`", shown(self.written())),
                    format!("write `#{meant}`"),
                );
                None
            }
        }
    }

    /// A whole number of at least `least`.
    pub(crate) fn whole(&self, least: u32, out: &mut Findings) -> Option<u32> {
        let number = match self.entry.value() {
            KdlValue::Integer(number) => u32::try_from(*number).ok(),
            KdlValue::String(text) => text.parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| *number >= least);
        if number.is_none() {
            out.error(
                "expected-number",
                self.origin(),
                format!("`{}` is no whole number from {least} to {}", shown(self.written()), u32::MAX),
            );
        }
        number
    }

    /// A text that one of these words must be.
    pub(crate) fn word<T: Copy>(&self, words: &[(&'static str, T)], out: &mut Findings) -> Option<T> {
        let text = self.raw_text(out)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            out.hinted(
                "unknown-value",
                self.origin(),
                format!("`{}` is not known here", shown(text)),
                super::findings::suggestion(text, &known, "value"),
            );
        }
        found
    }

    /// A text that this function reads; its error says what is wrong.
    pub(crate) fn parsed<T>(
        &self,
        code: &'static str,
        read: impl FnOnce(&str) -> Result<T, super::values::Bad>,
        out: &mut Findings,
    ) -> Option<T> {
        let text = self.raw_text(out)?;
        match read(text) {
            Ok(value) => Some(value),
            Err(bad) if text.contains("${") => {
                let _ = bad;
                out.hinted(
                    "reference-not-allowed",
                    self.origin(),
                    "a reference cannot stand here: the value is needed before the run starts",
                    "write the value itself",
                );
                None
            }
            Err(bad) => {
                out.hinted(code, self.origin(), bad.message, bad.help);
                None
            }
        }
    }
}
