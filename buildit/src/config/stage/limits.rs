//! `retry` and `resources`.

use super::super::findings::Findings;
use super::super::node::Node;
use super::super::shape::{self, Args, Field, Shape};
use super::super::values;
use crate::pipeline::{Origins, ResourceSpec, RetryCause, RetrySpec};

const RETRY: Shape =
    Shape { args: Args::One("a number of attempts"), fields: &["backoff", "on"], nodes: &[], many: &["on"] };

const RESOURCES: Shape = Shape { args: Args::No, fields: &["cpu", "memory"], nodes: &[], many: &[] };

const CAUSES: &[(&str, RetryCause)] = &[
    ("failed", RetryCause::Failed),
    ("timeout", RetryCause::Timeout),
    ("lost", RetryCause::Lost),
    ("oom", RetryCause::Oom),
];

/// More attempts than this is a mistake: each is kept with its log.
const MOST_RETRIES: u32 = 1000;

pub(crate) fn retry(node: Node<'_>, origins: &mut Origins, out: &mut Findings) -> Option<RetrySpec> {
    shape::check(node, &RETRY, out);
    origins.insert("retry", node.origin());
    let backoff = Field::one(node, "backoff", out)
        .and_then(|value| value.parsed("bad-duration", values::duration_or_zero, out))
        .unwrap_or_default();
    let mut on = Vec::new();
    for value in Field::many(node, "on", out) {
        if let Some(cause) = value.word(CAUSES, out)
            && !on.contains(&cause)
        {
            on.push(cause);
        }
    }
    let value = node.arg()?;
    let limit = value.whole(0, out)?;
    if limit > MOST_RETRIES {
        out.error("too-many-retries", value.origin(), format!("more than {MOST_RETRIES} retries are not allowed"));
        return None;
    }
    Some(RetrySpec { limit, backoff, on })
}

pub(crate) fn resources(node: Node<'_>, part: &str, origins: &mut Origins, out: &mut Findings) -> ResourceSpec {
    shape::check(node, &RESOURCES, out);
    origins.insert(part, node.origin());
    let mut resources = ResourceSpec::default();
    if let Some(value) = Field::one(node, "cpu", out) {
        origins.insert(format!("{part}.cpu"), value.origin());
        resources.cpu_millis = value.parsed("bad-cpu", values::cpu, out);
    }
    if let Some(value) = Field::one(node, "memory", out) {
        origins.insert(format!("{part}.memory"), value.origin());
        resources.memory_bytes = value.parsed("bad-memory", values::memory, out);
    }
    if node.props().next().is_none() && !node.has_children() {
        shape::missing(node, &["cpu", "memory"], out);
    }
    resources
}
