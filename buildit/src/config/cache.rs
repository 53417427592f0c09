//! `cache` nodes at the top level: what a cache holds. Stages use it by its name.

use super::findings::Findings;
use super::node::{Node, Seen};
use super::shape::{self, Args, Field, Shape};
use super::values;
use crate::pipeline::{CacheSpec, PipelineSpec};

const CACHE: Shape = Shape {
    args: Args::One("a name"),
    fields: &["path", "key", "restore-keys"],
    nodes: &[],
    many: &["path", "restore-keys"],
};

pub(crate) fn decode(node: Node<'_>, seen: &mut Seen, spec: &mut PipelineSpec, out: &mut Findings) {
    shape::check(node, &CACHE, out);
    let Some(name) = node.arg().and_then(|name| name.parsed("bad-name", values::key, out)) else { return };
    if !seen.insert("duplicate-cache", &name, node, out) {
        return;
    }
    let part = format!("caches.{name}");
    let mut cache = CacheSpec { name, origin: Some(node.origin()), ..CacheSpec::default() };
    for value in Field::many(node, "path", out) {
        spec.origins.insert(format!("{part}.paths[{}]", cache.paths.len()), value.origin());
        cache.paths.extend(value.parsed("bad-path", values::cache_path, out));
    }
    for value in Field::many(node, "restore-keys", out) {
        spec.origins.insert(format!("{part}.restore-keys[{}]", cache.restore_keys.len()), value.origin());
        cache.restore_keys.extend(value.text(out).map(String::from));
    }
    if let Some(value) = Field::one(node, "key", out) {
        spec.origins.insert(format!("{part}.key"), value.origin());
        cache.key = value.text(out).unwrap_or_default().into_owned();
    }
    let missing: Vec<&str> =
        ["path", "key"].into_iter().filter(|name| Field::all(node, name).next().is_none()).collect();
    if !missing.is_empty() {
        shape::missing(node, &missing, out);
    }
    spec.origins.insert(part, node.origin());
    spec.caches.push(cache);
}
