//! The `pipeline` node.

use std::num::NonZeroU32;

use super::findings::Findings;
use super::node::Node;
use super::shape::{self, Args, Field, Shape};
use super::values;
use crate::pipeline::{CheckoutSpec, ConcurrencySpec, PipelineSpec};

const PIPELINE: Shape = Shape {
    args: Args::One("a name"),
    fields: &["description", "repository", "max-parallel", "fail-fast"],
    nodes: &["concurrency", "checkout"],
    many: &[],
};

const CONCURRENCY: Shape = Shape { args: Args::One("a group"), fields: &["cancel-in-progress"], nodes: &[], many: &[] };

const CHECKOUT: Shape = Shape { args: Args::No, fields: &["depth", "submodules", "lfs"], nodes: &[], many: &[] };

pub(crate) fn decode(node: Node<'_>, spec: &mut PipelineSpec, out: &mut Findings) {
    shape::check(node, &PIPELINE, out);
    spec.origins.insert("pipeline", node.origin());
    if let Some(name) = node.arg().and_then(|name| name.parsed("bad-name", values::filled, out)) {
        spec.name = name;
    }
    if let Some(value) = Field::one(node, "description", out) {
        spec.origins.insert("description", value.origin());
        spec.description = value.text(out).map(Into::into);
    }
    if let Some(value) = Field::one(node, "repository", out) {
        spec.origins.insert("repository", value.origin());
        spec.repository = value.parsed("bad-text", values::filled, out);
    }
    if let Some(value) = Field::one(node, "max-parallel", out) {
        spec.origins.insert("max-parallel", value.origin());
        spec.max_parallel = value.whole(1, out).and_then(NonZeroU32::new);
    }
    spec.fail_fast = Field::flag(node, "fail-fast", out);
    for child in node.children() {
        match child.name() {
            "concurrency" if spec.concurrency.is_none() => concurrency(child, spec, out),
            "checkout" => {
                spec.origins.insert("checkout", child.origin());
                spec.checkout = checkout(child, out);
            }
            _ => {}
        }
    }
}

fn concurrency(node: Node<'_>, spec: &mut PipelineSpec, out: &mut Findings) {
    shape::check(node, &CONCURRENCY, out);
    let Some(value) = node.arg() else { return };
    spec.origins.insert("concurrency", value.origin());
    if let Some(group) = value.text(out) {
        let cancel_in_progress = Field::flag(node, "cancel-in-progress", out);
        spec.concurrency = Some(ConcurrencySpec { group: group.into_owned(), cancel_in_progress });
    }
}

fn checkout(node: Node<'_>, out: &mut Findings) -> CheckoutSpec {
    shape::check(node, &CHECKOUT, out);
    CheckoutSpec {
        depth: Field::one(node, "depth", out).and_then(|value| value.whole(1, out)).and_then(NonZeroU32::new),
        submodules: Field::flag(node, "submodules", out),
        lfs: Field::flag(node, "lfs", out),
    }
}
