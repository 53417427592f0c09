//! `when`: properties of the run, or a CEL expression.

use super::super::findings::Findings;
use super::super::node::Node;
use super::super::shape::{self, Args, Field, Shape};
use super::super::values;
use crate::pipeline::{Origins, When, WhenProperties};

const FIELDS: &[&str] = &["branch", "event", "tag", "path"];

const WHEN: Shape = Shape { args: Args::Optional("an expression"), fields: FIELDS, nodes: &[], many: FIELDS };

pub(crate) fn decode(node: Node<'_>, origins: &mut Origins, out: &mut Findings) -> Option<When> {
    shape::check(node, &WHEN, out);
    let has_properties = node.props().next().is_some() || node.has_children();
    if let Some(value) = node.arg() {
        origins.insert("when", value.origin());
        if has_properties {
            let help = "say all of it in the expression, or all of it in properties";
            out.hinted("mixed-when", node.origin(), "`when` takes an expression or properties, not both", help);
        }
        return value.parsed("bad-condition", values::filled, out).map(When::Expression);
    }
    origins.insert("when", node.origin());
    if !has_properties {
        let help = "as in `when branch=\"main\"` or `when \"git.tag != ''\"`";
        out.hinted("empty-when", node.origin(), "`when` says nothing", help);
        return None;
    }
    let mut properties = WhenProperties::default();
    let lists = [
        ("branch", &mut properties.branch),
        ("event", &mut properties.event),
        ("tag", &mut properties.tag),
        ("path", &mut properties.path),
    ];
    for (name, globs) in lists {
        for value in Field::many(node, name, out) {
            let Some(text) = value.text(out) else { continue };
            match values::glob(&text) {
                Ok(glob) => {
                    origins.insert(format!("when.{name}[{}]", globs.len()), value.origin());
                    globs.push(glob);
                }
                // `tag=""` is how one says that there is no tag.
                Err(_) if text.is_empty() => globs.push(String::new()),
                Err(bad) => out.hinted("bad-glob", value.origin(), bad.message, bad.help),
            }
        }
    }
    Some(When::Properties(properties))
}
