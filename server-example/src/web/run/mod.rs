//! The page of a run.

mod compare;
mod plan;
mod tests;

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::Role;
use buildit::plan::Plan;
use buildit::store::{Repository, RunRecord};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Deserialize;

use super::log::{Chosen, look_at};
use compare::{CompareLook, CompareTab};
use plan::{PlanLook, PlanTab};
use tests::{TestsLook, TestsTab};

use super::page::{Crumb, Frame, Place, When, draw, part};
use crate::app::runs::{self, Which};
use crate::forge::pages;
use crate::problem::Problem;
use crate::state::ServerState;
use crate::view::graph::{Drawing, draw as draw_graph};
use crate::view::run::{RunView, StageState, StageView};
use crate::view::words;

#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    pipeline: String,
    number: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Acted {
    pipeline: String,
    number: u64,
    action: String,
}

/// What is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Look {
    stage: Option<String>,
    pub(super) attempt: Option<u32>,
    tab: Option<String>,
    /// The line before the first one of the log; without it, the page chooses.
    pub(super) after: Option<u64>,
    /// What is looked for in the log, and the line behind which it is.
    pub(super) find: Option<String>,
    pub(super) find_after: u64,
}

/// What is looked at in each tab.
struct Asked {
    look: Look,
    tests: TestsLook,
    compare: CompareLook,
    plan: PlanLook,
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    view: RunView,
    link: String,
    live: String,
    mark: &'static str,
    jobs: Vec<Job>,
    drawing: Drawing,
    nodes: Vec<NodeLook>,
    tab: &'static str,
    /// Keeps the chosen stage when another tab is opened.
    stage_query: String,
    questions: Vec<StageView>,
    may_act: bool,
    chosen: Option<Chosen>,
    bars: Vec<Bar>,
    artifacts: Vec<Left>,
    summaries: Vec<(String, String)>,
    why: Vec<(String, String)>,
    tests: Option<TestsTab>,
    compare: Option<CompareTab>,
    plan: Option<PlanTab>,
    /// Where all artifacts are, and the run as it is kept.
    all_artifacts: String,
    record: String,
    facts: Vec<Fact>,
}

/// A job in the list.
struct Job {
    name: String,
    state: &'static str,
    link: String,
    since: Option<Timestamp>,
    took: String,
    attempts: usize,
    is_chosen: bool,
}

/// How a box of the graph looks.
struct NodeLook {
    state: &'static str,
    label: String,
    title: String,
    names: String,
    link: String,
    sub: String,
    is_chosen: bool,
}

/// A stage in the waterfall, in thousandths of the run's time.
struct Bar {
    name: String,
    state: &'static str,
    start: u64,
    width: u64,
    took: String,
}

/// An artifact.
struct Left {
    stage: String,
    name: String,
    size: String,
    files: usize,
    link: String,
}

impl Job {
    fn short(&self) -> String {
        words::middle(&self.name, 30)
    }
}

impl Bar {
    fn short(&self) -> String {
        words::middle(&self.name, 24)
    }
}

/// The sign of a state, for the title of the page.
fn glyph(state: &str) -> &'static str {
    match state {
        "succeeded" => "✓",
        "failed" | "timed_out" => "✕",
        "lost" => "⚡",
        "waiting" => "⏸",
        "skipped" => "⊘",
        "cancelled" => "■",
        "running" => "●",
        _ => "○",
    }
}

/// What of several states a reader needs to know first.
fn worst<'a>(states: impl Iterator<Item = &'a str> + Clone) -> &'static str {
    const ORDER: [&str; 9] =
        ["failed", "timed_out", "lost", "running", "waiting", "cancelled", "queued", "succeeded", "skipped"];
    ORDER.into_iter().find(|word| states.clone().any(|state| state == *word)).unwrap_or("queued")
}

const TABS: [(&str, &str); 8] = [
    ("log", "Log"),
    ("tests", "Tests"),
    ("waterfall", "Waterfall"),
    ("artifacts", "Artifacts"),
    ("summary", "Summary"),
    ("why", "Why"),
    ("compare", "Compare"),
    ("plan", "Plan"),
];

async fn record(state: &ServerState, place: &Place, pipeline: &str, number: u64) -> Result<RunRecord, Problem> {
    let found = state.store().run_by_number(place.access.tenant.id, pipeline, number).await?;
    Ok(state.store().run(found.id).await?)
}

pub(crate) async fn show(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<Named>,
    Query(look): Query<Look>,
    Query(tests): Query<TestsLook>,
    Query(compare): Query<CompareLook>,
    Query(plan): Query<PlanLook>,
) -> Result<Response, Problem> {
    let record = record(&state, &place, &named.pipeline, named.number).await?;
    let view = runs::view(&state, &record).await?;
    page(&state, &place, &named.pipeline, &record, view, Asked { look, tests, compare, plan }).await
}

