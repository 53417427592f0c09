//! A run beside an earlier one, on its page.

use buildit::compare::{Difference, Kind};
use buildit::store::{RunRecord, StoreError};
use buildit_executors::reports::{TestChange, TestDifference};
use serde::Deserialize;
use serde_json::Value;

use super::super::page::part;
use super::stage_link;
use crate::app::compare;
use crate::app::reports::{self, Unread};
use crate::problem::Problem;
use crate::state::ServerState;
use crate::view::words;

/// How many characters of a value stand in its line.
const VALUE: usize = 80;

/// What the run is compared with.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CompareLook {
    /// The number of a run of the same pipeline; empty for the run that its tests are compared with.
    with: String,
}

/// The tab.
pub(super) struct CompareTab {
    /// The number that is asked for.
    pub(super) with: String,
    /// The run that it is compared with.
    pub(super) other: Option<Other>,
    /// Why there is none.
    pub(super) refused: Option<String>,
    pub(super) sections: Vec<Section>,
    pub(super) left_off: usize,
    pub(super) unread: Vec<(u64, Unread)>,
}

pub(super) struct Other {
    pub(super) number: u64,
    pub(super) status: &'static str,
    pub(super) link: String,
}

/// Differences of one kind.
pub(super) struct Section {
    pub(super) heading: &'static str,
    pub(super) rows: Vec<Row>,
}

pub(super) struct Row {
    pub(super) name: String,
    pub(super) link: Option<String>,
    pub(super) before: String,
    pub(super) after: String,
}

impl Row {
    pub(super) fn before_short(&self) -> String {
        words::middle(&self.before, VALUE)
    }

    pub(super) fn after_short(&self) -> String {
        words::middle(&self.after, VALUE)
    }
}

pub(super) async fn tab(
    state: &ServerState,
    record: &RunRecord,
    look: &CompareLook,
    pipeline: &str,
    above: &str,
    link: &str,
) -> Result<CompareTab, Problem> {
    let with = look.with.trim();
    let mut tab = CompareTab {
        with: with.to_owned(),
        other: None,
        refused: None,
        sections: Vec::new(),
        left_off: 0,
        unread: Vec::new(),
    };
    let found = if with.is_empty() {
        reports::baseline(state, record).await?
    } else {
        let number = with.trim_start_matches('#').parse().unwrap_or(0);
        match state.store().run_by_number(record.run.tenant, pipeline, number).await {
            Ok(found) => Some(found),
            Err(StoreError::NoSuchNumber { .. }) => {
                tab.refused = Some(format!("{pipeline} has no run {with}."));
                None
            }
            Err(error) => return Err(error.into()),
        }
    };
    let Some(found) = found else {
        tab.refused
            .get_or_insert_with(|| "There is no earlier run of this branch: say which run to compare with.".into());
        return Ok(tab);
    };
    let other = state.store().run(found.id).await?;
    let compared = compare::compare(state, &other, record).await?;
    tab.other = Some(Other {
        number: other.number,
        status: other.status.as_str(),
        link: format!("{above}/runs/{}", other.number),
    });
    tab.sections = sections(&compared.differences, &compared.tests, link);
    tab.left_off = compared.left_off;
    let numbers = [other.number, record.number];
    let unread = numbers.into_iter().zip(compared.unread);
    tab.unread = unread.flat_map(|(number, unread)| unread.into_iter().map(move |one| (number, one))).collect();
    Ok(tab)
}

fn sections(differences: &[Difference], tests: &[TestDifference], link: &str) -> Vec<Section> {
    let of_kind = |heading, kind| {
        let rows = differences.iter().filter(|of| of.kind == kind && (kind != Kind::Duration || of.is_notable()));
        Section { heading, rows: rows.map(|of| row(of, link)).collect() }
    };
    let of_tests = |heading, change| {
        let rows = tests.iter().filter(|test| test.change == change).map(|test| Row {
            name: test.test.to_string(),
            link: Some(format!("{link}?tab=tests&text={}", part(&test.test))),
            before: String::new(),
            after: test.stage.to_string(),
        });
        Section { heading, rows: rows.collect() }
    };
    let all = [
        of_tests("Newly failing tests", TestChange::NewlyFailing),
        of_tests("Fixed tests", TestChange::Fixed),
        of_kind("Stages", Kind::Status),
        of_kind("Plan", Kind::Plan),
        of_kind("Images", Kind::Image),
        of_kind("Inputs", Kind::Input),
        of_kind("Durations", Kind::Duration),
    ];
    all.into_iter().filter(|section| !section.rows.is_empty()).collect()
}

fn row(of: &Difference, link: &str) -> Row {
    let Difference { kind, stage, name, before, after } = of;
    let show = |value: &Option<Value>| match (kind, value) {
        (Kind::Duration, Some(value)) => words::duration(value.as_u64().unwrap_or(0)),
        // A whole stage.
        (Kind::Plan, Some(Value::Bool(true))) if name.is_empty() => "there".to_owned(),
        (Kind::Plan, None) if name.is_empty() => "not there".to_owned(),
        (_, None | Some(Value::Null)) => "none".to_owned(),
        (_, Some(Value::String(text))) if text.is_empty() => "empty".to_owned(),
        (_, Some(Value::String(text))) => text.clone(),
        (_, Some(value)) => value.to_string(),
    };
    let named = match stage {
        Some(stage) if name.is_empty() => stage.clone(),
        Some(stage) => format!("{stage} {name}"),
        None => name.clone(),
    };
    // A stage that is gone has no log here.
    let is_here = stage.as_ref().filter(|_| *kind != Kind::Plan || after.is_some());
    Row {
        name: named,
        link: is_here.map(|stage| stage_link(link, stage, None)),
        before: show(before),
        after: show(after),
    }
}
