//! `artifacts` and `reports`.

use super::super::findings::Findings;
use super::super::node::Node;
use super::super::shape::{self, Args, Field, Shape};
use super::super::values;
use super::text;
use crate::pipeline::{ArtifactSpec, ArtifactWhen, Origins, ReportsSpec};

const ARTIFACTS: Shape =
    Shape { args: Args::Some("a path or glob"), fields: &["name", "optional", "on"], nodes: &[], many: &[] };

const REPORTS: Shape = Shape { args: Args::No, fields: &["junit"], nodes: &[], many: &["junit"] };

const ON: &[(&str, ArtifactWhen)] =
    &[("success", ArtifactWhen::Success), ("failure", ArtifactWhen::Failure), ("always", ArtifactWhen::Always)];

pub(crate) fn decode(node: Node<'_>, artifacts: &mut Vec<ArtifactSpec>, origins: &mut Origins, out: &mut Findings) {
    shape::check(node, &ARTIFACTS, out);
    let mut common = ArtifactSpec { optional: Field::flag(node, "optional", out), ..ArtifactSpec::default() };
    if let Some(value) = Field::one(node, "on", out) {
        common.on = value.word(ON, out).unwrap_or_default();
    }
    let name = Field::one(node, "name", out);
    if let Some(value) = name {
        common.name = text(value, "bad-name", values::filled, out);
        if let Some(second) = node.args().nth(1) {
            let help = "write an `artifacts` node for each path, with a name of its own";
            out.hinted("shared-name", second.origin(), "several paths cannot share one name", help);
        }
    }
    for value in node.args() {
        let Some(path) = text(value, "bad-path", values::path_glob, out) else { continue };
        origins.insert(format!("artifacts[{}]", artifacts.len()), value.origin());
        if let Some(name) = name {
            origins.insert(format!("artifacts[{}].name", artifacts.len()), name.origin());
        }
        artifacts.push(ArtifactSpec { path, ..common.clone() });
    }
}

pub(crate) fn reports(node: Node<'_>, reports: &mut ReportsSpec, origins: &mut Origins, out: &mut Findings) {
    shape::check(node, &REPORTS, out);
    let values = Field::many(node, "junit", out);
    if values.is_empty() {
        shape::missing(node, &["junit"], out);
    }
    for value in values {
        if let Some(glob) = text(value, "bad-path", values::path_glob, out) {
            origins.insert(format!("reports.junit[{}]", reports.junit.len()), value.origin());
            reports.junit.push(glob);
        }
    }
}
