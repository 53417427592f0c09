//! The pages of pipelines: the list, one that is made, and one with its runs, its text and its settings.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::Role;
use buildit::diagnostic::Severity;
use buildit::pipeline::ParamSpec;
use buildit::store::{PipelineFilter, PipelineLine, PipelineSource, RunFilter, RunSummary, StoredPipeline};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Deserialize;

use super::page::{Crumb, Frame, PageError, Place, Shown, When, draw, part};
use crate::api::run_status;
use crate::app::pipelines;
use crate::list::{List, Page};
use crate::problem::{Finding, Problem};
use crate::state::ServerState;
use crate::view::words;

/// A run in a list.
#[derive(Clone, Debug)]
pub(crate) struct RunRow {
    pub(crate) link: String,
    pub(crate) status: &'static str,
    pub(crate) number: u64,
    pub(crate) pipeline: String,
    pub(crate) title: String,
    pub(crate) branch: String,
    pub(crate) author: String,
    pub(crate) created_at: Timestamp,
    /// When it began, while it goes on.
    pub(crate) since: Option<Timestamp>,
    pub(crate) took: String,
}

impl RunRow {
    pub(crate) fn new(root: &str, run: RunSummary) -> Self {
        let title = if run.message.is_empty() { format!("{} run", run.event) } else { run.message };
        Self {
            link: format!("{root}/pipelines/{}/runs/{}", part(&run.pipeline), run.number),
            status: run.status.as_str(),
            number: run.number,
            pipeline: run.pipeline,
            title,
            branch: run.branch,
            author: run.author,
            created_at: run.created_at,
            since: run.started_at.filter(|_| run.finished_at.is_none()),
            took: run
                .duration
                .map(|took| words::duration(u64::try_from(took.as_millis()).unwrap_or(0)))
                .unwrap_or_default(),
        }
    }

    pub(super) fn age(&self) -> When {
        When(self.created_at)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Search {
    search: Option<String>,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "pipelines.html")]
struct ListPage {
    frame: Frame,
    search: String,
    rows: Vec<PipelineRow>,
    next: Option<String>,
    may_make: bool,
}

struct PipelineRow {
    name: String,
    link: String,
    last: Option<RunRow>,
}

pub(crate) async fn list(
    State(state): State<ServerState>,
    place: Place,
    shown: Shown,
    Query(asked): Query<Search>,
) -> Result<Response, PageError> {
    let page = async {
        let root = place.root();
        let search = asked.search.unwrap_or_default().trim().to_owned();
        let filter = PipelineFilter {
            search: Some(search.clone()).filter(|search| !search.is_empty()),
            after: asked.cursor,
            ..PipelineFilter::of_tenant(place.access.tenant.id)
        };
        let limit = Page::default().limit();
        let found = state.store().pipelines(&filter, limit + 1).await?;
        let list = List::cut(found, limit, |line: &PipelineLine| line.pipeline.name.clone());
        let next =
            list.next.as_ref().map(|next| format!("{root}/pipelines?search={}&cursor={}", part(&search), part(next)));
        let rows = list.items.into_iter().map(|line| PipelineRow {
            link: format!("{root}/pipelines/{}", part(&line.pipeline.name)),
            name: line.pipeline.name,
            last: line.last_run.map(|run| RunRow::new(&root, run)),
        });
        draw(&ListPage {
            frame: place.frame("pipelines", "Pipelines", vec![Crumb::here("Pipelines")]),
            search,
            rows: rows.collect(),
            next,
            may_make: place.may(Role::Member),
        })
    };
    page.await.map_err(|problem| shown.problem(problem))
}

/// A text to begin with.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) text: &'static str,
}

