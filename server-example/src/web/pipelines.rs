//! The pages of pipelines: the list, and one with its runs, its text and its settings.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::Role;
use buildit::store::{PipelineFilter, PipelineLine, PipelineSource, RunFilter, StoredPipeline};
use serde::Deserialize;

use super::page::{Crumb, Frame, Place, draw, part};
use super::rows::RunRow;
use crate::app::pipelines::Update;
use crate::app::{badges, pipelines, runs as of_runs};
use crate::list::{List, Page};
use crate::problem::{Finding, Problem};
use crate::state::ServerState;

#[derive(Debug, Deserialize)]
pub(crate) struct Written {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) config: String,
    #[serde(default)]
    pub(super) version: u64,
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
    Query(asked): Query<Search>,
) -> Result<Response, Problem> {
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
}

/// The third part of an address below a tenant.
#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    pub(super) pipeline: String,
}

pub(crate) async fn named(state: &ServerState, place: &Place, name: &str) -> Result<StoredPipeline, Problem> {
    Ok(state.store().pipeline_named(place.access.tenant.id, name).await?)
}

/// What stands above the tabs of a pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) name: String,
    pub(crate) link: String,
    pub(crate) tab: &'static str,
    pub(crate) may_run: bool,
    pub(crate) may_change: bool,
}

pub(crate) fn head(place: &Place, pipeline: &StoredPipeline, tab: &'static str) -> (Frame, Head) {
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
    Path(named_): Path<Named>,
    Query(asked): Query<Filter>,
) -> Result<Response, Problem> {
    let pipeline = named(&state, &place, &named_.pipeline).await?;
    let (frame, head) = head(&place, &pipeline, "runs");
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let pull_request = given(&asked.pull_request).map(|number| number.parse());
    let filter = RunFilter {
        tenant: Some(place.access.tenant.id),
        status: given(&asked.status).as_deref().map(of_runs::status).transpose()?,
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
}

#[derive(Template)]
#[template(path = "config.html")]
struct ConfigPage {
    frame: Frame,
    head: Head,
    config: String,
    version: u64,
    /// The repository that it is in, with the address of its page, and the file.
    repository: Option<(String, String, String)>,
    problem: Option<String>,
    findings: Vec<Finding>,
    is_saved: bool,
}

impl ConfigPage {
    async fn new(state: &ServerState, place: &Place, pipeline: &StoredPipeline) -> Result<Self, Problem> {
        let (frame, head) = head(place, pipeline, "config");
        let (config, repository, problem) = match &pipeline.source {
            PipelineSource::Text { kdl } => (kdl.clone(), None, None),
            PipelineSource::Repository { path, .. } => match pipelines::repository_of(state, pipeline).await? {
                Some(repository) => {
                    let (config, problem) = match pipelines::text_of(state, &repository, path).await {
                        Ok(text) => (text, None),
                        Err(problem) => (String::new(), Some(problem.said())),
                    };
                    let link = format!("{}/repositories/{}", place.root(), repository.id);
                    (config, Some((repository.name, link, path.clone())), problem)
                }
                None => (String::new(), None, Some("The repository of the pipeline is gone.".to_owned())),
            },
            _ => (String::new(), None, None),
        };
        let (findings, version) = (Vec::new(), pipeline.version);
        Ok(Self { frame, head, config, version, repository, problem, findings, is_saved: false })
    }
}

pub(crate) async fn config(
    State(state): State<ServerState>,
    place: Place,
    Path(named_): Path<Named>,
) -> Result<Response, Problem> {
    let pipeline = named(&state, &place, &named_.pipeline).await?;
    draw(&ConfigPage::new(&state, &place, &pipeline).await?)
}

pub(crate) async fn save(
    State(state): State<ServerState>,
    place: Place,
    Path(named_): Path<Named>,
    Form(written): Form<Written>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Member)?;
    let pipeline = named(&state, &place, &named_.pipeline).await?;
    let config = written.config.replace("\r\n", "\n");
    let update = Update { kdl: Some(config.clone()), ..Update::default() };
    match pipelines::update(&state, &access, &pipeline, written.version, update).await {
        Ok(saved) => draw(&ConfigPage { is_saved: true, ..ConfigPage::new(&state, &place, &saved).await? }),
        Err(problem) => {
            let page = ConfigPage {
                config,
                version: written.version,
                problem: Some(problem.said()),
                findings: problem.diagnostics().to_vec(),
                ..ConfigPage::new(&state, &place, &pipeline).await?
            };
            Ok((problem.status(), draw(&page)?).into_response())
        }
    }
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
    /// Where its badge is, without the server.
    badge: String,
    has_public_badge: bool,
    may_delete: bool,
    problem: Option<String>,
}

impl SettingsPage {
    fn new(state: &ServerState, place: &Place, pipeline: &StoredPipeline) -> Self {
        let (frame, head) = head(place, pipeline, "settings");
        let url = state.settings().url();
        let (id, version, may_delete) = (pipeline.id.to_string(), pipeline.version, place.may(Role::Admin));
        let names = [&place.organization.name, &place.access.tenant.name, &pipeline.name].map(part);
        let badge = format!("/badges/{}.svg", names.join("/"));
        let has_public_badge = badges::is_public(pipeline);
        Self { frame, head, id, url, version, badge, has_public_badge, may_delete, problem: None }
    }

    fn refuse(self, problem: &Problem) -> Result<Response, Problem> {
        let said = Some(problem.said());
        Ok((problem.status(), draw(&Self { problem: said, ..self })?).into_response())
    }
}

pub(crate) async fn settings(
    State(state): State<ServerState>,
    place: Place,
    Path(named_): Path<Named>,
) -> Result<Response, Problem> {
    let pipeline = named(&state, &place, &named_.pipeline).await?;
    draw(&SettingsPage::new(&state, &place, &pipeline))
}

pub(crate) async fn rename(
    State(state): State<ServerState>,
    place: Place,
    Path(named_): Path<Named>,
    Form(written): Form<Written>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Member)?;
    let pipeline = named(&state, &place, &named_.pipeline).await?;
    let update = Update { name: Some(written.name), ..Update::default() };
    match pipelines::update(&state, &access, &pipeline, written.version, update).await {
        Ok(renamed) => {
            let to = format!("{}/pipelines/{}/settings", place.root(), part(&renamed.name));
            Ok(Redirect::to(&to).into_response())
        }
        Err(problem) => SettingsPage::new(&state, &place, &pipeline).refuse(&problem),
    }
}

/// A form with a box that is ticked or is not there.
#[derive(Debug, Deserialize)]
pub(crate) struct BadgeForm {
    version: u64,
    #[serde(default)]
    public: Option<String>,
}

pub(crate) async fn badge(
    State(state): State<ServerState>,
    place: Place,
    Path(named_): Path<Named>,
    Form(asked): Form<BadgeForm>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Member)?;
    let pipeline = named(&state, &place, &named_.pipeline).await?;
    let update = Update { public_badge: Some(asked.public.is_some()), ..Update::default() };
    match pipelines::update(&state, &access, &pipeline, asked.version, update).await {
        Ok(_) => {
            let (_, head) = head(&place, &pipeline, "settings");
            Ok(Redirect::to(&format!("{}/settings", head.link)).into_response())
        }
        Err(problem) => SettingsPage::new(&state, &place, &pipeline).refuse(&problem),
    }
}

pub(crate) async fn delete(
    State(state): State<ServerState>,
    place: Place,
    Path(named_): Path<Named>,
    Form(written): Form<Written>,
) -> Result<Response, Problem> {
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
}
