//! Where two runs are not the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;

use super::facts::RunFacts;
use super::plan;
use crate::pipeline::StageSpec;

/// How much longer or shorter a stage must have run for people to be told, and by which part of what it was: below, it
/// is chance.
const NOTABLE: (Duration, f64) = (Duration::from_millis(500), 0.2);

/// What kind of thing differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// The pipeline, or a stage of it: `max_parallel`, `test.action`.
    Plan,
    /// A stage's image.
    Image,
    /// What the run was given: `params.region`, `git.sha`, `source`.
    Input,
    /// How a stage ended.
    Status,
    /// How long a stage ran, in milliseconds.
    Duration,
}

impl Kind {
    /// The word as scripts read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Image => "image",
            Self::Input => "input",
            Self::Status => "status",
            Self::Duration => "duration",
        }
    }
}

/// Something that is not the same in two runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// What kind of thing.
    pub kind: Kind,
    /// The stage that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Which thing: the field, the input; empty where kind and stage say it all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What it was in the earlier run; `None`: it was not there.
    pub before: Option<Value>,
    /// What it is in the later one.
    pub after: Option<Value>,
}

impl Difference {
    /// Whether people want to be told: no two runs of a stage take equally long.
    #[must_use]
    pub fn is_notable(&self) -> bool {
        if self.kind != Kind::Duration {
            return true;
        }
        let ms = |value: &Option<Value>| value.as_ref().and_then(Value::as_u64);
        let (Some(before), Some(after)) = (ms(&self.before), ms(&self.after)) else { return false };
        let changed = before.abs_diff(after);
        Duration::from_millis(changed) >= NOTABLE.0 && changed as f64 >= before as f64 * NOTABLE.1
    }
}

/// What is different between two runs, by kind, and within a kind in the order of the stages or inputs.
#[must_use]
pub fn difference(before: &RunFacts, after: &RunFacts) -> Vec<Difference> {
    let (old, new) = (&before.record.run, &after.record.run);
    let mut all = Vec::new();
    each(&plan::pipeline_parts(&old.plan), &plan::pipeline_parts(&new.plan), |name, before, after| {
        all.push(Difference { kind: Kind::Plan, stage: None, name, before, after });
    });
    let mut images = Vec::new();
    for (name, before, after) in stages(before, after) {
        match (before, after) {
            (Some(before), Some(after)) if Arc::ptr_eq(before, after) => {}
            (Some(before), Some(after)) => {
                let stage = || Some(name.to_owned());
                each(&plan::stage_parts(before), &plan::stage_parts(after), |name, before, after| {
                    all.push(Difference { kind: Kind::Plan, stage: stage(), name, before, after });
                });
                let (before, after) = (image(before), image(after));
                if before != after {
                    images.push(Difference { kind: Kind::Image, stage: stage(), name: String::new(), before, after });
                }
            }
            (before, after) => all.push(Difference {
                kind: Kind::Plan,
                stage: Some(name.to_owned()),
                name: String::new(),
                before: before.map(|_| true.into()),
                after: after.map(|_| true.into()),
            }),
        }
    }
    all.append(&mut images);
    each(&plan::of_context(old), &plan::of_context(new), |name, before, after| {
        all.push(Difference { kind: Kind::Input, stage: None, name, before, after });
    });
    outcomes(before, after, &mut all);
    all
}

/// The stages of both runs: those of the later one in their order, then those that only the earlier one has.
fn stages<'a>(
    before: &'a RunFacts,
    after: &'a RunFacts,
) -> impl Iterator<Item = (&'a str, Option<&'a Arc<StageSpec>>, Option<&'a Arc<StageSpec>>)> {
    let by_name = |facts: &'a RunFacts| -> HashMap<&str, &Arc<StageSpec>> {
        facts.record.run.plan.stages.iter().map(|stage| (&*stage.name, stage)).collect()
    };
    let (old, new) = (by_name(before), by_name(after));
    let names = after.record.run.plan.stages.iter().map(|stage| &*stage.name);
    let gone = before.record.run.plan.stages.iter().map(|stage| &*stage.name);
    let gone: Vec<&str> = gone.filter(|name| !new.contains_key(name)).collect();
    names.chain(gone).map(move |name| (name, old.get(name).copied(), new.get(name).copied()))
}

fn image(stage: &StageSpec) -> Option<Value> {
    Some(stage.image.as_ref()?.reference.clone().into())
}

/// How the stages ended and how long they took, where both runs have them.
fn outcomes(before: &RunFacts, after: &RunFacts, all: &mut Vec<Difference>) {
    let mut durations = Vec::new();
    for (name, old, new) in stages(before, after) {
        let (Some(_), Some(_)) = (old, new) else { continue };
        let (old, new) = (before.stages.get(name), after.stages.get(name));
        let stage = || Some(name.to_owned());
        let status = |facts: Option<&super::StageFacts>| -> Option<Value> {
            Some(facts?.result.as_ref()?.status.as_str().into())
        };
        let (was, is) = (status(old), status(new));
        if was != is {
            all.push(Difference { kind: Kind::Status, stage: stage(), name: String::new(), before: was, after: is });
        }
        let took = |facts: Option<&super::StageFacts>| -> Option<Value> {
            Some(u64::try_from(facts?.duration?.as_millis()).unwrap_or(u64::MAX).into())
        };
        let (was, is) = (took(old), took(new));
        if was != is {
            durations.push(Difference {
                kind: Kind::Duration,
                stage: stage(),
                name: String::new(),
                before: was,
                after: is,
            });
        }
    }
    all.append(&mut durations);
}

/// Each name under which the two have not the same.
fn each(
    before: &IndexMap<String, Value>,
    after: &IndexMap<String, Value>,
    mut found: impl FnMut(String, Option<Value>, Option<Value>),
) {
    for (name, value) in after {
        let earlier = before.get(name);
        if earlier != Some(value) {
            found(name.clone(), earlier.cloned(), Some(value.clone()));
        }
    }
    for (name, value) in before.iter().filter(|(name, _)| !after.contains_key(*name)) {
        found(name.clone(), Some(value.clone()), None);
    }
}
