//! What a run was made to do: its compiled plan, on its page.

use buildit::compare::{pipeline_parts, stage_parts};
use buildit::pipeline::{PipelineSpec, StageSpec};
use serde::Deserialize;
use serde_json::Value;

use super::super::page::part;

/// How many stages a page has.
const LIMIT: usize = 50;

/// Which stages are looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PlanLook {
    /// What stands in their names.
    text: String,
    from: usize,
}

/// The tab.
pub(super) struct PlanTab {
    pub(super) text: String,
    pub(super) pipeline: Vec<(String, String)>,
    pub(super) stages: Vec<Stage>,
    /// How many stages the plan has.
    pub(super) all: usize,
    pub(super) next: Option<String>,
}

/// A stage as it was compiled.
pub(super) struct Stage {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) needs: String,
    pub(super) parts: Vec<(String, String)>,
    pub(super) is_open: bool,
}

pub(super) fn tab(plan: &PipelineSpec, look: &PlanLook, chosen: Option<&str>, link: &str) -> PlanTab {
    let wanted = look.text.trim().to_lowercase();
    let found = plan.stages.iter().filter(|stage| stage.name.to_lowercase().contains(&wanted));
    let found: Vec<_> = found.collect();
    let end = look.from.saturating_add(LIMIT);
    let next = (found.len() > end).then(|| format!("{link}?tab=plan&text={}&from={end}", part(&look.text)));
    let stages = found.into_iter().skip(look.from).take(LIMIT).map(|of| stage(of, chosen));
    PlanTab {
        text: look.text.clone(),
        pipeline: pipeline_parts(plan).into_iter().map(shown).collect(),
        stages: stages.collect(),
        all: plan.stages.len(),
        next,
    }
}

fn stage(of: &StageSpec, chosen: Option<&str>) -> Stage {
    let needs: Vec<&str> = of.needs.iter().map(|need| need.as_str()).collect();
    Stage {
        name: of.name.to_string(),
        image: of.image.as_ref().map(|image| image.reference.clone()).unwrap_or_default(),
        needs: needs.join(", "),
        parts: stage_parts(of).into_iter().map(shown).collect(),
        is_open: chosen == Some(of.name.as_str()),
    }
}

fn shown((name, value): (String, Value)) -> (String, String) {
    let value = match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    (name, value)
}
