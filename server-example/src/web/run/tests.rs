//! The tests of a run on its page.

use buildit::store::RunRecord;
use serde::Deserialize;

use super::super::page::part;
use super::stage_link;
use crate::app::reports::{self, Standing, Test, Unread, Wanted};
use crate::problem::Problem;
use crate::state::ServerState;
use crate::view::ansi::Painter;
use crate::view::run::RunView;
use crate::view::words;

/// How many tests a page has.
const LIMIT: usize = 100;

/// Which tests are looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TestsLook {
    pub(super) only: String,
    pub(super) text: String,
    /// Of which stage.
    pub(super) of: String,
    pub(super) slowest: bool,
    from: usize,
}

/// The tab.
pub(super) struct TestsTab {
    pub(super) chips: Vec<Chip>,
    pub(super) rows: Vec<Row>,
    pub(super) next: Option<String>,
    pub(super) first: Option<String>,
    /// The number of the run that they are compared with, and where it is.
    pub(super) baseline: Option<(u64, String)>,
    pub(super) unread: Vec<Unread>,
    pub(super) took: String,
    /// The stages that may be chosen.
    pub(super) stages: Vec<String>,
    pub(super) look: TestsLook,
    /// What orders them otherwise.
    pub(super) order: String,
}

/// A number of tests, and the way to them.
pub(super) struct Chip {
    pub(super) label: &'static str,
    pub(super) count: usize,
    pub(super) link: String,
    pub(super) is_chosen: bool,
}

pub(super) struct Row {
    pub(super) state: &'static str,
    pub(super) name: String,
    pub(super) mark: &'static str,
    pub(super) stage: String,
    pub(super) link: String,
    pub(super) took: String,
    pub(super) message: String,
    pub(super) place: String,
    /// Lines as HTML.
    pub(super) details: Vec<String>,
}

impl TestsTab {
    pub(super) fn is_empty(&self) -> bool {
        self.chips.first().is_none_or(|all| all.count == 0) && self.unread.is_empty()
    }

    /// Whether fewer are shown than there are.
    pub(super) fn is_narrowed(&self) -> bool {
        let TestsLook { only, text, of, .. } = &self.look;
        [only, text, of].into_iter().any(|word| !word.is_empty())
    }
}

impl Row {
    pub(super) fn can_open(&self) -> bool {
        !self.details.is_empty() || !self.message.is_empty()
    }
}

/// What the address of this look is.
fn address(link: &str, look: &TestsLook) -> String {
    let TestsLook { only, text, of, slowest, from } = look;
    let mut address = format!("{link}?tab=tests");
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            address.push_str(&format!("&{name}={}", part(value)));
        }
    };
    add("only", only);
    add("text", text);
    add("of", of);
    add("slowest", if *slowest { "true" } else { "" });
    add("from", &if *from > 0 { from.to_string() } else { String::new() });
    address
}

pub(super) async fn tab(
    state: &ServerState,
    record: &RunRecord,
    view: &RunView,
    look: &TestsLook,
    above: &str,
    link: &str,
) -> Result<TestsTab, Problem> {
    let chosen = Standing::ALL.into_iter().find(|standing| standing.as_str() == look.only);
    let wanted = Wanted {
        standing: chosen,
        stage: Some(look.of.clone()).filter(|stage| !stage.is_empty()),
        text: Some(look.text.clone()),
        by_duration: look.slowest,
        after: look.from,
        limit: LIMIT,
    };
    let found = reports::tests(state, record, view, &wanted).await?;
    let all = TestsLook { from: 0, ..look.clone() };
    let chip = |label, count, only: &str| Chip {
        label,
        count,
        link: address(link, &TestsLook { only: only.to_owned(), ..all.clone() }),
        is_chosen: chosen.map_or("", Standing::as_str) == only,
    };
    let label = |standing| match standing {
        Standing::NewlyFailing => "newly failing",
        standing => standing.as_str(),
    };
    let each = Standing::ALL.into_iter().map(|of| chip(label(of), found.counts.of(of), of.as_str()));
    let each = each.filter(|chip| chip.count > 0 || chip.is_chosen);
    let has_reports = |stage: &&crate::view::run::StageView| {
        stage.products.as_deref().is_some_and(|products| products.reports.is_some())
    };
    let stages: Vec<String> = view.stages.iter().filter(has_reports).map(|stage| stage.name.to_string()).collect();
    Ok(TestsTab {
        chips: std::iter::once(chip("all", found.counts.all, "")).chain(each).collect(),
        rows: found.items.into_iter().map(|test| row(test, link)).collect(),
        next: found.next.map(|from| address(link, &TestsLook { from, ..all.clone() })),
        first: (look.from > 0).then(|| address(link, &all)),
        baseline: found.baseline.map(|run| (run.number, format!("{above}/runs/{}", run.number))),
        unread: found.unread,
        took: words::duration(found.counts.duration_ms),
        stages: if stages.len() > 1 { stages } else { Vec::new() },
        order: address(link, &TestsLook { slowest: !look.slowest, ..all }),
        look: look.clone(),
    })
}

fn row(test: Test, link: &str) -> Row {
    let Test { stage, name, result, standing } = test;
    let (state, mark) = match standing {
        Standing::NewlyFailing => ("failed", "new"),
        Standing::Failed => ("failed", ""),
        Standing::Flaky => ("succeeded", "flaky"),
        Standing::Skipped => ("skipped", ""),
        Standing::Passed => ("succeeded", ""),
    };
    let mut painter = Painter::default();
    let duration = reports::millis(&result);
    // Not twice.
    let is_told = result.details.lines().next().is_some_and(|line| line.trim() == result.message);
    Row {
        state,
        name: name.to_string(),
        mark,
        link: stage_link(link, stage.as_str(), None),
        stage: stage.to_string(),
        took: if duration == 0 { String::new() } else { words::duration(duration) },
        message: if is_told { String::new() } else { result.message },
        place: result.place,
        details: result.details.lines().map(|line| painter.paint(line.as_bytes())).collect(),
    }
}
