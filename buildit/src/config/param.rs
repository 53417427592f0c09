//! `param` nodes.

use super::findings::{Findings, list, shown};
use super::node::{Node, Seen};
use super::shape::{self, Args, Field, Shape};
use super::values;
use crate::pipeline::{ParamSpec, PipelineSpec};

const PARAM: Shape =
    Shape { args: Args::One("a name"), fields: &["default", "choices", "description"], nodes: &[], many: &["choices"] };

pub(crate) fn decode(node: Node<'_>, seen: &mut Seen, spec: &mut PipelineSpec, out: &mut Findings) {
    shape::check(node, &PARAM, out);
    let Some(name) = node.arg().and_then(|name| name.parsed("bad-name", values::key, out)) else { return };
    if !seen.insert("duplicate-param", &name, node, out) {
        return;
    }
    let mut param = ParamSpec { name, origin: Some(node.origin()), ..ParamSpec::default() };
    for value in Field::many(node, "choices", out) {
        if let Some(choice) = value.raw_text(out) {
            if param.choices.iter().any(|known| known == choice) {
                out.error("duplicate-value", value.origin(), format!("`{}` is a choice twice", shown(choice)));
            } else {
                param.choices.push(choice.to_owned());
            }
        }
    }
    if let Some(value) = Field::one(node, "default", out)
        && let Some(default) = value.text(out)
    {
        spec.origins.insert(format!("params.{}.default", param.name), value.origin());
        if !param.choices.is_empty() && !param.choices.iter().any(|choice| *choice == default) {
            let choices: Vec<&str> = param.choices.iter().map(String::as_str).collect();
            out.hinted(
                "default-not-a-choice",
                value.origin(),
                format!("the default `{}` of `{}` is none of its choices", shown(&default), param.name),
                format!("the choices are {}", list(&choices)),
            );
        }
        param.default = Some(default.into_owned());
    }
    param.description = Field::one(node, "description", out).and_then(|value| value.raw_text(out)).map(str::to_owned);
    spec.origins.insert(format!("params.{}", param.name), node.origin());
    spec.params.push(param);
}
