//! `/api/v1/workers`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use buildit::id::WorkerId;
use buildit::store::{Intake, Worker as Known};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::queue::Paused;
use super::{Body, Id};
use crate::access::{Access, Actor};
use crate::app::workers;
use crate::list::{Asked, List, Page};
use crate::problem::Problem;
use crate::state::ServerState;

/// Who takes runs off the queue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Worker {
    id: String,
    /// Its host and port.
    name: String,
    version: String,
    since: Timestamp,
    /// How many runs it drives at once at most; none when it only serves.
    runs: Option<u32>,
    /// `working`, `draining` (it finishes what it has and takes nothing) or `lost`.
    state: &'static str,
    /// Until when it counts as there, unless it says so again.
    seen_until: Timestamp,
}

impl From<Known> for Worker {
    fn from(worker: Known) -> Self {
        Self {
            state: workers::state_of(&worker, Timestamp::now()),
            id: worker.id.to_string(),
            name: worker.name,
            version: worker.version,
            since: worker.since,
            runs: worker.runs.map(u32::from),
            seen_until: worker.seen_until,
        }
    }
}

/// The workers of this installation, by their ids. It is for owners of the organization that came first.
#[utoipa::path(get, path = "/api/v1/workers", tag = "queue", params(Page),
    responses((status = OK, body = List<Worker>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    actor: Actor,
    Asked(page): Asked<Page>,
) -> Result<Json<List<Worker>>, Problem> {
    Access::to_installation(&state, actor).await?;
    let after = page.cursor.as_deref().map(WorkerId::from);
    let found = state.store().workers(after.as_ref(), page.limit() + 1).await?;
    Ok(Json(List::cut(found, page.limit(), |worker| worker.id.to_string()).map(Worker::from)))
}

/// Drains a worker, which finishes what it has and takes nothing, or has it take runs again.
#[utoipa::path(put, path = "/api/v1/workers/{worker}", tag = "queue", request_body = Paused, params(("worker" = String, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set(
    State(state): State<ServerState>,
    actor: Actor,
    Id(worker): Id<String>,
    Body(to): Body<Paused>,
) -> Result<StatusCode, Problem> {
    let access = Access::to_installation(&state, actor).await?;
    workers::set(&state, &access, &WorkerId::from(worker), Intake::paused(to.paused)).await?;
    Ok(StatusCode::NO_CONTENT)
}
