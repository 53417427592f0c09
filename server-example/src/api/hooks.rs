//! `/hooks`: what others call when something has happened. There is no session and no key here: who knows the secret may.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use buildit::id::{PipelineId, RepositoryId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Id, IdempotencyKey};
use crate::access::Whose;
use crate::app::deliveries::{self, Received};
use crate::app::hooks;
use crate::app::requests::Made;
use crate::problem::Problem;
use crate::state::{Peer, ServerState};

/// The run that a webhook has started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Started {
    run: Uuid,
    number: u64,
}

/// Starts a run of a pipeline that has `on "webhook" secret="NAME"`.
///
/// Whoever calls proves to know the secret: by `X-BuildIt-Signature: sha256=…`, the HMAC-SHA-256 of the body, or by
/// `Authorization: Bearer SECRET`. Fields of a JSON object become the parameters of their names.
#[utoipa::path(post, path = "/hooks/pipelines/{id}", tag = "hooks", security(()),
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "what tells this delivery from another")),
    request_body(content = Object, content_type = "application/json"),
    responses((status = ACCEPTED, body = Started), (status = OK, body = Started, description = "seen already"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn receive(
    State(state): State<ServerState>,
    Peer(peer): Peer,
    Id(id): Id<PipelineId>,
    IdempotencyKey(key): IdempotencyKey,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    state.limits().request(Whose::Address(peer.ip()))?;
    let body = body.map_err(|_| Problem::too_large())?;
    let (status, record) = match hooks::receive(&state, id, &headers, key, &body).await? {
        Made::Now(record) => (StatusCode::ACCEPTED, record),
        Made::Before(record) => (StatusCode::OK, record),
    };
    Ok((status, Json(Started { run: record.run.id.as_uuid(), number: record.number })).into_response())
}

/// Whether a delivery is new.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delivered {
    /// `kept`, or `seen already`.
    delivery: &'static str,
}

/// Takes what a forge tells of a repository: GitHub, GitLab, Gitea (Forgejo) or Bitbucket. It is kept, signed with the
/// repository's secret as the forge does, and worked on soon; one that comes again changes nothing.
#[utoipa::path(post, path = "/hooks/{id}", tag = "hooks", security(()), params(("id" = Uuid, Path)),
    request_body(content = Object, content_type = "application/json"),
    responses((status = ACCEPTED, body = Delivered), (status = OK, body = Delivered, description = "seen already"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn deliver(
    State(state): State<ServerState>,
    Peer(peer): Peer,
    Id(id): Id<RepositoryId>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    state.limits().request(Whose::Address(peer.ip()))?;
    let body = body.map_err(|_| Problem::too_large())?;
    let (status, delivery) = match deliveries::receive(&state, id, &headers, &body).await? {
        Received::Kept => (StatusCode::ACCEPTED, "kept"),
        Received::Before => (StatusCode::OK, "seen already"),
    };
    Ok((status, Json(Delivered { delivery })).into_response())
}