/// The texts that a new pipeline may begin with. Each of them runs.
pub(crate) const SAMPLES: [Sample; 4] = [
    Sample { name: "hello", about: "One stage, no image", text: include_str!("../../templates/samples/hello.kdl") },
    Sample {
        name: "checks",
        about: "Stages at once, then one that needs them",
        text: include_str!("../../templates/samples/checks.kdl"),
    },
    Sample {
        name: "matrix",
        about: "The same stage with several values",
        text: include_str!("../../templates/samples/matrix.kdl"),
    },
    Sample {
        name: "release",
        about: "A parameter, an artifact, and a person who says yes",
        text: include_str!("../../templates/samples/release.kdl"),
    },
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Begin {
    template: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Written {
    #[serde(default)]
    name: String,
    #[serde(default)]
    config: String,
    #[serde(default)]
    version: u64,
}

#[derive(Template)]
#[template(path = "new.html")]
struct NewPage {
    frame: Frame,
    samples: &'static [Sample],
    chosen: String,
    name: String,
    config: String,
    problem: Option<String>,
    findings: Vec<Finding>,
}

impl NewPage {
    fn new(place: &Place) -> Self {
        let crumbs = vec![Crumb::to("Pipelines", format!("{}/pipelines", place.root())), Crumb::here("New pipeline")];
        Self {
            frame: place.frame("pipelines", "New pipeline", crumbs),
            samples: &SAMPLES,
            chosen: String::new(),
            name: String::new(),
            config: String::new(),
            problem: None,
            findings: Vec::new(),
        }
    }
}

pub(crate) async fn new_page(place: Place, shown: Shown, Query(begin): Query<Begin>) -> Result<Response, PageError> {
    let page = async {
        place.grant(Role::Member)?;
        let chosen = begin.template.as_deref().unwrap_or(SAMPLES[0].name);
        let sample = SAMPLES.iter().find(|sample| sample.name == chosen).ok_or_else(Problem::not_found)?;
        draw(&NewPage { chosen: chosen.to_owned(), config: sample.text.to_owned(), ..NewPage::new(&place) })
    };
    page.await.map_err(|problem| shown.problem(problem))
}

pub(crate) async fn create(
    State(state): State<ServerState>,
    place: Place,
    shown: Shown,
    Form(written): Form<Written>,
) -> Result<Response, PageError> {
    let page = async {
        let access = place.grant(Role::Member)?;
        let name = Some(written.name.trim()).filter(|name| !name.is_empty());
        // What a browser sends has its own line ends.
        let config = written.config.replace("\r\n", "\n");
        match pipelines::create(&state, &access, name, config.clone()).await {
            Ok(made) => Ok(Redirect::to(&format!("{}/pipelines/{}", place.root(), part(&made.name))).into_response()),
            Err(problem) => {
                let page = NewPage {
                    name: written.name,
                    config,
                    problem: Some(problem.detail().unwrap_or(problem.title()).to_owned()),
                    findings: problem.diagnostics().to_vec(),
                    ..NewPage::new(&place)
                };
                Ok((problem.status(), draw(&page)?).into_response())
            }
        }
    };
    page.await.map_err(|problem: Problem| shown.problem(problem))
}

#[derive(Template)]
#[template(path = "findings.html")]
struct Findings {
    findings: Vec<Finding>,
    is_valid: bool,
}

/// What is wrong with a text, as it is typed.
pub(crate) async fn validate(_: Place, shown: Shown, Form(written): Form<Written>) -> Result<Response, PageError> {
    let found = pipelines::check(&written.config.replace("\r\n", "\n"));
    let is_valid = found.iter().all(|found| found.severity != Severity::Error);
    let page = Findings { findings: found.iter().map(Finding::from).collect(), is_valid };
    draw(&page).map_err(|problem| shown.problem(problem))
}

/// The third part of an address below a tenant.
#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    pipeline: String,
}

pub(crate) async fn named(state: &ServerState, place: &Place, name: &str) -> Result<StoredPipeline, Problem> {
    Ok(state.store().pipeline_named(place.access.tenant.id, name).await?)
}

/// What stands above the tabs of a pipeline.
struct Head {
    name: String,
    link: String,
    tab: &'static str,
    may_run: bool,
    may_change: bool,
}

fn head(place: &Place, pipeline: &StoredPipeline, tab: &'static str) -> (Frame, Head) {
    let root = place.root();
    let link = format!("{root}/pipelines/{}", part(&pipeline.name));
    let crumbs = vec![Crumb::to("Pipelines", format!("{root}/pipelines")), Crumb::here(&pipeline.name)];
    let head = Head {
        name: pipeline.name.clone(),
        link,
        tab,
        may_run: place.may(Role::Member),
        may_change: place.may(Role::Member),
    };
    (place.frame("pipelines", &pipeline.name, crumbs), head)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    status: String,
    branch: String,
    author: String,
    pull_request: String,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "pipeline.html")]
struct RunsPage {
    frame: Frame,
    head: Head,
    filter: Filter,
    is_filtered: bool,
    rows: Vec<RunRow>,
    next: Option<String>,
}

const STATUSES: [&str; 6] = ["queued", "running", "waiting", "succeeded", "failed", "cancelled"];

