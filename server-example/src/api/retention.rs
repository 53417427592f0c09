//! What a tenant wants kept.

use axum::extract::State;
use buildit::account::Role;
use buildit::id::TenantId;

use super::tags::{IfMatch, Tagged};
use super::{Body, Id};
use crate::access::{Access, Actor};
use crate::app::upkeep::{self, Kept};
use crate::problem::Problem;
use crate::state::ServerState;

/// For how long runs and logs of a tenant are kept.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/retention", tag = "retention", params(("tenant" = Uuid, Path)),
    responses((status = OK, body = Kept), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    actor: Actor,
    Id(tenant): Id<TenantId>,
) -> Result<Tagged<Kept>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Viewer).await?;
    let (kept, version) = upkeep::policy(&state, &access).await?;
    Ok(Tagged(version, kept))
}

/// Says for how long runs and logs of a tenant are kept; with `If-Match`, only if nobody else has said something meanwhile.
/// What is not kept is removed within the hour, and does not come back.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant}/retention", tag = "retention", request_body = Kept,
    params(("tenant" = Uuid, Path), ("If-Match" = Option<String>, Header, description = "the `ETag` of what is changed")),
    responses((status = OK, body = Kept), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set(
    State(state): State<ServerState>,
    actor: Actor,
    Id(tenant): Id<TenantId>,
    IfMatch(version): IfMatch,
    Body(kept): Body<Kept>,
) -> Result<Tagged<Kept>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    let version = upkeep::set_policy(&state, &access, kept, version).await?;
    Ok(Tagged(version, kept))
}
