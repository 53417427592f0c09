//! `/api/v1/tenants/{tenant}/keys`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use buildit::account::{ApiKey, Role};
use buildit::id::{ApiKeyId, TenantId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Body, Id};
use crate::access::{Access, Actor};
use crate::app::keys::{end, make};
use crate::list::{Asked, List, Page};
use crate::problem::Problem;
use crate::state::ServerState;

/// An API key, without what it is made of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Key {
    id: Uuid,
    name: String,
    /// How it begins.
    prefix: String,
    /// `viewer`, `member`, `admin` or `owner`.
    role: &'static str,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    created_at: Timestamp,
}

/// A key that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeKey {
    #[serde(flatten)]
    key: Key,
    /// The key itself. It is shown this once.
    token: String,
}

/// A key that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    name: String,
    /// What it may do, no more than whoever makes it: `member` without.
    role: Option<String>,
    expires_at: Option<Timestamp>,
}

impl From<ApiKey> for Key {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.as_uuid(),
            name: key.name,
            prefix: key.prefix,
            role: key.role.as_str(),
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            created_at: key.created_at,
        }
    }
}

/// Keys of a tenant.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/keys", tag = "keys", params(("tenant" = Uuid, Path), Page),
    responses((status = OK, body = List<Key>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    actor: Actor,
    Id(tenant): Id<TenantId>,
    Asked(page): Asked<Page>,
) -> Result<Json<List<Key>>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    let found = state.credentials().keys(access.tenant.id, page.after()?, page.limit() + 1).await?;
    Ok(Json(List::cut(found, page.limit(), |key| key.id.to_string()).map(Key::from)))
}

/// Makes a key, which is shown this once.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/keys", tag = "keys", request_body = NewKey, params(("tenant" = Uuid, Path)),
    responses((status = CREATED, body = MadeKey), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create(
    State(state): State<ServerState>,
    actor: Actor,
    Id(tenant): Id<TenantId>,
    Body(new): Body<NewKey>,
) -> Result<(StatusCode, Json<MadeKey>), Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    let role = new.role.as_deref().unwrap_or("member").parse();
    let role: Role = role.map_err(|_| Problem::invalid("`role` is viewer, member, admin or owner"))?;
    let (key, token) = make(&state, &access, &new.name, role, new.expires_at).await?;
    Ok((StatusCode::CREATED, Json(MadeKey { key: key.into(), token: token.expose().to_owned() })))
}

/// Ends a key, at once.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/keys/{key}", tag = "keys", params(("tenant" = Uuid, Path), ("key" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete(
    State(state): State<ServerState>,
    actor: Actor,
    Id((tenant, key)): Id<(TenantId, ApiKeyId)>,
) -> Result<StatusCode, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    end(&state, &access, key).await?;
    Ok(StatusCode::NO_CONTENT)
}
