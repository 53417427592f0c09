//! `stage` nodes.

mod action;
mod approval;
mod artifacts;
mod container;
mod limits;
mod matrix;
mod merge;
mod needs;
mod when;

use indexmap::IndexSet;

use super::document::Templates;
use super::env::{self, Earlier};
use super::findings::Findings;
use super::node::{Node, Value};
use super::shape::{self, Args, Shape};
use super::values::{self, Bad};
use crate::pipeline::{Action, Command, Origins, RunAction, StageSpec};
pub(crate) use merge::{check_template, template_of};

/// What a stage may hold.
pub(crate) const NODES: &[&str] = &[
    "needs",
    "matrix",
    "when",
    "image",
    "env",
    "service",
    "cache",
    "run",
    "deploy",
    "terraform",
    "build-image",
    "reports",
    "timeout",
    "retry",
    "resources",
    "runs-on",
    "cacheable",
    "inputs",
    "artifacts",
    "environment",
    "approval",
    "manual",
    "secrets",
    "executor",
    "allow-failure",
    "shell",
    "workdir",
    "entrypoint",
    "privileged",
];

/// Which of them may stand more than once.
const MANY: &[&str] =
    &["needs", "env", "service", "cache", "run", "artifacts", "secrets", "runs-on", "inputs", "reports"];

/// The arguments and properties of a stage.
const HEADER: Shape = Shape { args: Args::One("a name"), fields: &["needs", "use"], nodes: NODES, many: &["needs"] };

pub(crate) fn decode<'a>(node: Node<'a>, templates: &Templates<'a>, out: &mut Findings) -> Option<StageSpec> {
    shape::check_type(node, out);
    shape::check_entries(node, &HEADER, out);
    let name = node.arg().and_then(|value| value.parsed("bad-name", values::stage_name, out));
    let used_at = node.prop("use").map(|value| value.origin());
    let parts = merge::parts(node, templates, used_at.as_ref(), out);
    let template_missing = template_of(node).is_some_and(|(name, _)| !templates.contains_key(name));
    // A stage without a usable name is read all the same: its other mistakes are told too.
    let named = name.is_some();
    let stage = read(node, name.unwrap_or_default(), &parts, template_missing, out);
    named.then_some(stage)
}

