//! `/api/v1/repositories/{id}/statuses`: what a repository's forge was told of its commits.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use buildit::account::Role;
use buildit::id::{RepositoryId, StatusId};
use buildit::store::Report;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Id;
use crate::access::Actor;
use crate::app::{repositories, statuses};
use crate::list::{Asked, List, Page};
use crate::problem::Problem;
use crate::state::ServerState;

/// What a forge was told of a commit last, or is to be told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommitStatus {
    id: Uuid,
    commit: String,
    /// `buildit/NAME` of a pipeline, `buildit/NAME/STAGE` of a stage.
    context: String,
    /// The run that says it; null when none was made.
    run: Option<Uuid>,
    /// `pending`, `running`, `succeeded`, `failed`, `errored` or `cancelled`.
    state: &'static str,
    description: String,
    /// The page that tells more.
    url: String,
    created_at: Timestamp,
    /// `waiting`, `sent` or `given_up`.
    progress: &'static str,
    /// How often it was tried.
    tries: u32,
    /// When it is tried next, while it waits.
    next_at: Option<Timestamp>,
    /// What went wrong in the last try.
    error: Option<String>,
    /// When it was told, or given up.
    ended_at: Option<Timestamp>,
}

impl From<Report> for CommitStatus {
    fn from(report: Report) -> Self {
        let Report { status, progress, tries, next_at, error, ended_at, .. } = report;
        Self {
            id: status.id.as_uuid(),
            commit: status.commit,
            context: status.context,
            run: status.run.map(|run| run.as_uuid()),
            state: status.state.as_str(),
            description: status.description,
            url: status.url,
            created_at: status.created_at,
            progress: progress.as_str(),
            tries,
            next_at: ended_at.is_none().then_some(next_at),
            error,
            ended_at,
        }
    }
}

/// What the forge of a repository was told, the newest first: of a commit and context the last thing alone. It is kept for 30
/// days.
#[utoipa::path(get, path = "/api/v1/repositories/{id}/statuses", tag = "repositories", params(("id" = Uuid, Path), Page),
    responses((status = OK, body = List<CommitStatus>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RepositoryId>,
    Asked(page): Asked<Page>,
) -> Result<Json<List<CommitStatus>>, Problem> {
    let (_, repository) = repositories::find(&state, actor, id, Role::Viewer).await?;
    Ok(Json(statuses::list(&state, &repository, &page).await?.map(CommitStatus::from)))
}

/// Tells the forge once more what it was not told, as if it had never been tried.
#[utoipa::path(post, path = "/api/v1/repositories/{id}/statuses/{status}/retry", tag = "repositories",
    params(("id" = Uuid, Path), ("status" = Uuid, Path)), responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn retry(
    State(state): State<ServerState>,
    actor: Actor,
    Id((id, status)): Id<(RepositoryId, StatusId)>,
) -> Result<StatusCode, Problem> {
    let (access, repository) = repositories::find(&state, actor, id, Role::Member).await?;
    statuses::retry(&state, &access, &repository, status).await?;
    Ok(StatusCode::NO_CONTENT)
}
