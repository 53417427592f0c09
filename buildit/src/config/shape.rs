//! What a node may hold, and the check that it holds nothing else.

use super::findings::{Findings, list, shown, suggestion};
use super::node::{Node, Value};

/// How many arguments a node takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Args {
    /// None.
    No,
    /// Exactly one: what it is.
    One(&'static str),
    /// None or one: what it is.
    Optional(&'static str),
    /// At least one: what they are.
    Some(&'static str),
    /// The reader of the node checks them.
    Any,
}

/// What a node may hold.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) args: Args,
    /// What may stand as a property or as a node with one argument or more.
    pub(crate) fields: &'static [&'static str],
    /// Nodes only.
    pub(crate) nodes: &'static [&'static str],
    /// Which of the fields and nodes may stand more than once.
    pub(crate) many: &'static [&'static str],
}

impl Shape {
    /// A node that takes arguments and nothing else.
    pub(crate) const fn leaf(args: Args) -> Self {
        Self { args, fields: &[], nodes: &[], many: &[] }
    }
}

/// Reports whatever the node holds that the shape does not know.
pub(crate) fn check(node: Node<'_>, shape: &Shape, out: &mut Findings) {
    check_type(node, out);
    check_entries(node, shape, out);
    check_children(node, shape, out);
}

/// The same of its arguments and properties alone.
pub(crate) fn check_entries(node: Node<'_>, shape: &Shape, out: &mut Findings) {
    check_args(node, shape.args, out);
    check_props(node, shape, out);
}

pub(crate) fn check_type(node: Node<'_>, out: &mut Findings) {
    if node.kdl.ty().is_some() {
        type_annotation(node.origin(), out);
    }
    for value in node.entries().filter(Value::has_type) {
        type_annotation(value.entry_origin(), out);
    }
}

fn type_annotation(origin: crate::pipeline::Origin, out: &mut Findings) {
    out.hinted("type-annotation", origin, "a type annotation has no meaning here", "take away the part in `( )`");
}

fn check_args(node: Node<'_>, args: Args, out: &mut Findings) {
    let (least, most, what) = match args {
        Args::No => (0, 0, ""),
        Args::One(what) => (1, 1, what),
        Args::Optional(what) => (0, 1, what),
        Args::Some(what) => (1, usize::MAX, what),
        Args::Any => return,
    };
    if least == 1 && node.arg().is_none() {
        let name = shown(node.name());
        out.hinted(
            "missing-argument",
            node.name_origin(),
            format!("`{name}` needs {what}"),
            format!("write `{name} \"…\"`"),
        );
    }
    for extra in node.args().skip(most) {
        let name = shown(node.name());
        let message = match most {
            0 => format!("`{name}` takes no argument"),
            _ => format!("`{name}` takes one argument, {what}"),
        };
        out.error("unexpected-argument", extra.origin(), message);
    }
}

fn check_props(node: Node<'_>, shape: &Shape, out: &mut Findings) {
    // A node has few known properties, so a small array of what was seen is enough however many are written.
    let mut seen = vec![None; shape.fields.len()];
    for (key, value) in node.props() {
        let Some(index) = shape.fields.iter().position(|known| *known == key) else {
            let name = shown(node.name());
            let help = match shape.nodes.contains(&key) {
                true => format!("`{key}` is a node: write it in the block of `{name}`"),
                false => suggestion(key, shape.fields, "property"),
            };
            out.hinted(
                "unknown-property",
                value.entry_origin(),
                format!("`{name}` has no property `{}`", shown(key)),
                help,
            );
            continue;
        };
        match &seen[index] {
            None => seen[index] = Some(value),
            Some(_) if shape.many.contains(&key) => {}
            Some(first) => out.related(
                "duplicate-property",
                value.entry_origin(),
                format!("the property `{key}` is written more than once"),
                (first.entry_origin(), "first written here"),
            ),
        }
    }
}

