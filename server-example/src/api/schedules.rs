//! `/api/v1/pipelines/{id}/schedules`.

use axum::Json;
use axum::extract::State;
use buildit::account::Role;
use buildit::id::PipelineId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Body, Id};
use crate::access::Actor;
use crate::app::{pipelines, schedules};
use crate::list::List;
use crate::problem::Problem;
use crate::state::ServerState;

/// When a pipeline runs by the clock, as its definition says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Schedule {
    /// Five fields: minute, hour, day of month, month, day of week.
    cron: String,
    /// The IANA time zone that they are meant in.
    timezone: String,
    /// When it is due next.
    next_at: Timestamp,
    /// Whether it starts nothing for the moment.
    paused: bool,
}

impl From<buildit::store::Schedule> for Schedule {
    fn from(known: buildit::store::Schedule) -> Self {
        Self { cron: known.cron, timezone: known.timezone, next_at: known.next_at, paused: known.paused }
    }
}

/// A schedule that is to pause, or to go on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pause {
    cron: String,
    timezone: String,
    paused: bool,
}

/// The schedules of a pipeline.
#[utoipa::path(get, path = "/api/v1/pipelines/{id}/schedules", tag = "pipelines", params(("id" = Uuid, Path)),
    responses((status = OK, body = List<Schedule>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<PipelineId>,
) -> Result<Json<List<Schedule>>, Problem> {
    let (_, pipeline) = pipelines::find(&state, actor, id, Role::Viewer).await?;
    let items = state.store().schedules(pipeline.id).await?;
    Ok(Json(List { items: items.into_iter().map(Schedule::from).collect(), next: None }))
}

/// Pauses a schedule, or lets it go on; what it missed meanwhile is not made up for.
#[utoipa::path(put, path = "/api/v1/pipelines/{id}/schedules", tag = "pipelines", request_body = Pause,
    params(("id" = Uuid, Path)),
    responses((status = OK, body = Schedule), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn pause(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<PipelineId>,
    Body(asked): Body<Pause>,
) -> Result<Json<Schedule>, Problem> {
    let (access, pipeline) = pipelines::find(&state, actor, id, Role::Member).await?;
    let place = (asked.cron.as_str(), asked.timezone.as_str());
    Ok(Json(schedules::pause(&state, &access, &pipeline, place, asked.paused).await?.into()))
}
