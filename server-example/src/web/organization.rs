//! The page of an organization: its name, where bills go, and its tenants.

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::{Organization, Role, Tenant};
use serde::Deserialize;

use super::page::{Crumb, Frame, Place, draw, part};
use crate::app::organizations::{self, OrganizationChange};
use crate::list::{List, Page};
use crate::problem::Problem;
use crate::state::ServerState;

#[derive(Template)]
#[template(path = "settings_organization.html")]
struct OrganizationPage {
    frame: Frame,
    organization: Organization,
    tenants: List<Tenant>,
    tenant: String,
    base: String,
    is_owner: bool,
    is_admin: bool,
    is_first: bool,
    /// Whether it is the organization whose owners are those of the installation.
    is_installation: bool,
    problem: Option<String>,
}

impl OrganizationPage {
    async fn new(state: &ServerState, place: &Place, page: &Page) -> Result<Self, Problem> {
        let crumbs = vec![Crumb::to("Settings", format!("{}/settings", place.root())), Crumb::here("Organization")];
        let tenants = organizations::tenants(state, &place.access.actor, place.organization.id, page).await?;
        Ok(Self {
            frame: place.frame("settings", "Organization", crumbs),
            organization: place.organization.clone(),
            tenants,
            tenant: place.access.tenant.name.clone(),
            base: state.base().to_owned(),
            is_owner: place.may(Role::Owner),
            is_admin: place.may(Role::Admin),
            is_first: place.access.tenant.id == state.default_tenant(),
            is_installation: organizations::is_installation(state, place.organization.id).await?,
            problem: None,
        })
    }

    fn link(&self, tenant: &str) -> String {
        format!("{}/{}/{}", self.base, part(&self.organization.name), part(tenant))
    }

    fn more(&self) -> Option<String> {
        let next = self.tenants.next.as_ref()?;
        Some(format!("{}/settings/organization?cursor={}", self.frame.root, part(next)))
    }

    fn billing(&self) -> &str {
        self.organization.billing_email.as_deref().unwrap_or_default()
    }
}

pub(crate) async fn show(
    State(state): State<ServerState>,
    place: Place,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    draw(&OrganizationPage::new(&state, &place, &page).await?)
}

/// To this page of these names, or the same page with what is wrong.
async fn answer(
    state: &ServerState,
    place: &Place,
    done: Result<(String, String), Problem>,
) -> Result<Response, Problem> {
    match done {
        Ok((organization, tenant)) => {
            let to = format!("{}/{}/{}/settings/organization", state.base(), part(&organization), part(&tenant));
            Ok(Redirect::to(&to).into_response())
        }
        Err(problem) => {
            let said = problem.said();
            let page = OrganizationPage::new(state, place, &Page::default()).await?;
            let drawn = draw(&OrganizationPage { problem: Some(said), ..page })?;
            Ok((problem.status(), drawn).into_response())
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Filled {
    name: String,
    #[serde(default)]
    billing_email: String,
}

pub(crate) async fn change(
    State(state): State<ServerState>,
    place: Place,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Owner)?;
    let change = OrganizationChange { name: Some(filled.name), billing_email: Some(filled.billing_email) };
    let done = organizations::change(&state, &access.actor, place.organization.id, change).await;
    answer(&state, &place, done.map(|(organization, _)| (organization.name, access.tenant.name))).await
}

#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    name: String,
}

pub(crate) async fn create_tenant(
    State(state): State<ServerState>,
    place: Place,
    Form(named): Form<Named>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    let made = organizations::create_tenant(&state, &access.actor, place.organization.id, &named.name).await;
    answer(&state, &place, made.map(|_| (place.organization.name.clone(), access.tenant.name))).await
}

pub(crate) async fn rename_tenant(
    State(state): State<ServerState>,
    place: Place,
    Form(named): Form<Named>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    let renamed = organizations::rename_tenant(&state, &access, &named.name).await;
    answer(&state, &place, renamed.map(|tenant| (place.organization.name.clone(), tenant.name))).await
}

#[derive(Debug, Deserialize)]
pub(crate) struct Typed {
    typed: String,
}

pub(crate) async fn delete(
    State(state): State<ServerState>,
    place: Place,
    Form(sure): Form<Typed>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Owner)?;
    let done = if sure.typed.trim() == place.organization.name {
        organizations::delete(&state, &access.actor, place.organization.id).await
    } else {
        Err(Problem::invalid("type the name of the organization to delete it"))
    };
    match done {
        Ok(()) => Ok(Redirect::to(&format!("{}/tenants", state.base())).into_response()),
        Err(problem) => answer(&state, &place, Err(problem)).await,
    }
}

pub(crate) async fn delete_tenant(
    State(state): State<ServerState>,
    place: Place,
    Form(sure): Form<Typed>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Owner)?;
    let done = if sure.typed.trim() == access.tenant.name {
        organizations::delete_tenant(&state, &access).await
    } else {
        Err(Problem::invalid("type the name of the tenant to delete it"))
    };
    match done {
        Ok(()) => Ok(Redirect::to(&format!("{}/tenants", state.base())).into_response()),
        Err(problem) => answer(&state, &place, Err(problem)).await,
    }
}