/// Reports the nodes in its block that the shape does not know, and those that are there twice.
pub(crate) fn check_children(node: Node<'_>, shape: &Shape, out: &mut Findings) {
    let mut seen: Vec<Option<Node<'_>>> = vec![None; shape.fields.len() + shape.nodes.len()];
    for child in node.children() {
        let name = child.name();
        let known = shape.fields.iter().chain(shape.nodes).position(|known| *known == name);
        let Some(index) = known else {
            unknown_node(child, Some(node.name()), &[shape.fields, shape.nodes].concat(), out);
            continue;
        };
        if shape.many.contains(&name) {
            continue;
        }
        if let Some(first) = seen[index] {
            duplicate_node(child, first, out);
        } else if let Some(value) = node.prop(name) {
            out.related(
                "duplicate-node",
                child.origin(),
                format!("`{name}` is also written as a property"),
                (value.entry_origin(), "first written here"),
            );
        } else {
            seen[index] = Some(child);
        }
    }
}

pub(crate) fn duplicate_node(node: Node<'_>, first: Node<'_>, out: &mut Findings) {
    out.related(
        "duplicate-node",
        node.origin(),
        format!("`{}` is written more than once", shown(node.name())),
        (first.origin(), "first written here"),
    );
}

pub(crate) fn unknown_node(node: Node<'_>, parent: Option<&str>, known: &[&str], out: &mut Findings) {
    let name = node.name();
    let place = match parent {
        Some(parent) => format!("in `{}`", shown(parent)),
        None => "at the top level".to_owned(),
    };
    let help = match name {
        "stage" | "template" | "include" | "on" | "trigger" | "param" if parent.is_some() => {
            format!("`{name}` stands at the top level of the file")
        }
        _ => suggestion(name, known, "node"),
    };
    out.hinted("unknown-node", node.name_origin(), format!("`{}` is not known {place}", shown(name)), help);
}

/// A setting that stands as a property or as a node: `default="eu"`, `default "eu"`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field<'a> {
    Prop(Value<'a>),
    Child(Node<'a>),
}

impl<'a> Field<'a> {
    /// All settings of a node with this name, properties first.
    pub(crate) fn all(node: Node<'a>, name: &'static str) -> impl Iterator<Item = Field<'a>> {
        let props = node.props().filter(move |(key, _)| *key == name).map(|(_, value)| Field::Prop(value));
        props.chain(node.children().filter(move |child| child.name() == name).map(Field::Child))
    }

    /// The setting's only value.
    pub(crate) fn one(node: Node<'a>, name: &'static str, out: &mut Findings) -> Option<Value<'a>> {
        match Self::all(node, name).next()? {
            Field::Prop(value) => Some(value),
            Field::Child(child) => {
                check(child, &Shape::leaf(Args::One("one value")), out);
                child.arg()
            }
        }
    }

    /// All values of the setting.
    pub(crate) fn many(node: Node<'a>, name: &'static str, out: &mut Findings) -> Vec<Value<'a>> {
        let mut values = Vec::new();
        for field in Self::all(node, name) {
            match field {
                Field::Prop(value) => values.push(value),
                Field::Child(child) => {
                    check(child, &Shape::leaf(Args::Some("at least one value")), out);
                    values.extend(child.args());
                }
            }
        }
        values
    }

    /// A setting that is on when it is written without a value.
    pub(crate) fn flag(node: Node<'a>, name: &'static str, out: &mut Findings) -> bool {
        match Self::all(node, name).next() {
            None => false,
            Some(Field::Prop(value)) => value.flag(out).unwrap_or(false),
            Some(Field::Child(child)) => flag(child, out),
        }
    }
}

/// A node that is on when it is written without a value: `allow-failure`, `allow-failure #true`.
pub(crate) fn flag(node: Node<'_>, out: &mut Findings) -> bool {
    check(node, &Shape::leaf(Args::Optional("`#true` or `#false`")), out);
    node.arg().is_none_or(|value| value.flag(out).unwrap_or(false))
}

/// Reports that a required setting is missing.
pub(crate) fn missing(node: Node<'_>, names: &[&str], out: &mut Findings) {
    out.error("missing-setting", node.origin(), format!("`{}` needs {}", shown(node.name()), list(names)));
}