pub(crate) async fn runs(
    State(state): State<ServerState>,
    place: Place,
    shown: Shown,
    Path(named_): Path<Named>,
    Query(asked): Query<Filter>,
) -> Result<Response, PageError> {
    let page = async {
        let pipeline = named(&state, &place, &named_.pipeline).await?;
        let (frame, head) = head(&place, &pipeline, "runs");
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let pull_request = given(&asked.pull_request).map(|number| number.parse());
        let filter = RunFilter {
            tenant: Some(place.access.tenant.id),
            status: given(&asked.status).as_deref().map(run_status).transpose()?,
            branch: given(&asked.branch),
            author: given(&asked.author),
            pull_request: pull_request.transpose().map_err(|_| Problem::invalid("a pull request is a number"))?,
            before: asked.cursor.as_deref().map(str::parse).transpose().map_err(|_| Problem::not_found())?,
            ..RunFilter::of_pipeline(&pipeline.name)
        };
        let limit = Page::default().limit();
        let list = List::cut(state.store().runs(&filter, limit + 1).await?, limit, |run| run.id.to_string());
        let Filter { status, branch, author, pull_request, .. } = &asked;
        let is_filtered = [status, branch, author, pull_request].iter().any(|text| !text.is_empty());
        let next = list.next.as_ref().map(|next| {
            let [status, branch, author, pull] = [status, branch, author, pull_request].map(part);
            format!("{}?status={status}&branch={branch}&author={author}&pull_request={pull}&cursor={next}", head.link)
        });
        let root = place.root();
        draw(&RunsPage {
            frame,
            head,
            is_filtered,
            rows: list.items.into_iter().map(|run| RunRow::new(&root, run)).collect(),
            next,
            filter: asked,
        })
    };
    page.await.map_err(|problem| shown.problem(problem))
}

#[derive(Template)]
#[template(path = "config.html")]
struct ConfigPage {
    frame: Frame,
    head: Head,
    config: String,
    version: u64,
    repository: Option<String>,
    problem: Option<String>,
    findings: Vec<Finding>,
    is_saved: bool,
}

impl ConfigPage {
    fn new(place: &Place, pipeline: &StoredPipeline) -> Self {
        let (frame, head) = head(place, pipeline, "config");
        let (config, repository) = match &pipeline.source {
            PipelineSource::Text { kdl } => (kdl.clone(), None),
            PipelineSource::Repository { url, .. } => (String::new(), Some(url.clone())),
            _ => (String::new(), None),
        };
        let (problem, findings, version) = (None, Vec::new(), pipeline.version);
        Self { frame, head, config, version, repository, problem, findings, is_saved: false }
    }
}

pub(crate) async fn config(
    State(state): State<ServerState>,
    place: Place,
    shown: Shown,
    Path(named_): Path<Named>,
) -> Result<Response, PageError> {
    let page = async {
        let pipeline = named(&state, &place, &named_.pipeline).await?;
        draw(&ConfigPage::new(&place, &pipeline))
    };
    page.await.map_err(|problem| shown.problem(problem))
}

pub(crate) async fn save(
    State(state): State<ServerState>,
    place: Place,
    shown: Shown,
    Path(named_): Path<Named>,
    Form(written): Form<Written>,
) -> Result<Response, PageError> {
    let page = async {
        let access = place.grant(Role::Member)?;
        let pipeline = named(&state, &place, &named_.pipeline).await?;
        let config = written.config.replace("\r\n", "\n");
        match pipelines::update(&state, &access, &pipeline, written.version, None, Some(config.clone())).await {
            Ok(saved) => draw(&ConfigPage { is_saved: true, ..ConfigPage::new(&place, &saved) }),
            Err(problem) => {
                let page = ConfigPage {
                    config,
                    version: written.version,
                    problem: Some(problem.detail().unwrap_or(problem.title()).to_owned()),
                    findings: problem.diagnostics().to_vec(),
                    ..ConfigPage::new(&place, &pipeline)
                };
                Ok((problem.status(), draw(&page)?).into_response())
            }
        }
    };
    page.await.map_err(|problem: Problem| shown.problem(problem))
}

#[derive(Template)]
#[template(path = "pipeline_settings.html")]
struct SettingsPage {
    frame: Frame,
    head: Head,
    id: String,
    /// How the server is reached.
    url: String,
    version: u64,
    may_delete: bool,
    problem: Option<String>,
}

impl SettingsPage {
    fn new(state: &ServerState, place: &Place, pipeline: &StoredPipeline) -> Self {
        let (frame, head) = head(place, pipeline, "settings");
        let url = state.settings().url();
        let (id, version, may_delete) = (pipeline.id.to_string(), pipeline.version, place.may(Role::Admin));
        Self { frame, head, id, url, version, may_delete, problem: None }
    }

    fn refuse(self, problem: &Problem) -> Result<Response, Problem> {
        let said = Some(problem.detail().unwrap_or(problem.title()).to_owned());
        Ok((problem.status(), draw(&Self { problem: said, ..self })?).into_response())
    }
}

pub(crate) async fn settings(
    State(state): State<ServerState>,
    place: Place,
    shown: Shown,
    Path(named_): Path<Named>,
) -> Result<Response, PageError> {
    let page = async {
        let pipeline = named(&state, &place, &named_.pipeline).await?;
        draw(&SettingsPage::new(&state, &place, &pipeline))
    };
    page.await.map_err(|problem| shown.problem(problem))
}

