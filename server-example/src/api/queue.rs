//! `/api/v1/tenants/{tenant}/queue`, `/api/v1/queue`, and what of runs is about the queue.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use buildit::account::Role;
use buildit::id::{RunId, TenantId};
use buildit::store::{Intake, QueueLine, QueueStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Body, Id};
use crate::access::{Access, Actor};
use crate::app::{queue, runs};
use crate::list::{Asked, List, Page};
use crate::problem::Problem;
use crate::state::ServerState;

/// A run in the queue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueuedRun {
    run: Uuid,
    pipeline: String,
    number: u64,
    /// `waiting`, `scheduled`, `behind` (an earlier run of its concurrency group), `taken` (by a worker) or `dead`.
    status: &'static str,
    /// Higher goes first.
    priority: i32,
    /// Why it waits, or where it runs, for people.
    why: String,
    /// The run of its concurrency group that it waits for.
    behind: Option<Uuid>,
    scheduled_for: Timestamp,
    /// How often it was taken, and how often it may be.
    attempts: u32,
    max_attempts: u32,
    /// Who has it, and until when unless that is renewed.
    worker: Option<String>,
    leased_until: Option<Timestamp>,
}

impl From<queue::Queued> for QueuedRun {
    fn from(queued: queue::Queued) -> Self {
        let queue::Queued { of, why, holder, worker } = queued;
        Self {
            run: of.run.as_uuid(),
            pipeline: of.pipeline,
            number: of.number,
            status: of.status.as_str(),
            priority: of.place.priority,
            why,
            behind: holder.map(|run| run.as_uuid()),
            scheduled_for: of.scheduled_for,
            attempts: of.attempts,
            max_attempts: of.max_attempts,
            worker,
            leased_until: of.leased_until,
        }
    }
}

/// Which runs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// `waiting` without; or `scheduled`, `behind`, `taken` or `dead`.
    status: Option<String>,
}

/// What holds for all runs of a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Line {
    /// Whether no new runs of the tenant are taken.
    paused: bool,
    /// Whether none of any tenant are.
    all_paused: bool,
    /// How many of its runs are under way, and how many may be.
    running: u64,
    max_running: Option<u32>,
    /// How much it gets beside other tenants.
    weight: u32,
}

impl From<QueueLine> for Line {
    fn from(line: QueueLine) -> Self {
        Self {
            paused: line.intake.is_paused(),
            all_paused: line.everywhere.is_paused(),
            running: line.running,
            max_running: line.share.max_running.map(u32::from),
            weight: line.share.weight.into(),
        }
    }
}

/// Whether no new runs are taken.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paused {
    pub(crate) paused: bool,
}

/// A priority.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Priority {
    /// Higher goes first; 0 is usual.
    priority: i32,
}

/// Runs of a tenant in the queue, by priority and then by age: those that wait in the order in which they are taken.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/queue", tag = "queue", params(("tenant" = Uuid, Path), Filter, Page),
    responses((status = OK, body = List<QueuedRun>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    actor: Actor,
    Id(tenant): Id<TenantId>,
    Asked(which): Asked<Filter>,
    Asked(page): Asked<Page>,
) -> Result<Json<List<QueuedRun>>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Viewer).await?;
    let status = which.status.as_deref().map_or(Ok(QueueStatus::Waiting), queue::status)?;
    let after = page.cursor.as_deref().map(queue::place).transpose()?;
    Ok(Json(queue::list(&state, &access, status, after, page.limit()).await?.map(QueuedRun::from)))
}

/// What holds for all runs of a tenant.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/queue/line", tag = "queue", params(("tenant" = Uuid, Path)),
    responses((status = OK, body = Line), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn line(
    State(state): State<ServerState>,
    actor: Actor,
    Id(tenant): Id<TenantId>,
) -> Result<Json<Line>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Viewer).await?;
    Ok(Json(queue::line(&state, &access).await?.into()))
}

/// Pauses the queue of a tenant, or opens it again: what is under way goes on.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant}/queue/line", tag = "queue", request_body = Paused, params(("tenant" = Uuid, Path)),
    responses((status = OK, body = Line), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_line(
    State(state): State<ServerState>,
    actor: Actor,
    Id(tenant): Id<TenantId>,
    Body(to): Body<Paused>,
) -> Result<Json<Line>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    queue::set_intake(&state, &access, Intake::paused(to.paused)).await?;
    Ok(Json(queue::line(&state, &access).await?.into()))
}

/// Whether the queues of all tenants are paused.
#[utoipa::path(get, path = "/api/v1/queue", tag = "queue",
    responses((status = OK, body = Paused), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn whole(State(state): State<ServerState>, actor: Actor) -> Result<Json<Paused>, Problem> {
    let access = Access::to_installation(&state, actor).await?;
    Ok(Json(Paused { paused: queue::line(&state, &access).await?.everywhere.is_paused() }))
}

/// Pauses the queues of all tenants, or opens them again. It is for owners of the organization that came first.
#[utoipa::path(put, path = "/api/v1/queue", tag = "queue", request_body = Paused,
    responses((status = OK, body = Paused), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_whole(
    State(state): State<ServerState>,
    actor: Actor,
    Body(to): Body<Paused>,
) -> Result<Json<Paused>, Problem> {
    let access = Access::to_installation(&state, actor).await?;
    queue::set_intake_of_all(&state, &access, Intake::paused(to.paused)).await?;
    Ok(Json(to))
}

/// Gives a run in the queue another priority.
#[utoipa::path(put, path = "/api/v1/runs/{id}/priority", tag = "queue", request_body = Priority, params(("id" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_priority(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RunId>,
    Body(to): Body<Priority>,
) -> Result<StatusCode, Problem> {
    let (access, record) = runs::find(&state, actor, id, Role::Admin).await?;
    queue::set_priority(&state, &access, &record, to.priority).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a dead letter wait again, with no attempts counted.
#[utoipa::path(post, path = "/api/v1/runs/{id}/requeue", tag = "queue", params(("id" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn requeue(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RunId>,
) -> Result<StatusCode, Problem> {
    let (access, record) = runs::find(&state, actor, id, Role::Admin).await?;
    queue::requeue(&state, &access, &record).await?;
    Ok(StatusCode::NO_CONTENT)
}
