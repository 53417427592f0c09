//! `needs`: as a node, as a property, and as the repeated property of older files.

use indexmap::IndexMap;

use super::super::findings::{Findings, shown};
use super::super::node::{Node, Value};
use super::super::shape::{self, Args, Shape};
use super::super::values::Bad;
use crate::id::StageName;
use crate::pipeline::{Origin, Origins};

/// The needs that were read so far, each with its place.
#[derive(Debug, Default)]
pub(crate) struct Needs(IndexMap<StageName, Origin>);

impl Needs {
    /// Reads `stage "test" needs="fmt" needs="lint"`: the KDL parser keeps both, so none is lost.
    pub(crate) fn take_properties(&mut self, stage: Node<'_>, origins: &mut Origins, out: &mut Findings) {
        let values: Vec<Value<'_>> = stage.props().filter(|(key, _)| *key == "needs").map(|(_, value)| value).collect();
        for value in &values {
            self.add(*value, origins, out);
        }
        if let [_, second, ..] = values.as_slice() {
            let all: Vec<String> = values.iter().map(|value| quoted(value.written())).collect();
            out.warning(
                "repeated-property",
                second.entry_origin(),
                "the property `needs` is repeated; both are read, but other KDL readers keep only the last",
                format!("write `needs {}` in the stage's block", all.join(" ")),
            );
        }
    }

    /// Reads `needs "fmt" "lint"`.
    pub(crate) fn take_node(&mut self, node: Node<'_>, origins: &mut Origins, out: &mut Findings) {
        shape::check(node, &Shape::leaf(Args::Some("the name of a stage")), out);
        for value in node.args() {
            self.add(value, origins, out);
        }
    }

    fn add(&mut self, value: Value<'_>, origins: &mut Origins, out: &mut Findings) {
        let Some(name) = value.parsed("bad-name", need, out) else { return };
        let origin = value.origin();
        if let Some(first) = self.0.get(name.as_str()) {
            // Whoever uses a template need not know what it needs already.
            if first.used_at == origin.used_at {
                let message = format!("`{}` is needed twice", shown(&name));
                out.warning("duplicate-need", origin, message, "take one of them away");
            }
            return;
        }
        origins.insert(format!("needs.{name}"), origin.clone());
        self.0.insert(StageName::from(name), origin);
    }

    pub(crate) fn finish(self) -> Vec<StageName> {
        self.0.into_keys().collect()
    }
}

/// The name of a stage, or of a cell of one: `test[db=sqlite]`.
fn need(text: &str) -> Result<String, Bad> {
    if text.contains("${") {
        return Err(Bad::new("a reference cannot stand here", "write the name itself"));
    }
    if text.trim().is_empty() || text.len() > 1000 {
        return Err(Bad::new(format!("`{}` is no stage's name", shown(text)), "name a stage of this pipeline"));
    }
    Ok(text.to_owned())
}

fn quoted(written: &str) -> String {
    if written.starts_with(['"', '#']) { written.to_owned() } else { format!("\"{written}\"") }
}