/// Reads the nodes that make up a stage: its own, and before them those of its template. `incomplete` when those could
/// not be found.
fn read<'a>(stage_node: Node<'a>, name: String, parts: &[Node<'_>], incomplete: bool, out: &mut Findings) -> StageSpec {
    let mut stage = StageSpec::new(name, Action::Run(RunAction::default()));
    stage.origins.insert("stage", stage_node.origin());
    let mut needs = needs::Needs::default();
    needs.take_properties(stage_node, &mut stage.origins, out);
    let mut actions = action::Actions::default();
    let mut services = super::node::Seen::default();
    let (mut caches, mut secrets) = (IndexSet::new(), IndexSet::new());
    let (mut from_template, mut own) = (Earlier::new(), Earlier::new());
    for part in parts {
        let (node, origins) = (*part, &mut stage.origins);
        match node.name() {
            "needs" => needs.take_node(node, origins, out),
            "matrix" => stage.matrix = matrix::decode(node, origins, out).map(Box::new),
            "when" => stage.when = when::decode(node, origins, out).map(Box::new),
            "image" => stage.image = container::image(node, "image", origins, out).map(Box::new),
            "env" => {
                let earlier = if node.place.used_at.is_some() { &mut from_template } else { &mut own };
                env::decode(node, "env", earlier, &mut stage.env, origins, out);
            }
            "service" => stage.services.extend(container::service(node, &mut services, origins, out)),
            "cache" => names(node, "caches", values::key, &mut caches, origins, out),
            "secrets" => names(node, "secrets", values::variable, &mut secrets, origins, out),
            "run" | "deploy" | "terraform" | "build-image" | "shell" => actions.take(node, origins, out),
            "reports" => {
                let reports = stage.reports.get_or_insert_default();
                artifacts::reports(node, reports, origins, out);
            }
            "artifacts" => artifacts::decode(node, &mut stage.artifacts, origins, out),
            "timeout" => {
                let value = single(node, "timeout", "a duration", origins, out);
                stage.timeout = value.and_then(|value| value.parsed("bad-duration", values::duration, out));
            }
            "retry" => stage.retry = limits::retry(node, origins, out).map(Box::new),
            "resources" => stage.resources = limits::resources(node, "resources", origins, out),
            "runs-on" => list_of(node, "runs-on", "a label", values::filled, &mut stage.runs_on, origins, out),
            "cacheable" => {
                origins.insert("cacheable", node.origin());
                stage.cacheable = shape::flag(node, out);
            }
            "inputs" => list_of(node, "inputs", "a glob", values::path_glob, &mut stage.inputs, origins, out),
            "environment" => {
                let value = single(node, "environment", "a name", origins, out);
                stage.environment = value.and_then(|value| value.parsed("bad-name", values::filled, out));
            }
            "approval" | "manual" => approval::decode(node, &mut stage.approval, origins, out),
            "executor" => {
                let value = single(node, "executor", "a name", origins, out);
                stage.executor = value.and_then(|value| value.parsed("bad-name", values::key, out)).map(Into::into);
            }
            "allow-failure" => {
                origins.insert("allow-failure", node.origin());
                stage.allow_failure = shape::flag(node, out);
            }
            "workdir" => {
                let value = single(node, "workdir", "a path", origins, out);
                stage.workdir = value.and_then(|value| text(value, "bad-path", values::path, out));
            }
            "entrypoint" => {
                list_of(node, "entrypoint", "a word", |text| Ok(text.to_owned()), &mut stage.entrypoint, origins, out);
            }
            "privileged" => {
                origins.insert("privileged", node.origin());
                stage.privileged = shape::flag(node, out);
            }
            // Reported by the check of the stage or of its template.
            _ => {}
        }
    }
    stage.needs = needs.finish();
    stage.caches = caches.into_iter().collect();
    stage.secrets = secrets.into_iter().collect();
    matrix::check_excludes(&stage, out);
    // Where an action is missing or wrong, which was told, one that does nothing stands in for it, so that what
    // needs the stage is not called wrong too.
    let misspelt = incomplete || parts.iter().any(|part| !NODES.contains(&part.name()));
    stage.action = actions.finish(stage_node, misspelt, out).unwrap_or_else(|| {
        let commands = vec![Command::new("true")];
        Action::Run(RunAction { commands, ..RunAction::default() })
    });
    if !stage.inputs.is_empty() && !stage.cacheable {
        let origin = stage.origins.get("inputs[0]").cloned().unwrap_or_default();
        let message = "`inputs` has no effect: the stage is not `cacheable`";
        out.warning("unused-inputs", origin, message, "add `cacheable #true`, or take `inputs` away");
    }
    stage
}

/// The only argument of a node, noted as this part.
fn single<'a>(
    node: Node<'a>,
    part: &'static str,
    what: &'static str,
    origins: &mut Origins,
    out: &mut Findings,
) -> Option<Value<'a>> {
    shape::check(node, &Shape::leaf(Args::One(what)), out);
    let value = node.arg()?;
    origins.insert(part, value.origin());
    Some(value)
}

/// A text that may hold references, and of which what is fixed is checked.
fn text(
    value: Value<'_>,
    code: &'static str,
    read: impl Fn(&str) -> Result<String, Bad>,
    out: &mut Findings,
) -> Option<String> {
    let text = value.text(out)?;
    match read(&text) {
        Ok(text) => Some(text),
        Err(bad) => {
            out.hinted(code, value.origin(), bad.message, bad.help);
            None
        }
    }
}

/// Adds the arguments of a node to a list.
fn list_of(
    node: Node<'_>,
    part: &str,
    what: &'static str,
    read: impl Fn(&str) -> Result<String, Bad>,
    values: &mut Vec<String>,
    origins: &mut Origins,
    out: &mut Findings,
) {
    shape::check(node, &Shape::leaf(Args::Some(what)), out);
    for value in node.args() {
        if let Some(text) = text(value, "bad-value", &read, out) {
            origins.insert(format!("{part}[{}]", values.len()), value.origin());
            values.push(text);
        }
    }
}

/// Adds the arguments of a node to a list of names; a second one of the same name changes nothing.
fn names(
    node: Node<'_>,
    part: &str,
    read: fn(&str) -> Result<String, Bad>,
    names: &mut IndexSet<String>,
    origins: &mut Origins,
    out: &mut Findings,
) {
    shape::check(node, &Shape::leaf(Args::Some("a name")), out);
    for value in node.args() {
        if let Some(name) = value.parsed("bad-name", read, out)
            && !names.contains(&name)
        {
            origins.insert(format!("{part}.{name}"), value.origin());
            names.insert(name);
        }
    }
}