async fn page(
    state: &ServerState,
    place: &Place,
    pipeline: &str,
    record: &RunRecord,
    view: RunView,
    asked: Asked,
) -> Result<Response, Problem> {
    let look = &asked.look;
    let above = format!("{}/pipelines/{}", place.root(), part(pipeline));
    let link = format!("{above}/runs/{}", record.number);
    let tab = TABS.iter().find(|(tab, _)| Some(*tab) == look.tab.as_deref()).map_or("log", |(tab, _)| tab);
    let chosen = match look.stage.as_deref() {
        Some(name) => Some(view.stage(name).ok_or_else(Problem::not_found)?),
        None => first_to_look_at(&view),
    };
    let compiled = Plan::restore(view.plan.clone()).map_err(|found| Problem::refused(&found.0))?;
    let drawing = draw_graph(&compiled.graph().layout(compiled.spec()));
    let name = chosen.map(|stage| stage.name.to_string());
    let nodes = drawing.nodes.iter().map(|node| {
        let stages = node.stages.iter().map(|&stage| &view.stages[stage]);
        let state = worst(stages.clone().map(|stage| stage.state.as_str()));
        let names: Vec<&str> = stages.clone().map(|stage| stage.name.as_str()).collect();
        let done = stages.clone().filter(|stage| matches!(stage.state.as_str(), "succeeded" | "skipped")).count();
        let label = node.label();
        NodeLook {
            state,
            label: words::middle(&label, if names.len() > 1 { 15 } else { 18 }),
            title: format!("{label}: {state}"),
            link: stage_link(&link, names[0], None),
            sub: if names.len() > 1 { format!("{done}/{}", names.len()) } else { String::new() },
            is_chosen: name.as_deref().is_some_and(|chosen| names.contains(&chosen)),
            names: serde_json::to_string(&names).unwrap_or_default(),
        }
    });
    let nodes = nodes.collect();
    let jobs = view.stages.iter().map(|stage| job(stage, &link, name.as_deref())).collect();
    let chosen = match chosen {
        Some(stage) if tab == "log" => Some(look_at(state, &view, stage, look, &link).await?),
        _ => None,
    };
    let why = match tab {
        "why" => {
            let explained = runs::explain(state, record).await?.into_iter();
            explained.map(|one| (one.stage.to_string(), one.why.to_string())).collect()
        }
        _ => Vec::new(),
    };
    let tests = match tab {
        "tests" => Some(tests::tab(state, record, &view, &asked.tests, &above, &link).await?),
        _ => None,
    };
    let compare = match tab {
        "compare" => Some(compare::tab(state, record, &asked.compare, pipeline, &above, &link).await?),
        _ => None,
    };
    let plan = (tab == "plan").then(|| plan::tab(&view.plan, &asked.plan, look.stage.as_deref(), &link));
    let api = format!("{}/api/v1/runs/{}", place.base, record.run.id);
    let crumbs = vec![
        Crumb::to("Pipelines", format!("{}/pipelines", place.root())),
        Crumb::to(pipeline, above),
        Crumb::here(format!("#{}", record.number)),
    ];
    let questions = view.stages.iter().filter(|stage| stage.question.is_some()).cloned().collect();
    let repository = runs::repository(state, record).await?;
    let artifacts = view.stages.iter().flat_map(|stage| left(&place.base, record, stage)).collect();
    let summaries = view.stages.iter().filter_map(|stage| {
        let summary = stage.products.as_deref()?.summary.as_deref()?;
        Some((stage.name.to_string(), summary.to_owned()))
    });
    draw(&RunPage {
        frame: place.frame("pipelines", format!("#{} {pipeline}", record.number), crumbs),
        live: format!("{api}/live"),
        all_artifacts: format!("{api}/artifacts"),
        record: format!("{api}/record"),
        mark: glyph(view.status().as_str()),
        jobs,
        drawing,
        nodes,
        tab,
        stage_query: look.stage.as_ref().map(|stage| format!("&stage={}", part(stage))).unwrap_or_default(),
        questions,
        may_act: place.may(Role::Member),
        chosen,
        bars: bars(&view),
        artifacts,
        summaries: summaries.collect(),
        why,
        tests,
        compare,
        plan,
        facts: facts(&view, repository.as_ref()),
        link,
        view,
    })
}

pub(super) fn stage_link(run: &str, stage: &str, attempt: Option<u32>) -> String {
    let attempt = attempt.map(|attempt| format!("&attempt={attempt}")).unwrap_or_default();
    format!("{run}?stage={}{attempt}", part(stage))
}

/// The first stage that failed, else the one that runs, else the first that has a log, else the first.
fn first_to_look_at(view: &RunView) -> Option<&StageView> {
    let find = |is: &dyn Fn(&StageView) -> bool| view.stages.iter().find(|stage| is(stage));
    find(&|stage| stage.state.is_failure())
        .or_else(|| find(&|stage| stage.state == StageState::Running))
        .or_else(|| find(&|stage| !stage.attempts.is_empty()))
        .or_else(|| view.stages.first())
}

fn job(stage: &StageView, link: &str, chosen: Option<&str>) -> Job {
    let begun = stage.started_at();
    Job {
        name: stage.name.to_string(),
        state: stage.state.as_str(),
        link: stage_link(link, stage.name.as_str(), None),
        since: begun.filter(|_| stage.state == StageState::Running),
        took: begun.zip(stage.finished_at).map(|(from, to)| words::span(from, to)).unwrap_or_default(),
        attempts: stage.attempts.len(),
        is_chosen: chosen == Some(stage.name.as_str()),
    }
}

