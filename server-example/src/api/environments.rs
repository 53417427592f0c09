//! Environments of a tenant, with their secrets.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use buildit::account::Role;
use buildit::id::TenantId;
use buildit::pipeline::{EnvironmentSpec, Protection as Rules, StarterRule};
use buildit::store::{Environment as Stored, SecretScope};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::secrets::{NewSecret, Secret};
use super::tags::{IfMatch, Tagged};
use super::{Body, Id};
use crate::access::{Access, Actor};
use crate::app::{environments, secrets};
use crate::list::{Asked, List, Page};
use crate::problem::Problem;
use crate::secrets::{of_environment, owner_of_environment};
use crate::state::ServerState;

/// Where stages work, with the rules for them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Environment {
    /// What a stage calls it: `environment "production"`.
    name: String,
    /// Environment variables of the stage's job.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    variables: IndexMap<String, String>,
    protection: Protection,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// What must be before a stage starts there.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Protection {
    /// How many people must agree.
    approvals: u32,
    /// Who may answer: `role:admin`, `user:ann@example.org`; empty for every member.
    by: Vec<String>,
    /// Whether it takes somebody else than who started the run.
    not_the_starter: bool,
    /// Globs of the branches whose runs may work there; empty for all.
    branches: Vec<String>,
    /// How long a stage waits before it starts.
    wait_seconds: u64,
}

/// What an environment is from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEnvironment {
    #[serde(default)]
    #[schema(value_type = std::collections::HashMap<String, String>)]
    variables: IndexMap<String, String>,
    #[serde(default)]
    protection: Protection,
}

impl From<Stored> for Environment {
    fn from(stored: Stored) -> Self {
        let Stored { name, spec, created_at, updated_at, .. } = stored;
        let EnvironmentSpec { variables, protection: rules } = spec;
        let protection = Protection {
            approvals: rules.approvals,
            by: rules.by,
            not_the_starter: rules.starter == StarterRule::MayNot,
            branches: rules.branches,
            wait_seconds: rules.wait.as_secs(),
        };
        Self { name, variables, protection, created_at, updated_at }
    }
}

impl From<NewEnvironment> for EnvironmentSpec {
    fn from(new: NewEnvironment) -> Self {
        let Protection { approvals, by, not_the_starter, branches, wait_seconds } = new.protection;
        let starter = if not_the_starter { StarterRule::MayNot } else { StarterRule::May };
        let wait = Duration::from_secs(wait_seconds);
        Self { variables: new.variables, protection: Rules { approvals, by, starter, branches, wait } }
    }
}

/// The environments of a tenant, by name.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/environments", tag = "environments",
    params(("tenant" = Uuid, Path), Page),
    responses((status = OK, body = List<Environment>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    actor: Actor,
    Id(tenant): Id<TenantId>,
    Asked(page): Asked<Page>,
) -> Result<Json<List<Environment>>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Viewer).await?;
    Ok(Json(environments::list(&state, &access, &page).await?.map(Environment::from)))
}

/// An environment.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/environments/{environment}", tag = "environments",
    params(("tenant" = Uuid, Path), ("environment" = String, Path)),
    responses((status = OK, body = Environment), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    actor: Actor,
    Id((tenant, name)): Id<(TenantId, String)>,
) -> Result<Tagged<Environment>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Viewer).await?;
    let found = environments::find(&state, &access, &name).await?;
    Ok(Tagged(found.version, found.into()))
}

/// Makes an environment what is said, a new one when there is none; with `If-Match`, only if nobody else has changed it
/// meanwhile. Runs that are made from then on go by it.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant}/environments/{environment}", tag = "environments",
    request_body = NewEnvironment,
    params(("tenant" = Uuid, Path), ("environment" = String, Path), ("If-Match" = Option<String>, Header, description = "the `ETag` of what is changed")),
    responses((status = OK, body = Environment), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn put(
    State(state): State<ServerState>,
    actor: Actor,
    Id((tenant, name)): Id<(TenantId, String)>,
    IfMatch(version): IfMatch,
    Body(new): Body<NewEnvironment>,
) -> Result<Tagged<Environment>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    let made = environments::put(&state, &access, &name, new.into(), version).await?;
    Ok(Tagged(made.version, made.into()))
}

/// Forgets an environment, with its secrets.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/environments/{environment}", tag = "environments",
    params(("tenant" = Uuid, Path), ("environment" = String, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete(
    State(state): State<ServerState>,
    actor: Actor,
    Id((tenant, name)): Id<(TenantId, String)>,
) -> Result<StatusCode, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    environments::delete(&state, &access, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The secrets of an environment, by name.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/environments/{environment}/secrets", tag = "environments",
    params(("tenant" = Uuid, Path), ("environment" = String, Path), Page),
    responses((status = OK, body = List<Secret>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn secrets_of(
    State(state): State<ServerState>,
    actor: Actor,
    Id((tenant, name)): Id<(TenantId, String)>,
    Asked(page): Asked<Page>,
) -> Result<Json<List<Secret>>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    environments::find(&state, &access, &name).await?;
    let owner = owner_of_environment(tenant, &name);
    let found = secrets::page(&state, SecretScope::Environment, &owner, &page).await?;
    Ok(Json(found.map(Secret::from)))
}

/// Sets a secret of an environment, which hides others of its name from stages that work there.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant}/environments/{environment}/secrets/{name}", tag = "environments",
    request_body = NewSecret, params(("tenant" = Uuid, Path), ("environment" = String, Path), ("name" = String, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_secret(
    State(state): State<ServerState>,
    actor: Actor,
    Id((tenant, environment, name)): Id<(TenantId, String, String)>,
    Body(new): Body<NewSecret>,
) -> Result<StatusCode, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    environments::find(&state, &access, &environment).await?;
    secrets::set(&state, &access, &of_environment(tenant, &environment, &name), new.value).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets a secret of an environment.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/environments/{environment}/secrets/{name}", tag = "environments",
    params(("tenant" = Uuid, Path), ("environment" = String, Path), ("name" = String, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete_secret(
    State(state): State<ServerState>,
    actor: Actor,
    Id((tenant, environment, name)): Id<(TenantId, String, String)>,
) -> Result<StatusCode, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    secrets::delete(&state, &access, &of_environment(tenant, &environment, &name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
