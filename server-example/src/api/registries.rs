//! Private registries of tenants. A password is told to nobody.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use buildit::account::Role;
use buildit::id::TenantId;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Body, Id};
use crate::access::{Access, Actor};
use crate::app::registries;
use crate::list::List;
use crate::problem::Problem;
use crate::state::ServerState;

/// Who fetches images from a registry, without the password.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Registry {
    /// As images name it: `ghcr.io`, `registry.example:5000`, `docker.io`.
    host: String,
    /// Empty when what is kept cannot be opened with the server's key: it is set anew.
    username: String,
    updated_at: Timestamp,
}

/// Who fetches images from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRegistry {
    username: String,
    /// The password, or a token that stands for one.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

impl From<registries::Registry> for Registry {
    fn from(found: registries::Registry) -> Self {
        let registries::Registry { host, username, updated_at } = found;
        Self { host, username, updated_at }
    }
}

/// The registries of a tenant, by host; there are at most 100.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/registries", tag = "registries", params(("tenant" = Uuid, Path)),
    responses((status = OK, body = List<Registry>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    actor: Actor,
    Id(tenant): Id<TenantId>,
) -> Result<Json<List<Registry>>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    let found = registries::all(&state, &access).await?;
    Ok(Json(List { items: found.into_iter().map(Registry::from).collect(), next: None }))
}

/// Sets who fetches a tenant's images from a registry: its runs' images that name nobody themselves. Runs of forks fetch as nobody.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant}/registries/{host}", tag = "registries", request_body = NewRegistry,
    params(("tenant" = Uuid, Path), ("host" = String, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set(
    State(state): State<ServerState>,
    actor: Actor,
    Id((tenant, host)): Id<(TenantId, String)>,
    Body(new): Body<NewRegistry>,
) -> Result<StatusCode, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    registries::set(&state, &access, &host, &new.username, new.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets who fetches from a registry.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/registries/{host}", tag = "registries",
    params(("tenant" = Uuid, Path), ("host" = String, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete(
    State(state): State<ServerState>,
    actor: Actor,
    Id((tenant, host)): Id<(TenantId, String)>,
) -> Result<StatusCode, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    registries::delete(&state, &access, &host).await?;
    Ok(StatusCode::NO_CONTENT)
}
