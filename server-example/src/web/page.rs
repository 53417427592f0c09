//! What all pages share: the frame, where one is, and what is shown when something is wrong.

use std::fmt;

use askama::Template;
use axum::extract::{FromRequestParts, OriginalUri, Path, Request, State};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use buildit::account::{Organization, Role};
use jiff::Timestamp;
use serde::Deserialize;

use super::assets::VERSION;
use super::enter::safe;
use crate::access::{Access, Actor};
use crate::problem::{Problem, Told};
use crate::state::ServerState;
use crate::view::words;

/// A text as one part of an address.
pub(crate) fn part(text: impl fmt::Display) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let text = text.to_string();
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The light or the dark theme, when somebody has chosen one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    System,
    Dark,
    Light,
}

impl Theme {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::System => "",
            Self::Dark => "dark",
            Self::Light => "light",
        }
    }

    /// As the browser's cookie says.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
        let mut chosen =
            cookies.flat_map(|cookie| cookie.split(';')).filter_map(|pair| pair.trim().strip_prefix("theme="));
        match chosen.next() {
            Some("dark") => Self::Dark,
            Some("light") => Self::Light,
            _ => Self::System,
        }
    }
}

/// Where one is within a tenant.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) organization: Organization,
    pub(crate) access: Access,
    pub(crate) theme: Theme,
    /// The path that the server is mounted below.
    pub(crate) base: String,
}

/// The first two parts of an address.
#[derive(Debug, Deserialize)]
struct Names {
    organization: String,
    tenant: String,
}

impl Place {
    /// The address of the tenant.
    pub(crate) fn root(&self) -> String {
        format!("{}/{}/{}", self.base, part(&self.organization.name), part(&self.access.tenant.name))
    }

    pub(crate) fn may(&self, least: Role) -> bool {
        self.access.role >= least
    }

    /// Leave for more than to look.
    pub(crate) fn grant(&self, least: Role) -> Result<Access, Problem> {
        self.access.clone().at_least(least)
    }

    /// A page of this tenant.
    pub(crate) fn frame(&self, section: &'static str, title: impl Into<String>, crumbs: Vec<Crumb>) -> Frame {
        Frame {
            title: title.into(),
            section,
            base: self.base.clone(),
            root: self.root(),
            organization: self.organization.name.clone(),
            tenant: self.access.tenant.name.clone(),
            who: self.access.actor.name(),
            role: self.access.role,
            crumbs,
            theme: self.theme.word(),
            version: &VERSION,
        }
    }
}

impl FromRequestParts<ServerState> for Place {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ServerState) -> Result<Self, Problem> {
        find(parts, state).await
    }
}

async fn find(parts: &mut Parts, state: &ServerState) -> Result<Place, Problem> {
    let Path(names) = Path::<Names>::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
    let actor = Actor::from_request_parts(parts, state).await?;
    let Actor::User(_) = &actor else { return Err(Problem::unauthenticated()) };
    let organization =
        state.identity().organization_named(&names.organization).await?.ok_or_else(Problem::not_found)?;
    let tenant = state.identity().tenant_named(organization.id, &names.tenant).await?.ok_or_else(Problem::not_found)?;
    let access = Access::to(state, actor, tenant.id, Role::Viewer).await?;
    Ok(Place { organization, access, theme: Theme::of(&parts.headers), base: state.base().to_owned() })
}

/// A step of the way to a page.
#[derive(Clone, Debug)]
pub(crate) struct Crumb {
    pub(crate) label: String,
    /// None for the page itself.
    pub(crate) link: Option<String>,
}

impl Crumb {
    pub(crate) fn to(label: impl Into<String>, link: impl Into<String>) -> Self {
        Self { label: label.into(), link: Some(link.into()) }
    }

    pub(crate) fn here(label: impl Into<String>) -> Self {
        Self { label: label.into(), link: None }
    }

    pub(super) fn short(&self) -> String {
        words::middle(&self.label, 40)
    }
}

/// What stands around a page.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) title: String,
    /// Which item of the navigation it belongs to.
    pub(crate) section: &'static str,
    pub(crate) base: String,
    pub(crate) root: String,
    pub(crate) organization: String,
    pub(crate) tenant: String,
    pub(crate) who: String,
    pub(crate) role: Role,
    pub(crate) crumbs: Vec<Crumb>,
    pub(crate) theme: &'static str,
    pub(crate) version: &'static str,
}

impl Frame {
    /// Whether who looks may see what only admins may.
    pub(super) fn is_admin(&self) -> bool {
        self.role >= Role::Admin
    }

    /// What the button of the theme chooses: each in turn, and back to what the system says.
    pub(super) fn next_theme(&self) -> &'static str {
        match self.theme {
            "" => "light",
            "light" => "dark",
            _ => "system",
        }
    }
}

/// A time, as the server writes it; the browser tells it in the reader's zone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct When(pub(crate) Timestamp);

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&words::ago(self.0, Timestamp::now()))
    }
}

/// Draws a template.
pub(crate) fn draw(template: &impl Template) -> Result<Response, Problem> {
    match template.render() {
        Ok(page) => Ok(Html(page).into_response()),
        Err(error) => {
            tracing::error!(%error, "a page cannot be drawn");
            Err(Problem::internal())
        }
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    base: &'a str,
    theme: &'static str,
    version: &'static str,
    status: u16,
    title: &'a str,
    detail: Option<&'a str>,
    retry: Option<String>,
}

/// Turns whatever went wrong behind it into a page: the problems of handlers, and what was refused before one was asked.
pub(crate) async fn problems(State(state): State<ServerState>, request: Request, next: Next) -> Response {
    let uri =
        request.extensions().get::<OriginalUri>().map_or_else(|| request.uri().clone(), |OriginalUri(uri)| uri.clone());
    let (theme, is_get) = (Theme::of(request.headers()), request.method() == Method::GET);
    let response = next.run(request).await;
    let status = response.status();
    let is_page =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !(status.is_client_error() || status.is_server_error()) || is_page {
        return response;
    }
    let base = state.base();
    if status == StatusCode::UNAUTHORIZED {
        let login = format!("{base}/login");
        let back = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        return Redirect::to(&if is_get { format!("{login}?next={}", part(back)) } else { login }).into_response();
    }
    let told = response.extensions().get::<Told>();
    let page = ProblemPage {
        base,
        theme: theme.word(),
        version: &VERSION,
        status: status.as_u16(),
        title: told.map_or(status.canonical_reason().unwrap_or("Something went wrong"), |told| told.title),
        detail: told.and_then(|told| told.detail.as_deref()),
        retry: is_get.then(|| safe(&uri.to_string(), base).to_owned()),
    };
    match draw(&page) {
        Ok(drawn) => (status, drawn).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// There is no such page.
pub(crate) async fn missing() -> Problem {
    Problem::not_found()
}
