//! The way in, and what needs one's attention.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::User;
use buildit::event::RunStatus;
use buildit::store::{RunFilter, RunSummary};
use serde::Deserialize;

use super::assets::VERSION;
use super::page::{Crumb, Frame, Place, Theme, draw, part};
use super::rows::RunRow;
use crate::access::{Access, Actor};
use crate::app::organizations;
use crate::problem::Problem;
use crate::state::ServerState;

/// How many runs of each kind the dashboard shows.
const SHOWN: usize = 8;

/// `/`: to the tenant of who asks, or to where one gets in.
pub(crate) async fn entry(State(state): State<ServerState>, actor: Actor) -> Result<Redirect, Problem> {
    if !state.has_owner().await? {
        return Ok(Redirect::to(&format!("{}/setup", state.base())));
    }
    let Actor::User(user) = actor else { return Ok(Redirect::to(&format!("{}/login", state.base()))) };
    for (organization, _) in state.identity().organizations_of(user.id).await? {
        if let Some(tenant) = state.identity().tenants(organization.id, None, 1).await?.into_iter().next() {
            let root = format!("{}/{}/{}", state.base(), part(&organization.name), part(&tenant.name));
            return Ok(Redirect::to(&root));
        }
    }
    Err(Problem::forbidden("you are a member of no organization: ask somebody to invite you"))
}

/// How many tenants of an organization are shown.
const TENANTS: usize = 200;

#[derive(Template)]
#[template(path = "tenants.html")]
struct TenantsPage {
    base: String,
    theme: &'static str,
    version: &'static str,
    /// Organizations with their tenants and where these are.
    organizations: Vec<(String, Vec<(String, String)>)>,
    may_make: bool,
    /// What was to be made, and why it was not.
    filled: String,
    problem: Option<String>,
}

impl TenantsPage {
    async fn new(state: &ServerState, user: &User, headers: &HeaderMap) -> Result<Self, Problem> {
        let mut organizations = Vec::new();
        for (organization, _) in state.identity().organizations_of(user.id).await? {
            let root = format!("{}/{}", state.base(), part(&organization.name));
            let tenants = state.identity().tenants(organization.id, None, TENANTS).await?.into_iter();
            let links = tenants.map(|tenant| (format!("{root}/{}", part(&tenant.name)), tenant.name));
            organizations.push((organization.name, links.collect()));
        }
        Ok(Self {
            base: state.base().to_owned(),
            theme: Theme::of(headers).word(),
            version: &VERSION,
            organizations,
            may_make: Access::to_installation(state, Actor::User(user.clone())).await.is_ok(),
            filled: String::new(),
            problem: None,
        })
    }
}

/// Where one may go.
pub(crate) async fn tenants(
    State(state): State<ServerState>,
    actor: Actor,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Actor::User(user) = actor else { return Err(Problem::unauthenticated()) };
    draw(&TenantsPage::new(&state, &user, &headers).await?)
}

#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    name: String,
}

/// Makes an organization, and goes to its team, which is to be invited.
pub(crate) async fn create_organization(
    State(state): State<ServerState>,
    actor: Actor,
    headers: HeaderMap,
    Form(named): Form<Named>,
) -> Result<Response, Problem> {
    let Actor::User(user) = actor.clone() else { return Err(Problem::unauthenticated()) };
    match organizations::create(&state, &actor, &named.name, organizations::FIRST_TENANT).await {
        Ok((made, tenant)) => {
            let to = format!("{}/{}/{}/settings/team", state.base(), part(&made.name), part(&tenant.name));
            Ok(Redirect::to(&to).into_response())
        }
        Err(problem) => {
            let page = TenantsPage::new(&state, &user, &headers).await?;
            let page = TenantsPage { filled: named.name, problem: Some(problem.said()), ..page };
            Ok((problem.status(), draw(&page)?).into_response())
        }
    }
}

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Dashboard {
    frame: Frame,
    waiting: Vec<RunRow>,
    running: Vec<RunRow>,
    queued: Vec<RunRow>,
    failed: Vec<RunRow>,
    is_empty: bool,
}

pub(crate) async fn dashboard(State(state): State<ServerState>, place: Place) -> Result<Response, Problem> {
    let root = place.root();
    let runs = async |status| {
        let filter = RunFilter { status: Some(status), ..RunFilter::of_tenant(place.access.tenant.id) };
        let found: Vec<RunSummary> = state.store().runs(&filter, SHOWN).await?;
        Ok::<_, Problem>(found.into_iter().map(|run| RunRow::new(&root, run)).collect::<Vec<_>>())
    };
    let any = state.store().runs(&RunFilter::of_tenant(place.access.tenant.id), 1).await?;
    draw(&Dashboard {
        frame: place.frame("dashboard", "Dashboard", vec![Crumb::here("Dashboard")]),
        waiting: runs(RunStatus::Waiting).await?,
        running: runs(RunStatus::Running).await?,
        queued: runs(RunStatus::Queued).await?,
        failed: runs(RunStatus::Failed).await?,
        is_empty: any.is_empty(),
    })
}

#[derive(Debug, Deserialize)]
pub(crate) struct Chosen {
    theme: String,
}

/// Notes the theme in the browser, and goes back.
pub(crate) async fn theme(headers: HeaderMap, Form(chosen): Form<Chosen>) -> Response {
    let theme = match chosen.theme.as_str() {
        "dark" => "dark",
        "light" => "light",
        _ => "",
    };
    let referer = headers.get(header::REFERER).and_then(|referer| referer.to_str().ok()).unwrap_or("/");
    // Its path alone: to this server, wherever that is reached.
    let path = referer.split_once("://").map_or("/", |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
    let cookie = format!("theme={theme}; Path=/; Max-Age=31536000; SameSite=Lax");
    ([(header::SET_COOKIE, cookie)], Redirect::to(if path.starts_with("//") { "/" } else { path })).into_response()
}
