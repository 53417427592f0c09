//! The files that make up a pipeline: the one that is named and what it includes.

use std::collections::HashMap;

use kdl::KdlDocument;

use super::findings::{Findings, shown};
use super::loader;
use super::node::{Node, Place};
use super::options::Options;
use super::shape::{self, Args, Shape};
use super::source::{Source, Sources};
use super::syntax;
use crate::diagnostic::Diagnostic;

/// One file, parsed.
#[derive(Debug)]
pub(crate) struct Unit {
    source: Source,
    document: KdlDocument,
    /// For each `include` of the document the unit that it brings in, if it brings one in.
    includes: Vec<Option<usize>>,
}

/// All files of a pipeline; the first is the one that was named.
#[derive(Debug, Default)]
pub(crate) struct Units(Vec<Unit>);

/// Files included from files included from…: more levels than this serve nobody, and each costs stack.
const DEEPEST_INCLUDE: usize = 16;

impl Units {
    /// Reads the text and all that it includes.
    pub(crate) fn load(name: &str, text: &str, options: &Options, sources: &mut Sources, out: &mut Findings) -> Self {
        let mut loading =
            Loading { options, sources, units: Units::default(), known: HashMap::new(), open: Vec::new() };
        loading.unit(name, text, loader::normalised(name), out);
        loading.units
    }

    /// The top-level nodes of all files, each where its file is included.
    pub(crate) fn nodes(&self) -> Vec<Node<'_>> {
        let mut nodes = Vec::new();
        if !self.0.is_empty() {
            self.collect(0, &mut nodes);
        }
        nodes
    }

    fn collect<'a>(&'a self, index: usize, nodes: &mut Vec<Node<'a>>) {
        let unit = &self.0[index];
        let mut includes = unit.includes.iter();
        for kdl in unit.document.nodes() {
            nodes.push(Node { kdl, place: Place { source: &unit.source, used_at: None } });
            if kdl.name().value() == "include"
                && let Some(Some(included)) = includes.next()
            {
                self.collect(*included, nodes);
            }
        }
    }
}

struct Loading<'o, 's> {
    options: &'o Options,
    sources: &'s mut Sources,
    units: Units,
    /// Files that were read already, by path: each counts once.
    known: HashMap<String, ()>,
    /// The files on the way to this one, for circles.
    open: Vec<String>,
}

impl Loading<'_, '_> {
    fn unit(&mut self, name: &str, text: &str, path: Option<String>, out: &mut Findings) -> Option<usize> {
        let limits = self.options.limits;
        let room = limits.bytes.saturating_sub(self.sources.bytes());
        if text.len() > room {
            out.push(too_large(name, text, limits.bytes));
            return None;
        }
        let source = Source::new(name, text);
        self.sources.push(source.clone());
        let document = syntax::parse(&source, limits.depth, out)?;
        let index = self.units.0.len();
        self.units.0.push(Unit { source: source.clone(), document, includes: Vec::new() });
        let path = path.unwrap_or_else(|| name.to_owned());
        self.known.insert(path.clone(), ());
        self.open.push(path);
        let wanted: Vec<_> = {
            let place = Place { source: &source, used_at: None };
            let nodes = self.units.0[index].document.nodes().iter().map(|kdl| Node { kdl, place });
            nodes
                .filter(|node| node.name() == "include")
                .map(|node| {
                    shape::check(node, &Shape::leaf(Args::One("a path")), out);
                    let value = node.arg()?;
                    Some((value.raw_text(out)?.to_owned(), value.origin()))
                })
                .collect()
        };
        for include in wanted {
            let included = include.and_then(|(path, origin)| self.include(&path, origin, out));
            self.units.0[index].includes.push(included);
        }
        self.open.pop();
        Some(index)
    }

    fn include(&mut self, written: &str, origin: crate::pipeline::Origin, out: &mut Findings) -> Option<usize> {
        let Some(path) = loader::normalised(written) else {
            let message = format!("`{}` leads out of the source tree", shown(written));
            let help = "name a file by its path from the root of the source";
            out.hinted("include-outside", origin, message, help);
            return None;
        };
        if let Some(from) = self.open.iter().position(|open| *open == path) {
            let mut circle: Vec<&str> = self.open[from..].iter().map(String::as_str).collect();
            circle.push(&path);
            out.error("include-circle", origin, format!("the includes go in a circle: {}", circle.join(" → ")));
            return None;
        }
        if self.known.contains_key(&path) {
            return None;
        }
        if self.open.len() >= DEEPEST_INCLUDE || self.known.len() > self.options.limits.files {
            let message =
                format!("more than {DEEPEST_INCLUDE} levels or {} files of includes", self.options.limits.files);
            out.error("too-many-includes", origin, message);
            return None;
        }
        let Some(loader) = &self.options.includes else {
            out.error("include-not-possible", origin, "files cannot be included here: there is no source tree");
            return None;
        };
        let room = self.options.limits.bytes.saturating_sub(self.sources.bytes());
        match loader.load(&path, room) {
            Ok(text) => self.unit(&path, &text, Some(path.clone()), out),
            Err(error) => {
                let code = match &error {
                    loader::SourceError::TooLarge { .. } => "too-large",
                    loader::SourceError::Outside(_) => "include-outside",
                    _ => "include-not-found",
                };
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
                out.error(code, origin, format!("{error}{cause}"));
                None
            }
        }
    }
}

/// The refusal of a text that is too large to be looked at; it has the first byte for its place.
fn too_large(name: &str, text: &str, limit: usize) -> Diagnostic {
    let message = format!("the text has {} bytes, and at most {limit} are allowed over all files", text.len());
    Diagnostic::error("too-large", message)
        .with_help("generate less, or raise the limit")
        .with_origin(Source::new(name, "").origin(0, 0))
}
