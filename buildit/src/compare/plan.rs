//! What was asked, as names and values that can be told apart.

use indexmap::IndexMap;
use serde_json::Value;

use crate::pipeline::{PipelineSpec, StageSpec};
use crate::store::NewRun;

/// The parts of a stage, flat: `action.commands[0].source`, `env.A`. Where they were written is none.
#[must_use]
pub fn stage_parts(stage: &StageSpec) -> IndexMap<String, Value> {
    parts(serde_json::to_value(stage), &["name", "origins", "image"])
}

/// The parts of a pipeline beside its stages.
#[must_use]
pub fn pipeline_parts(spec: &PipelineSpec) -> IndexMap<String, Value> {
    parts(serde_json::to_value(spec), &["stages", "origins"])
}

/// What a run was given, flat: `params.region`, `git.sha`, `env.A`.
pub(super) fn of_context(run: &NewRun) -> IndexMap<String, Value> {
    let mut flat = IndexMap::new();
    if let Ok(context) = serde_json::to_value(&*run.context) {
        flatten("", context, &mut flat);
    }
    if let Some(source) = &run.source {
        flat.insert("source".into(), source.to_hex().into());
    }
    if let Some(executor) = &run.executor {
        flat.insert("executor".into(), executor.as_str().into());
    }
    flat
}

/// An object's fields but for these, flat.
fn parts(value: serde_json::Result<Value>, but: &[&str]) -> IndexMap<String, Value> {
    let mut flat = IndexMap::new();
    let Ok(Value::Object(mut fields)) = value else { return flat };
    // Whatever order the program that embeds this has chosen for such maps.
    fields.sort_keys();
    for (name, mut value) in fields.into_iter().filter(|(name, _)| !but.contains(&&**name)) {
        without_origins(&mut value);
        flatten(&name, value, &mut flat);
    }
    flat
}

fn without_origins(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("origin");
            fields.remove("origins");
            fields.values_mut().for_each(without_origins);
        }
        Value::Array(items) => items.iter_mut().for_each(without_origins),
        _ => {}
    }
}

fn flatten(prefix: &str, value: Value, into: &mut IndexMap<String, Value>) {
    match value {
        Value::Object(mut fields) => {
            fields.sort_keys();
            for (name, value) in fields {
                let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                flatten(&name, value, into);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (place, item) in items.into_iter().enumerate() {
                flatten(&format!("{prefix}[{place}]"), item, into);
            }
        }
        value => drop(into.insert(prefix.to_owned(), value)),
    }
}
