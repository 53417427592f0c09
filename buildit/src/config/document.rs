//! The top level of the file and of what it includes.

use std::collections::HashMap;
use std::sync::Arc;

use super::env::Earlier;
use super::findings::{Findings, shown};
use super::node::{Node, Seen};
use super::shape::{self, Args, Shape};
use super::{cache, env, head, param, stage, trigger, values};
use crate::pipeline::PipelineSpec;

/// What may stand at the top level.
const NODES: &[&str] = &["pipeline", "on", "trigger", "param", "env", "cache", "template", "stage", "include"];

/// The templates of all files, by name.
pub(crate) type Templates<'a> = HashMap<&'a str, Node<'a>>;

/// Reads the nodes of all files, in the order in which they count.
pub(crate) fn decode<'a>(nodes: &[Node<'a>], file_name: &str, out: &mut Findings) -> PipelineSpec {
    let mut spec = PipelineSpec { name: default_name(file_name), ..PipelineSpec::default() };
    let templates = collect_templates(nodes, out);
    let mut used: HashMap<&str, bool> = templates.keys().map(|name| (*name, false)).collect();
    let (mut params, mut caches, mut variables) = (Seen::default(), Seen::default(), Earlier::new());
    let mut head = None;
    for node in nodes {
        match node.name() {
            "pipeline" => match head {
                None => {
                    head = Some(*node);
                    head::decode(*node, &mut spec, out);
                }
                Some(first) => shape::duplicate_node(*node, first, out),
            },
            "on" | "trigger" => trigger::decode(*node, &mut spec, out),
            "param" => param::decode(*node, &mut params, &mut spec, out),
            "env" => env::decode(*node, "env", &mut variables, &mut spec.env, &mut spec.origins, out),
            "cache" => cache::decode(*node, &mut caches, &mut spec, out),
            "stage" => {
                if let Some((name, _)) = stage::template_of(*node) {
                    used.entry(name).and_modify(|used| *used = true);
                }
                if let Some(stage) = stage::decode(*node, &templates, out) {
                    spec.stages.push(Arc::new(stage));
                }
            }
            "template" | "include" => {}
            _ => shape::unknown_node(*node, None, NODES, out),
        }
    }
    // A template that no stage uses is read all the same, so that its mistakes are found where it is written.
    for node in nodes.iter().filter(|node| node.name() == "template") {
        let name = node.arg().and_then(|value| value.raw_text(&mut Findings::default()));
        if name.is_some_and(|name| used.get(name) == Some(&false)) {
            stage::check_template(*node, out);
        }
    }
    spec
}

fn collect_templates<'a>(nodes: &[Node<'a>], out: &mut Findings) -> Templates<'a> {
    let mut templates = Templates::new();
    for node in nodes.iter().filter(|node| node.name() == "template") {
        shape::check_type(*node, out);
        let header = Shape::leaf(Args::One("a name"));
        shape::check_entries(*node, &header, out);
        let Some(name) = node.arg().and_then(|value| {
            value.parsed("bad-name", values::key, out)?;
            value.raw_text(out)
        }) else {
            continue;
        };
        if let Some(first) = templates.get(name) {
            out.related(
                "duplicate-template",
                node.origin(),
                format!("there are two templates named `{}`", shown(name)),
                (first.origin(), "the first one is here"),
            );
        } else {
            templates.insert(name, *node);
        }
    }
    templates
}

/// The name of a pipeline that gives itself none: that of its file.
fn default_name(file: &str) -> String {
    let stem = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".kdl").trim_start_matches('.');
    if stem.is_empty() { "pipeline".to_owned() } else { stem.to_owned() }
}
