//! `matrix { db "postgres" "sqlite"; exclude db="sqlite" }`.

use indexmap::IndexMap;

use super::super::env;
use super::super::findings::{Findings, shown, suggestion};
use super::super::node::Node;
use super::super::shape::{self, Args, Shape};
use super::super::values;
use crate::pipeline::{Matrix, Origins, StageSpec};

pub(crate) fn decode(node: Node<'_>, origins: &mut Origins, out: &mut Findings) -> Option<Matrix> {
    shape::check_type(node, out);
    shape::check_entries(node, &Shape::leaf(Args::No), out);
    origins.insert("matrix", node.origin());
    let mut matrix = Matrix::default();
    for child in node.children() {
        if child.name() == "exclude" {
            exclude(child, &mut matrix, origins, out);
        } else {
            axis(child, &mut matrix, origins, out);
        }
    }
    if matrix.axes.is_empty() {
        out.hinted(
            "empty-matrix",
            node.origin(),
            "the matrix has no axis",
            "give it axes with values: `matrix { db \"postgres\" \"sqlite\" }`",
        );
        return None;
    }
    Some(matrix)
}

fn axis(node: Node<'_>, matrix: &mut Matrix, origins: &mut Origins, out: &mut Findings) {
    shape::check(node, &Shape::leaf(Args::Some("values")), out);
    let name = match values::key(node.name()) {
        Ok(name) => name,
        Err(bad) => return out.hinted("bad-name", node.name_origin(), bad.message, bad.help),
    };
    if matrix.axes.contains_key(&name) {
        let message = format!("the axis `{name}` is written more than once");
        let first = origins.get(&format!("matrix.{name}")).cloned().unwrap_or_default();
        return out.related("duplicate-node", node.origin(), message, (first, "first written here"));
    }
    let mut axis = indexmap::IndexSet::new();
    for value in node.args() {
        let Some(text) = value.parsed("bad-value", cell_value, out) else { continue };
        if axis.contains(&text) {
            out.error("duplicate-value", value.origin(), format!("`{}` is a value of `{name}` twice", shown(&text)));
            continue;
        }
        origins.insert(format!("matrix.{name}[{}]", axis.len()), value.origin());
        axis.insert(text);
    }
    origins.insert(format!("matrix.{name}"), node.origin());
    matrix.axes.insert(name, axis.into_iter().collect());
}

/// A value stands in the names of cells (`test[db=sqlite,arch=arm64]`), so it must not look like their punctuation.
fn cell_value(text: &str) -> Result<String, values::Bad> {
    let bad = |why: &str| {
        values::Bad::new(format!("`{}` cannot be a value of a matrix: {why}", shown(text)), "keep it short and plain")
    };
    if text.is_empty() {
        return Err(bad("it is empty"));
    }
    if text.len() > 200 {
        return Err(bad("it is longer than 200 bytes"));
    }
    if text.contains("${") {
        return Err(bad("a reference cannot stand here"));
    }
    match text.chars().find(|c| c.is_control() || matches!(c, '[' | ']' | ',' | '"' | '`')) {
        Some(c) => Err(bad(&format!("it holds {c:?}"))),
        None => Ok(text.to_owned()),
    }
}

fn exclude(node: Node<'_>, matrix: &mut Matrix, origins: &mut Origins, out: &mut Findings) {
    let mut cells = IndexMap::new();
    let part = format!("matrix.exclude[{}]", matrix.exclude.len());
    let before = out.0.len();
    env::pairs(node, values::key, out, |name, value, out| {
        if let Some(text) = value.raw_text(out) {
            origins.insert(format!("{part}.{name}"), value.origin());
            if cells.insert(name.clone(), text.to_owned()).is_some() {
                out.error("duplicate-property", value.entry_origin(), format!("`{name}` is written more than once"));
            }
        }
    });
    if cells.is_empty() && out.0.len() == before {
        let help = "name the values of the cells to leave out: `exclude db=\"sqlite\"`";
        out.hinted("empty-exclude", node.origin(), "`exclude` says nothing", help);
    }
    origins.insert(part, node.origin());
    matrix.exclude.push(cells);
}

/// Reports an `exclude` that names what the matrix does not have.
pub(crate) fn check_excludes(stage: &StageSpec, out: &mut Findings) {
    let Some(matrix) = &stage.matrix else { return };
    for (index, exclude) in matrix.exclude.iter().enumerate() {
        for (axis, value) in exclude {
            let origin = stage.origins.get(&format!("matrix.exclude[{index}].{axis}")).cloned().unwrap_or_default();
            let Some(values) = matrix.axes.get(axis) else {
                let known: Vec<&str> = matrix.axes.keys().map(String::as_str).collect();
                let message = format!("the matrix has no axis `{}`", shown(axis));
                out.hinted("unknown-axis", origin, message, suggestion(axis, &known, "axis"));
                continue;
            };
            if !values.contains(value) {
                let known: Vec<&str> = values.iter().map(String::as_str).take(20).collect();
                let message = format!("`{}` is no value of `{axis}`", shown(value));
                out.hinted("unknown-value", origin, message, suggestion(value, &known, "value"));
            }
        }
    }
}
