//! What the stages of a run have left, as archives.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use buildit::account::Role;
use buildit::id::RunId;

use super::Id;
use super::logs::attached;
use crate::access::Actor;
use crate::app::{artifacts, runs};
use crate::problem::Problem;
use crate::state::ServerState;

/// An artifact of a stage, as an archive (tar).
#[utoipa::path(get, path = "/api/v1/runs/{id}/stages/{stage}/artifacts/{name}", tag = "artifacts",
    params(("id" = Uuid, Path), ("stage" = String, Path), ("name" = String, Path)),
    responses((status = OK, body = Vec<u8>, content_type = "application/x-tar"), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    actor: Actor,
    Id((id, stage, name)): Id<(RunId, String, String)>,
) -> Result<Response, Problem> {
    let (_, record) = runs::find(&state, actor, id, Role::Viewer).await?;
    let view = runs::view(&state, &record).await?;
    let products = view.stage(&stage).and_then(|stage| stage.products.as_deref());
    let found = products.and_then(|products| products.artifacts.iter().find(|artifact| artifact.name == name));
    let artifact = found.ok_or_else(Problem::not_found)?;
    let content = state.blobs().open(&artifact.digest).await.map_err(|error| {
        tracing::error!(%error, run = %id, name, "an artifact cannot be read");
        Problem::internal()
    })?;
    let mut headers = tar(&name);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(artifact.bytes));
    Ok((headers, Body::from_stream(content)).into_response())
}

/// All artifacts of a run as one archive (tar), which is made while it is sent: each stands in a folder `STAGE/NAME`.
#[utoipa::path(get, path = "/api/v1/runs/{id}/artifacts", tag = "artifacts", params(("id" = Uuid, Path)),
    responses((status = OK, body = Vec<u8>, content_type = "application/x-tar"), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn all(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RunId>,
) -> Result<Response, Problem> {
    let (_, record) = runs::find(&state, actor, id, Role::Viewer).await?;
    let view = runs::view(&state, &record).await?;
    let content = artifacts::all(&state, &view).await?;
    let name = format!("{}-{}", record.run.plan.name, record.number);
    Ok((tar(&name), Body::from_stream(content)).into_response())
}

/// What is said of an archive that is to be saved under this name.
fn tar(name: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    headers.extend(attached(&format!("{name}.tar")));
    headers
}
