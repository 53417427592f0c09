//! `/api/v1/repositories/{id}/deliveries`: what forges have told of a repository.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use buildit::account::Role;
use buildit::id::{DeliveryId, RepositoryId};
use buildit::store::Delivery as Stored;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Id;
use crate::access::Actor;
use crate::app::changes::{Decision as Decided, Outcome};
use crate::app::deliveries::{self, Came};
use crate::app::repositories;
use crate::list::{Asked, List, Page};
use crate::problem::Problem;
use crate::state::ServerState;

/// A webhook that a forge has delivered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delivery {
    id: Uuid,
    /// What the forge calls it.
    key: String,
    /// `github`, `gitlab`, `gitea` or `bitbucket`.
    forge: &'static str,
    /// What the forge calls the event.
    event: String,
    received_at: Timestamp,
    /// `waiting`, `done`, `failed`, or `refused` when whoever sent it did not know the secret.
    state: &'static str,
    /// How often it was worked on.
    attempts: u32,
    /// Why it starts nothing, or why it could not be worked on yet.
    reason: Option<String>,
    decisions: Vec<Decision>,
}

/// What came of a change for one pipeline.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Decision {
    pipeline: String,
    /// The file that it is in.
    path: String,
    /// `started`, `skipped` or `invalid`.
    outcome: &'static str,
    /// The run that was started.
    run: Option<Uuid>,
    number: Option<u64>,
    /// Why none was.
    reasons: Vec<String>,
}

impl From<Decided> for Decision {
    fn from(decided: Decided) -> Self {
        let Decided { pipeline, path, outcome } = decided;
        let (outcome, run, number, reasons) = match outcome {
            Outcome::Started { run, number } => ("started", Some(run.as_uuid()), Some(number), Vec::new()),
            Outcome::Skipped { why } => ("skipped", None, None, vec![why]),
            Outcome::Invalid { why } => ("invalid", None, None, why),
        };
        Self { pipeline, path, outcome, run, number, reasons }
    }
}

impl From<Stored> for Delivery {
    fn from(stored: Stored) -> Self {
        let (reason, decisions) = match Came::of(&stored) {
            Some(Came::Nothing { why }) => (Some(why), Vec::new()),
            Some(Came::Decided { decisions }) => (None, decisions),
            None => (None, Vec::new()),
        };
        Self {
            id: stored.id.as_uuid(),
            key: stored.key,
            forge: stored.forge.as_str(),
            event: stored.event,
            received_at: stored.received_at,
            state: stored.state.as_str(),
            attempts: stored.attempts,
            reason,
            decisions: decisions.into_iter().map(Decision::from).collect(),
        }
    }
}

/// A delivery with what it brought.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Whole {
    #[serde(flatten)]
    delivery: Delivery,
    /// The body, as it came.
    payload: String,
}

/// Where a forge is to send its webhooks, and what it signs them with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Webhook {
    url: String,
    /// It is shown this once.
    secret: String,
}

/// The deliveries of a repository, the newest first. They are kept for 30 days.
#[utoipa::path(get, path = "/api/v1/repositories/{id}/deliveries", tag = "repositories", params(("id" = Uuid, Path), Page),
    responses((status = OK, body = List<Delivery>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RepositoryId>,
    Asked(page): Asked<Page>,
) -> Result<Json<List<Delivery>>, Problem> {
    let (_, repository) = repositories::find(&state, actor, id, Role::Viewer).await?;
    Ok(Json(deliveries::list(&state, &repository, &page).await?.map(Delivery::from)))
}

/// One delivery with what it brought.
#[utoipa::path(get, path = "/api/v1/repositories/{id}/deliveries/{delivery}", tag = "repositories",
    params(("id" = Uuid, Path), ("delivery" = Uuid, Path)),
    responses((status = OK, body = Whole), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    actor: Actor,
    Id(ids): Id<(RepositoryId, DeliveryId)>,
) -> Result<Json<Whole>, Problem> {
    let (_, _, delivery) = deliveries::find(&state, actor, ids, Role::Viewer).await?;
    let payload = deliveries::payload(&state, &delivery).await?;
    Ok(Json(Whole { delivery: delivery.into(), payload }))
}

/// Works on a delivery once more, as a new one.
#[utoipa::path(post, path = "/api/v1/repositories/{id}/deliveries/{delivery}/redeliver", tag = "repositories",
    params(("id" = Uuid, Path), ("delivery" = Uuid, Path)),
    responses((status = ACCEPTED, body = Delivery), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn redeliver(
    State(state): State<ServerState>,
    actor: Actor,
    Id(ids): Id<(RepositoryId, DeliveryId)>,
) -> Result<Response, Problem> {
    let (access, repository, delivery) = deliveries::find(&state, actor, ids, Role::Member).await?;
    let again = deliveries::redeliver(&state, &access, &repository, &delivery).await?;
    Ok((StatusCode::ACCEPTED, Json(Delivery::from(again))).into_response())
}

/// What came of a delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Approved {
    decisions: Vec<Decision>,
}

/// Starts the runs of a pull request from a fork with secrets, of the very commit that was delivered, once. Whoever asks for it
/// has looked at what that commit does.
#[utoipa::path(post, path = "/api/v1/repositories/{id}/deliveries/{delivery}/approve", tag = "repositories",
    params(("id" = Uuid, Path), ("delivery" = Uuid, Path)),
    responses((status = OK, body = Approved), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn approve(
    State(state): State<ServerState>,
    actor: Actor,
    Id(ids): Id<(RepositoryId, DeliveryId)>,
) -> Result<Json<Approved>, Problem> {
    let (access, repository, delivery) = deliveries::find(&state, actor, ids, Role::Admin).await?;
    let decisions = deliveries::approve(&state, &access, &repository, &delivery).await?;
    Ok(Json(Approved { decisions: decisions.into_iter().map(Decision::from).collect() }))
}

/// Makes a new secret for a repository's webhooks; those that are signed with the one before are refused from then on.
#[utoipa::path(post, path = "/api/v1/repositories/{id}/webhook", tag = "repositories", params(("id" = Uuid, Path)),
    responses((status = OK, body = Webhook), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn renew(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RepositoryId>,
) -> Result<Json<Webhook>, Problem> {
    let (access, repository) = repositories::find(&state, actor, id, Role::Admin).await?;
    let secret = repositories::renew_webhook(&state, &access, &repository).await?;
    let secret = secret.expose_secret().to_owned();
    Ok(Json(Webhook { url: repositories::webhook_url(&state, &repository), secret }))
}