fn bars(view: &RunView) -> Vec<Bar> {
    let now = Timestamp::now();
    let begun = view.stages.iter().filter_map(StageView::started_at).min().unwrap_or(view.created_at);
    let ended = view.finished_at.unwrap_or(now);
    let millis = |from: Timestamp, to: Timestamp| u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0);
    let whole = millis(begun, ended).max(1);
    let bar = |stage: &StageView| {
        let from = stage.started_at()?;
        let to = stage.finished_at.unwrap_or(now);
        let (start, width) = (millis(begun, from) * 1000 / whole, millis(from, to) * 1000 / whole);
        let took = words::span(from, to);
        let start = start.min(995);
        Some(Bar {
            name: stage.name.to_string(),
            state: stage.state.as_str(),
            start,
            width: width.clamp(5, 1000 - start),
            took,
        })
    };
    view.stages.iter().filter_map(bar).collect()
}

fn left(base: &str, record: &RunRecord, stage: &StageView) -> Vec<Left> {
    let artifacts = stage.products.as_deref().map(|products| &products.artifacts[..]).unwrap_or_default();
    let each = artifacts.iter().map(|artifact| Left {
        stage: stage.name.to_string(),
        name: artifact.name.clone(),
        size: words::size(artifact.bytes),
        files: artifact.paths.len(),
        link: format!(
            "{base}/api/v1/runs/{}/stages/{}/artifacts/{}",
            record.run.id,
            part(&stage.name),
            part(&artifact.name)
        ),
    });
    each.collect()
}

/// Something that the summary tells.
struct Fact {
    name: &'static str,
    value: String,
    /// Where there is more of it.
    link: Option<String>,
}

/// What the summary tells, as far as it is known.
fn facts(view: &RunView, repository: Option<&Repository>) -> Vec<Fact> {
    let git = &view.context.git;
    let request = view.context.pull_request.as_ref();
    let mut facts = Vec::new();
    let mut add = |name, text: &str, link: Option<String>| {
        if !text.is_empty() {
            facts.push(Fact { name, value: text.to_owned(), link });
        }
    };
    add("Trigger", &view.context.event, None);
    add("By", view.context.custom.get("triggered_by").map_or("", String::as_str), None);
    add("Source", repository.map_or("", |of| &of.name), repository.and_then(pages::repository));
    if let Some(request) = request {
        let link = repository.and_then(|of| pages::request(of, request.number));
        add("Request", &format!("#{} {}", request.number, request.title), link);
        add("Into", &request.base, None);
    }
    add("Branch", &git.branch, None);
    add("Tag", &git.tag, None);
    let commit = git.sha.get(..12).unwrap_or(&git.sha);
    add("Commit", commit, repository.and_then(|of| pages::commit(of, &git.sha)));
    add("Message", git.message.lines().next().unwrap_or_default(), None);
    add("Author", &git.author, None);
    for (name, value) in &view.context.params {
        add("Parameter", &format!("{name} = {value}"), None);
    }
    add("Cancelled", view.cancel_reason.as_deref().unwrap_or_default(), None);
    facts
}

impl RunPage {
    fn tabs(&self) -> [(&'static str, &'static str); 8] {
        TABS
    }

    fn took(&self) -> String {
        let took = self.view.duration().unwrap_or(Duration::ZERO);
        words::duration(u64::try_from(took.as_millis()).unwrap_or(0))
    }

    fn age(&self) -> When {
        When(self.view.created_at)
    }

    fn is_over(&self) -> bool {
        self.view.status().is_final()
    }
}

/// Does something to a run, and goes to where that is seen.
pub(crate) async fn act(
    State(state): State<ServerState>,
    place: Place,
    Path(acted): Path<Acted>,
    Form(given): Form<IndexMap<String, String>>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Member)?;
    let record = record(&state, &place, &acted.pipeline, acted.number).await?;
    let (name, number) = match acted.action.as_str() {
        "cancel" => {
            runs::cancel(&state, &access, &record).await?;
            (acted.pipeline, acted.number)
        }
        "approve" | "reject" => {
            let stage = given.get("stage").ok_or_else(|| Problem::invalid("say which stage"))?;
            let fields =
                given.iter().filter_map(|(name, value)| Some((name.strip_prefix("field.")?.to_owned(), value.clone())));
            runs::answer(&state, &access, &record, stage, acted.action == "approve", fields.collect()).await?;
            (acted.pipeline, acted.number)
        }
        "rerun" => named_so(runs::rerun(&state, &access, &record, Which::All).await?),
        "rerun-from-failed" => named_so(runs::rerun(&state, &access, &record, Which::Failed).await?),
        _ => return Err(Problem::not_found()),
    };
    let to = format!("{}/pipelines/{}/runs/{number}", place.root(), part(name));
    Ok(Redirect::to(&to).into_response())
}

/// What a run is called in addresses.
fn named_so(record: RunRecord) -> (String, u64) {
    (record.run.plan.name.clone(), record.number)
}
