//! `approval`, and `manual #true` of older files.

use super::super::findings::Findings;
use super::super::node::{Node, Seen};
use super::super::shape::{self, Args, Field, Shape};
use super::super::values::{self, Bad};
use crate::pipeline::{ApprovalField, ApprovalSpec, Origins};

const APPROVAL: Shape =
    Shape { args: Args::No, fields: &["timeout", "message", "by"], nodes: &["field"], many: &["by", "field"] };

const FIELD: Shape = Shape {
    args: Args::One("a name"),
    fields: &["required", "default", "choices", "description"],
    nodes: &[],
    many: &["choices"],
};

pub(crate) fn decode(
    node: Node<'_>,
    approval: &mut Option<Box<ApprovalSpec>>,
    origins: &mut Origins,
    out: &mut Findings,
) {
    if approval.is_some() {
        let first = origins.get("approval").cloned().unwrap_or_default();
        let message = "the stage has two approvals";
        return out.related("duplicate-node", node.origin(), message, (first, "the first one is here"));
    }
    if node.name() == "manual" {
        if shape::flag(node, out) {
            origins.insert("approval", node.origin());
            *approval = Some(Box::default());
        }
        return;
    }
    shape::check(node, &APPROVAL, out);
    origins.insert("approval", node.origin());
    let mut spec = ApprovalSpec::default();
    if let Some(value) = Field::one(node, "timeout", out) {
        spec.timeout = value.parsed("bad-duration", values::duration, out);
    }
    if let Some(value) = Field::one(node, "message", out) {
        origins.insert("approval.message", value.origin());
        spec.message = value.text(out).map(Into::into);
    }
    for value in Field::many(node, "by", out) {
        origins.insert(format!("approval.by[{}]", spec.by.len()), value.origin());
        spec.by.extend(value.parsed("bad-approver", approver, out));
    }
    let mut seen = Seen::default();
    for child in node.children().filter(|child| child.name() == "field") {
        if let Some(field) = field(child, &mut seen, origins, out) {
            spec.fields.push(field);
        }
    }
    *approval = Some(Box::new(spec));
}

fn field(node: Node<'_>, seen: &mut Seen, origins: &mut Origins, out: &mut Findings) -> Option<ApprovalField> {
    shape::check(node, &FIELD, out);
    let name = node.arg().and_then(|name| name.parsed("bad-name", field_name, out))?;
    if !seen.insert("duplicate-field", &name, node, out) {
        return None;
    }
    origins.insert(format!("approval.fields.{name}"), node.origin());
    let mut field = ApprovalField { name, required: Field::flag(node, "required", out), ..ApprovalField::default() };
    for value in Field::many(node, "choices", out) {
        field.choices.extend(value.raw_text(out).map(str::to_owned));
    }
    if let Some(value) = Field::one(node, "default", out)
        && let Some(default) = value.raw_text(out)
    {
        if !field.choices.is_empty() && !field.choices.iter().any(|choice| choice == default) {
            let message = format!("the default of `{}` is none of its choices", field.name);
            out.error("default-not-a-choice", value.origin(), message);
        }
        field.default = Some(default.to_owned());
    }
    field.description = Field::one(node, "description", out).and_then(|value| value.raw_text(out)).map(str::to_owned);
    Some(field)
}

fn field_name(text: &str) -> Result<String, Bad> {
    if text == "by" {
        return Err(Bad::new("`by` is who approved", "give the field another name"));
    }
    values::key(text)
}

fn approver(text: &str) -> Result<String, Bad> {
    match text.split_once(':') {
        Some(("role" | "user" | "team", name)) if !name.trim().is_empty() => Ok(text.to_owned()),
        _ => Err(Bad::new(
            format!("`{}` names nobody", super::super::findings::shown(text)),
            "as in \"role:admin\" or \"user:ann\"",
        )),
    }
}
