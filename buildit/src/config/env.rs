//! Environment variables in their three spellings: `env { A "1" }`, `env "A" "1"`, `env A="1"`.

use indexmap::IndexMap;

use super::findings::{Findings, shown};
use super::node::{Node, Value};
use super::shape::{self, Args, Shape};
use super::values::{self, Bad};
use crate::pipeline::Origins;

/// Where the names that were read so far stand: a second one is an error, and says where the first is.
pub(crate) type Earlier<'a> = IndexMap<String, Value<'a>>;

/// Reads one of several `env` nodes that add up. A variable that an earlier one of them has is an error.
pub(crate) fn decode<'a>(
    node: Node<'a>,
    part: &str,
    earlier: &mut Earlier<'a>,
    env: &mut IndexMap<String, String>,
    origins: &mut Origins,
    out: &mut Findings,
) {
    pairs(node, values::variable, out, |name, value, out| {
        if let Some(first) = earlier.get(&name) {
            out.related(
                "duplicate-variable",
                value.entry_origin(),
                format!("`{name}` is written more than once"),
                (first.entry_origin(), "first written here"),
            );
            return;
        }
        if let Some(text) = value.text(out) {
            origins.insert(format!("{part}.{name}"), value.origin());
            earlier.insert(name.clone(), value);
            env.insert(name, text.into_owned());
        }
    });
}

/// Reads names with values, in any of the three spellings.
pub(crate) fn pairs<'a>(
    node: Node<'a>,
    read_name: fn(&str) -> Result<String, Bad>,
    out: &mut Findings,
    mut take: impl FnMut(String, Value<'a>, &mut Findings),
) {
    shape::check_type(node, out);
    let mut args = node.args();
    match (args.next(), args.next(), args.next()) {
        (None, ..) => {}
        (Some(name), Some(value), None) => {
            if let Some(name) = name.parsed("bad-name", read_name, out) {
                take(name, value, out);
            }
        }
        (Some(name), None, _) => out.hinted(
            "missing-value",
            name.origin(),
            format!("`{}` has no value", shown(name.written())),
            format!("write `{} \"NAME\" \"value\"` or `{} NAME=\"value\"`", node.name(), node.name()),
        ),
        (_, _, Some(extra)) => out.hinted(
            "unexpected-argument",
            extra.origin(),
            format!("`{}` takes one name and one value", node.name()),
            format!("write several as a block: `{} {{ A \"1\"; B \"2\" }}`", node.name()),
        ),
    }
    for (name, value) in node.props() {
        match read_name(name) {
            Ok(name) => take(name, value, out),
            Err(bad) => out.hinted("bad-name", value.entry_origin(), bad.message, bad.help),
        }
    }
    for child in node.children() {
        shape::check(child, &Shape::leaf(Args::One("a value")), out);
        match read_name(child.name()) {
            Ok(name) => {
                if let Some(value) = child.arg() {
                    take(name, value, out);
                }
            }
            Err(bad) => out.hinted("bad-name", child.name_origin(), bad.message, bad.help),
        }
    }
}