pub(crate) async fn rename(
    State(state): State<ServerState>,
    place: Place,
    shown: Shown,
    Path(named_): Path<Named>,
    Form(written): Form<Written>,
) -> Result<Response, PageError> {
    let page = async {
        let access = place.grant(Role::Member)?;
        let pipeline = named(&state, &place, &named_.pipeline).await?;
        match pipelines::update(&state, &access, &pipeline, written.version, Some(&written.name), None).await {
            Ok(renamed) => {
                let to = format!("{}/pipelines/{}/settings", place.root(), part(&renamed.name));
                Ok(Redirect::to(&to).into_response())
            }
            Err(problem) => SettingsPage::new(&state, &place, &pipeline).refuse(&problem),
        }
    };
    page.await.map_err(|problem: Problem| shown.problem(problem))
}

pub(crate) async fn delete(
    State(state): State<ServerState>,
    place: Place,
    shown: Shown,
    Path(named_): Path<Named>,
    Form(written): Form<Written>,
) -> Result<Response, PageError> {
    let page = async {
        let access = place.grant(Role::Admin)?;
        let pipeline = named(&state, &place, &named_.pipeline).await?;
        if written.name.trim() != pipeline.name {
            let problem = Problem::invalid("type the name of the pipeline to delete it");
            return SettingsPage::new(&state, &place, &pipeline).refuse(&problem);
        }
        match pipelines::delete(&state, &access, &pipeline).await {
            Ok(()) => Ok(Redirect::to(&format!("{}/pipelines", place.root())).into_response()),
            Err(problem) => SettingsPage::new(&state, &place, &pipeline).refuse(&problem),
        }
    };
    page.await.map_err(|problem: Problem| shown.problem(problem))
}

#[derive(Template)]
#[template(path = "run_new.html")]
struct RunPage {
    frame: Frame,
    head: Head,
    params: Vec<ParamSpec>,
    given: IndexMap<String, String>,
    problem: Option<String>,
    findings: Vec<Finding>,
}

impl RunPage {
    fn value(&self, param: &ParamSpec) -> String {
        let given = self.given.get(&format!("param.{}", param.name));
        given.cloned().or_else(|| param.default.clone()).unwrap_or_default()
    }

    fn field(&self, name: &str) -> String {
        self.given.get(name).cloned().unwrap_or_default()
    }
}

/// A form made of the pipeline's own parameters.
pub(crate) async fn run_page(
    State(state): State<ServerState>,
    place: Place,
    shown: Shown,
    Path(named_): Path<Named>,
) -> Result<Response, PageError> {
    let page = async {
        place.grant(Role::Member)?;
        let pipeline = named(&state, &place, &named_.pipeline).await?;
        let (frame, head) = head(&place, &pipeline, "run");
        let (params, problem, findings) = match pipelines::spec(&pipeline) {
            Ok(spec) => (spec.params, None, Vec::new()),
            Err(problem) => (Vec::new(), Some(problem.title().to_owned()), problem.diagnostics().to_vec()),
        };
        draw(&RunPage { frame, head, params, given: IndexMap::new(), problem, findings })
    };
    page.await.map_err(|problem| shown.problem(problem))
}

pub(crate) async fn run(
    State(state): State<ServerState>,
    place: Place,
    shown: Shown,
    Path(named_): Path<Named>,
    Form(given): Form<IndexMap<String, String>>,
) -> Result<Response, PageError> {
    let page = async {
        let access = place.grant(Role::Member)?;
        let pipeline = named(&state, &place, &named_.pipeline).await?;
        let params =
            given.iter().filter_map(|(name, value)| Some((name.strip_prefix("param.")?.to_owned(), value.clone())));
        let field = |name: &str| given.get(name).map(|value| value.trim().to_owned()).unwrap_or_default();
        let start = pipelines::Start { branch: field("branch"), commit: field("commit"), params: params.collect() };
        match pipelines::trigger(&state, &access, &pipeline, start).await {
            Ok(record) => {
                let to = format!("{}/pipelines/{}/runs/{}", place.root(), part(&pipeline.name), record.number);
                Ok(Redirect::to(&to).into_response())
            }
            Err(problem) => {
                let (frame, head) = head(&place, &pipeline, "run");
                let params = pipelines::spec(&pipeline).map(|spec| spec.params).unwrap_or_default();
                let (status, findings) = (problem.status(), problem.diagnostics().to_vec());
                let said = Some(problem.detail().unwrap_or(problem.title()).to_owned());
                Ok((status, draw(&RunPage { frame, head, params, given, problem: said, findings })?).into_response())
            }
        }
    };
    page.await.map_err(|problem: Problem| shown.problem(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sample_is_a_pipeline() {
        for sample in &SAMPLES {
            assert_eq!(pipelines::check(sample.text), [], "{}", sample.name);
        }
    }
}
