//! Templates: how the nodes of a stage and of the template that it uses become one list.

use std::collections::HashSet;

use super::super::document::Templates;
use super::super::findings::{Findings, shown, suggestion};
use super::super::node::{Node, Place};
use super::super::shape::{self, Args, Shape};
use super::{MANY, NODES};
use crate::pipeline::Origin;

/// The nodes that add up: those of the template stay when the stage has its own.
const ADDITIVE: &[&str] = &["env", "needs", "secrets", "artifacts", "cache"];

/// What a template or a stage holds.
const BLOCK: Shape = Shape { args: Args::Any, fields: &[], nodes: NODES, many: MANY };

/// The template that a stage uses, and where it says so.
pub(crate) fn template_of(stage: Node<'_>) -> Option<(&str, super::Value<'_>)> {
    let value = stage.prop("use")?;
    value.raw_text(&mut Findings::default()).map(|name| (name, value))
}

/// The nodes of a stage after those that its template brings in; `used_at` is where it names the template.
pub(crate) fn parts<'a, 'b>(
    stage: Node<'a>,
    templates: &Templates<'a>,
    used_at: Option<&'b Origin>,
    out: &mut Findings,
) -> Vec<Node<'b>>
where
    'a: 'b,
{
    shape::check_children(stage, &BLOCK, out);
    let own: Vec<Node<'b>> = stage.children().collect();
    let Some((name, value)) = template_of(stage) else { return own };
    let Some(template) = templates.get(name) else {
        let known: Vec<&str> = templates.keys().copied().collect();
        let message = format!("there is no template named `{}`", shown(name));
        out.hinted("unknown-template", value.origin(), message, suggestion(name, &known, "template"));
        return own;
    };
    let place = Place { source: template.place.source, used_at };
    let used = Node { kdl: template.kdl, place };
    shape::check_children(used, &BLOCK, out);
    let replaced: HashSet<&str> =
        own.iter().map(Node::name).map(gate).filter(|name| !ADDITIVE.contains(name)).collect();
    let mut parts: Vec<Node<'b>> = used.children().filter(|node| !replaced.contains(gate(node.name()))).collect();
    parts.extend(own);
    parts
}

/// Both spellings of an approval count as one node.
fn gate(name: &str) -> &str {
    if name == "manual" { "approval" } else { name }
}

/// Reads a template that no stage uses, for its mistakes alone.
pub(crate) fn check_template(node: Node<'_>, out: &mut Findings) {
    shape::check_children(node, &BLOCK, out);
    let parts: Vec<Node<'_>> = node.children().collect();
    // A template needs no action of its own, so it is read as one of which some is missing.
    super::read(node, "template".to_owned(), &parts, true, out);
}
