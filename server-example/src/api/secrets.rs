//! Secrets of tenants and of pipelines. A value is told to nobody.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use buildit::account::Role;
use buildit::id::{PipelineId, TenantId};
use buildit::store::{SecretScope, SecretSummary};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Body, Id};
use crate::access::{Access, Actor};
use crate::app::{pipelines, secrets};
use crate::list::{Asked, List, Page};
use crate::problem::Problem;
use crate::secrets::{of_pipeline, of_tenant};
use crate::state::ServerState;

/// A secret, without its value.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Secret {
    name: String,
    /// Counts from 1 how often it was set.
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// What a secret is from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSecret {
    #[schema(value_type = String, format = Password)]
    pub(super) value: SecretString,
}

impl From<SecretSummary> for Secret {
    fn from(found: SecretSummary) -> Self {
        let SecretSummary { place, version, created_at, updated_at, .. } = found;
        Self { name: place.name, version, created_at, updated_at }
    }
}

/// The secrets of a tenant, by name.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/secrets", tag = "secrets", params(("tenant" = Uuid, Path), Page),
    responses((status = OK, body = List<Secret>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn of_a_tenant(
    State(state): State<ServerState>,
    actor: Actor,
    Id(tenant): Id<TenantId>,
    Asked(page): Asked<Page>,
) -> Result<Json<List<Secret>>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    let found = secrets::page(&state, SecretScope::Tenant, &access.tenant.id.to_string(), &page).await?;
    Ok(Json(found.map(Secret::from)))
}

/// Sets a secret of a tenant: each run of it may name it.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant}/secrets/{name}", tag = "secrets", request_body = NewSecret,
    params(("tenant" = Uuid, Path), ("name" = String, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_of_tenant(
    State(state): State<ServerState>,
    actor: Actor,
    Id((tenant, name)): Id<(TenantId, String)>,
    Body(new): Body<NewSecret>,
) -> Result<StatusCode, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    secrets::set(&state, &access, &of_tenant(access.tenant.id, &name), new.value).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets a secret of a tenant.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/secrets/{name}", tag = "secrets", params(("tenant" = Uuid, Path), ("name" = String, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete_of_tenant(
    State(state): State<ServerState>,
    actor: Actor,
    Id((tenant, name)): Id<(TenantId, String)>,
) -> Result<StatusCode, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    secrets::delete(&state, &access, &of_tenant(access.tenant.id, &name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The secrets of a pipeline alone, by name.
#[utoipa::path(get, path = "/api/v1/pipelines/{id}/secrets", tag = "secrets", params(("id" = Uuid, Path), Page),
    responses((status = OK, body = List<Secret>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn of_a_pipeline(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<PipelineId>,
    Asked(page): Asked<Page>,
) -> Result<Json<List<Secret>>, Problem> {
    pipelines::find(&state, actor, id, Role::Admin).await?;
    let found = secrets::page(&state, SecretScope::Pipeline, &id.to_string(), &page).await?;
    Ok(Json(found.map(Secret::from)))
}

/// Sets a secret of a pipeline alone, which hides that of its tenant of the same name.
#[utoipa::path(put, path = "/api/v1/pipelines/{id}/secrets/{name}", tag = "secrets", request_body = NewSecret,
    params(("id" = Uuid, Path), ("name" = String, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_of_pipeline(
    State(state): State<ServerState>,
    actor: Actor,
    Id((id, name)): Id<(PipelineId, String)>,
    Body(new): Body<NewSecret>,
) -> Result<StatusCode, Problem> {
    let (access, _) = pipelines::find(&state, actor, id, Role::Admin).await?;
    secrets::set(&state, &access, &of_pipeline(id, &name), new.value).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets a secret of a pipeline.
#[utoipa::path(delete, path = "/api/v1/pipelines/{id}/secrets/{name}", tag = "secrets", params(("id" = Uuid, Path), ("name" = String, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete_of_pipeline(
    State(state): State<ServerState>,
    actor: Actor,
    Id((id, name)): Id<(PipelineId, String)>,
) -> Result<StatusCode, Problem> {
    let (access, _) = pipelines::find(&state, actor, id, Role::Admin).await?;
    secrets::delete(&state, &access, &of_pipeline(id, &name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
