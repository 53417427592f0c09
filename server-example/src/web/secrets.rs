//! The pages of secrets: of a tenant, and of a pipeline alone.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::Role;
use buildit::store::{SecretPlace, SecretScope, SecretSummary};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;

use super::page::{Crumb, Frame, Place, When, draw, part};
use super::pipelines::{Head, head, named};
use crate::app::secrets;
use crate::list::{Asked, List, Page};
use crate::problem::Problem;
use crate::secrets as places;
use crate::state::ServerState;

/// What is set. `Debug` shows no value.
#[derive(Debug, Deserialize)]
pub(crate) struct Filled {
    name: String,
    value: SecretString,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OfPipeline {
    pipeline: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct NamedOfPipeline {
    pipeline: String,
    name: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    name: String,
}

#[derive(Template)]
#[template(path = "secrets.html")]
struct SecretsPage {
    frame: Frame,
    /// The pipeline whose they are; the tenant's without.
    head: Option<Head>,
    /// Where they are set.
    action: String,
    secrets: List<SecretSummary>,
    may_change: bool,
    problem: Option<String>,
    name: String,
}

impl SecretsPage {
    async fn of_tenant(state: &ServerState, place: &Place, page: &Page) -> Result<Self, Problem> {
        let root = place.root();
        let crumbs = vec![Crumb::to("Settings", format!("{root}/settings")), Crumb::here("Secrets")];
        let frame = place.frame("settings", "Secrets", crumbs);
        let owner = place.access.tenant.id.to_string();
        let action = format!("{root}/settings/secrets");
        Self::new(state, place, (frame, None), action, (SecretScope::Tenant, &owner), page).await
    }

    async fn of_pipeline(state: &ServerState, place: &Place, name: &str, page: &Page) -> Result<Self, Problem> {
        let pipeline = named(state, place, name).await?;
        let (frame, head) = head(place, &pipeline, "secrets");
        let (action, owner) = (format!("{}/secrets", head.link), pipeline.id.to_string());
        Self::new(state, place, (frame, Some(head)), action, (SecretScope::Pipeline, &owner), page).await
    }

    async fn new(
        state: &ServerState,
        place: &Place,
        (frame, head): (Frame, Option<Head>),
        action: String,
        (scope, owner): (SecretScope, &str),
        page: &Page,
    ) -> Result<Self, Problem> {
        let may_change = place.may(Role::Admin);
        let nothing = List { items: Vec::new(), next: None };
        let secrets = if may_change { secrets::page(state, scope, owner, page).await? } else { nothing };
        Ok(Self { frame, head, action, secrets, may_change, problem: None, name: String::new() })
    }

    fn ago(&self, time: &Timestamp) -> When {
        When(*time)
    }

    /// Where those are that come after these.
    fn more(&self) -> Option<String> {
        Some(format!("{}?cursor={}", self.action, part(self.secrets.next.as_ref()?)))
    }

    /// Where one of them is forgotten.
    fn forget(&self, name: &str) -> String {
        format!("{}/{name}/delete", self.action)
    }

    async fn set(
        self,
        state: &ServerState,
        place: &Place,
        at: SecretPlace,
        value: SecretString,
    ) -> Result<Response, Problem> {
        let access = place.grant(Role::Admin)?;
        match secrets::set(state, &access, &at, value).await {
            Ok(()) => Ok(Redirect::to(&self.action).into_response()),
            Err(problem) => {
                let said = Some(problem.said());
                let page = draw(&Self { problem: said, name: at.name, ..self })?;
                Ok((problem.status(), page).into_response())
            }
        }
    }

    async fn delete(self, state: &ServerState, place: &Place, at: SecretPlace) -> Result<Response, Problem> {
        secrets::delete(state, &place.grant(Role::Admin)?, &at).await?;
        Ok(Redirect::to(&self.action).into_response())
    }
}

pub(crate) async fn of_tenant(
    State(state): State<ServerState>,
    place: Place,
    Asked(page): Asked<Page>,
) -> Result<Response, Problem> {
    draw(&SecretsPage::of_tenant(&state, &place, &page).await?)
}

pub(crate) async fn set_of_tenant(
    State(state): State<ServerState>,
    place: Place,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let at = places::of_tenant(place.access.tenant.id, filled.name.trim());
    SecretsPage::of_tenant(&state, &place, &Page::default()).await?.set(&state, &place, at, filled.value).await
}

pub(crate) async fn delete_of_tenant(
    State(state): State<ServerState>,
    place: Place,
    Path(one): Path<Named>,
) -> Result<Response, Problem> {
    let at = places::of_tenant(place.access.tenant.id, &one.name);
    SecretsPage::of_tenant(&state, &place, &Page::default()).await?.delete(&state, &place, at).await
}

pub(crate) async fn of_pipeline(
    State(state): State<ServerState>,
    place: Place,
    Path(of): Path<OfPipeline>,
    Asked(page): Asked<Page>,
) -> Result<Response, Problem> {
    draw(&SecretsPage::of_pipeline(&state, &place, &of.pipeline, &page).await?)
}

pub(crate) async fn set_of_pipeline(
    State(state): State<ServerState>,
    place: Place,
    Path(of): Path<OfPipeline>,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let id = named(&state, &place, &of.pipeline).await?.id;
    let page = SecretsPage::of_pipeline(&state, &place, &of.pipeline, &Page::default()).await?;
    page.set(&state, &place, places::of_pipeline(id, filled.name.trim()), filled.value).await
}

pub(crate) async fn delete_of_pipeline(
    State(state): State<ServerState>,
    place: Place,
    Path(one): Path<NamedOfPipeline>,
) -> Result<Response, Problem> {
    let id = named(&state, &place, &one.pipeline).await?.id;
    let page = SecretsPage::of_pipeline(&state, &place, &one.pipeline, &Page::default()).await?;
    page.delete(&state, &place, places::of_pipeline(id, &one.name)).await
}
