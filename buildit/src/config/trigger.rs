//! `on` nodes, also written `trigger`.

use super::findings::Findings;
use super::node::Node;
use super::shape::{self, Args, Field, Shape};
use super::values::{self, Bad};
use crate::pipeline::{PipelineSpec, Trigger};

const ANY: Shape = Shape {
    args: Args::One("an event"),
    fields: &["branches", "paths", "pattern", "cron", "timezone", "secret"],
    nodes: &[],
    many: &["branches", "paths"],
};

/// The events, each with the settings that it takes.
const EVENTS: &[(&str, Shape)] = &[
    ("push", shape_of(&["branches", "paths"])),
    ("pull_request", shape_of(&["branches", "paths"])),
    ("tag", shape_of(&["pattern"])),
    ("schedule", shape_of(&["cron", "timezone"])),
    ("webhook", shape_of(&["secret"])),
    ("manual", shape_of(&[])),
];

const fn shape_of(fields: &'static [&'static str]) -> Shape {
    Shape { args: Args::One("an event"), fields, nodes: &[], many: &["branches", "paths"] }
}

pub(crate) fn decode(node: Node<'_>, spec: &mut PipelineSpec, out: &mut Findings) {
    let index = node.arg().and_then(|value| {
        let events: Vec<(&str, usize)> = EVENTS.iter().enumerate().map(|(index, (event, _))| (*event, index)).collect();
        value.word(&events, out)
    });
    let Some((event, shape)) = index.map(|index| &EVENTS[index]) else {
        shape::check(node, &ANY, out);
        return;
    };
    shape::check(node, shape, out);
    let mut trigger = Trigger { origin: Some(node.origin()), ..Trigger::new(*event) };
    let part = format!("triggers[{}]", spec.triggers.len());
    for (name, globs) in [("branches", &mut trigger.branches), ("paths", &mut trigger.paths)] {
        for value in Field::many(node, name, out) {
            spec.origins.insert(format!("{part}.{name}[{}]", globs.len()), value.origin());
            globs.extend(value.parsed("bad-glob", fixed(values::glob), out));
        }
    }
    let settings = [
        ("pattern", &mut trigger.pattern, "bad-glob", values::glob as fn(&str) -> Result<String, Bad>),
        ("cron", &mut trigger.cron, "bad-cron", values::cron),
        ("timezone", &mut trigger.timezone, "bad-timezone", values::timezone),
        ("secret", &mut trigger.secret, "bad-name", values::variable),
    ];
    for (name, setting, code, read) in settings {
        if let Some(value) = Field::one(node, name, out) {
            spec.origins.insert(format!("{part}.{name}"), value.origin());
            *setting = value.parsed(code, fixed(read), out);
        }
    }
    if *event == "schedule" && Field::all(node, "cron").next().is_none() {
        shape::missing(node, &["cron"], out);
    }
    spec.triggers.push(trigger);
}

/// What starts a run is read when there is no run yet: a reference has no value then.
fn fixed(read: impl Fn(&str) -> Result<String, Bad>) -> impl Fn(&str) -> Result<String, Bad> {
    move |text| {
        if text.contains("${") {
            return Err(Bad::new("a reference cannot stand here", "write the value itself"));
        }
        read(text)
    }
}
