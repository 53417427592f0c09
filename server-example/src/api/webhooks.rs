//! `/api/v1/repositories/{id}/webhook`: what a repository's forge has of it.

use axum::Json;
use axum::extract::State;
use buildit::account::Role;
use buildit::id::RepositoryId;

use super::Id;
use super::repositories::WebhookStanding;
use crate::access::Actor;
use crate::app::{repositories, webhooks};
use crate::problem::Problem;
use crate::state::ServerState;

/// Makes the webhook at the forge, with the repository's token; one that is there already is made what it must be.
#[utoipa::path(put, path = "/api/v1/repositories/{id}/webhook", tag = "repositories", params(("id" = Uuid, Path)),
    responses((status = OK, body = WebhookStanding), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn make(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RepositoryId>,
) -> Result<Json<WebhookStanding>, Problem> {
    let (access, repository) = repositories::find(&state, actor, id, Role::Admin).await?;
    Ok(Json(webhooks::make(&state, &access, &repository).await?.into()))
}

/// Looks how it stands with the webhook at the forge.
#[utoipa::path(post, path = "/api/v1/repositories/{id}/webhook/check", tag = "repositories", params(("id" = Uuid, Path)),
    responses((status = OK, body = WebhookStanding), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn check(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RepositoryId>,
) -> Result<Json<WebhookStanding>, Problem> {
    let (access, repository) = repositories::find(&state, actor, id, Role::Admin).await?;
    Ok(Json(webhooks::check(&state, &access, &repository).await?.into()))
}

/// Removes the webhook at the forge.
#[utoipa::path(delete, path = "/api/v1/repositories/{id}/webhook", tag = "repositories", params(("id" = Uuid, Path)),
    responses((status = OK, body = WebhookStanding), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RepositoryId>,
) -> Result<Json<WebhookStanding>, Problem> {
    let (access, repository) = repositories::find(&state, actor, id, Role::Admin).await?;
    Ok(Json(webhooks::remove(&state, &access, &repository).await?.into()))
}
