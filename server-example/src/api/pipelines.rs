//! `/api/v1/pipelines`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use buildit::account::Role;
use buildit::id::{PipelineId, TenantId};
use buildit::store::{PipelineFilter, PipelineLine, PipelineSource, StoredPipeline};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::runs::RunLine;
use super::{Body, Id, IfMatch, Tagged};
use crate::access::{Access, Actor};
use crate::app::pipelines::{self, Update};
use crate::app::{badges, repositories};
use crate::list::{Asked, List, Page};
use crate::problem::{Finding, Problem};
use crate::state::ServerState;

/// A pipeline.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Pipeline {
    id: Uuid,
    /// Whose it is.
    tenant: Uuid,
    name: String,
    /// Its definition as KDL, when it is kept here; not in lists.
    config: Option<String>,
    /// The repository that its definition is in, when it is not.
    repository: Option<Uuid>,
    /// The file of the repository that its definition is in.
    path: Option<String>,
    /// Whether everybody may see its badge.
    public_badge: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// Its latest run, in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_run: Option<RunLine>,
}

impl From<StoredPipeline> for Pipeline {
    fn from(stored: StoredPipeline) -> Self {
        let public_badge = badges::is_public(&stored);
        let (config, repository, path) = match stored.source {
            PipelineSource::Text { kdl } => (Some(kdl), None, None),
            PipelineSource::Repository { repository, path } => (None, Some(repository.as_uuid()), Some(path)),
            _ => (None, None, None),
        };
        Self {
            id: stored.id.as_uuid(),
            tenant: stored.tenant.as_uuid(),
            name: stored.name,
            config,
            repository,
            public_badge,
            path,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
            last_run: None,
        }
    }
}

impl From<PipelineLine> for Pipeline {
    fn from(line: PipelineLine) -> Self {
        // The texts of all of them would make a page of megabytes.
        Self { last_run: line.last_run.map(RunLine::from), config: None, ..line.pipeline.into() }
    }
}

/// Which pipelines.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Whose; needed by who has several tenants.
    tenant: Option<Uuid>,
    /// Part of the name, in capitals or not.
    search: Option<String>,
}

/// A pipeline that is to be kept.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPipeline {
    /// Its name; the one in its definition without.
    name: Option<String>,
    /// Its definition as KDL; without, it is in a repository.
    config: Option<String>,
    /// The repository that its definition is in: the id of one that is connected, or an address, which is connected when
    /// it is not yet.
    repository: Option<String>,
    /// The file of the repository; `.buildit.kdl` without.
    path: Option<String>,
    /// Whose it is; needed by who has several tenants.
    tenant: Option<Uuid>,
}

/// What is to be changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    name: Option<String>,
    /// Its definition as KDL.
    config: Option<String>,
    /// Whether everybody may see its badge.
    public_badge: Option<bool>,
}

/// A text that may be a pipeline.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Text {
    /// KDL.
    config: String,
}

/// What there is to say of a text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Judgement {
    /// Whether it can run.
    valid: bool,
    diagnostics: Vec<Finding>,
}

/// Pipelines of a tenant, by name.
#[utoipa::path(get, path = "/api/v1/pipelines", tag = "pipelines", params(Which, Page),
    responses((status = OK, body = List<Pipeline>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    actor: Actor,
    Asked(which): Asked<Which>,
    Asked(page): Asked<Page>,
) -> Result<Json<List<Pipeline>>, Problem> {
    let access = Access::own(&state, actor, which.tenant.map(TenantId::from), Role::Viewer).await?;
    let filter = PipelineFilter {
        search: which.search,
        after: page.cursor.clone(),
        ..PipelineFilter::of_tenant(access.tenant.id)
    };
    let found = state.store().pipelines(&filter, page.limit() + 1).await?;
    Ok(Json(List::cut(found, page.limit(), |line| line.pipeline.name.clone()).map(Pipeline::from)))
}

/// Keeps a pipeline.
#[utoipa::path(post, path = "/api/v1/pipelines", tag = "pipelines", request_body = NewPipeline,
    responses((status = CREATED, body = Pipeline), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create(
    State(state): State<ServerState>,
    actor: Actor,
    Body(new): Body<NewPipeline>,
) -> Result<Response, Problem> {
    let access = Access::own(&state, actor, new.tenant.map(TenantId::from), Role::Member).await?;
    let name = new.name.as_deref();
    let made = match (new.config, new.repository) {
        (Some(config), None) if new.path.is_none() => pipelines::create(&state, &access, name, config).await?,
        (None, Some(repository)) => {
            let repository = repositories::find_or_connect(&state, &access, &repository).await?;
            pipelines::create_from(&state, &access, name, &repository, new.path.as_deref()).await?
        }
        _ => return Err(Problem::invalid("a pipeline has a `config`, or a `repository` and perhaps a `path` in it")),
    };
    let place = HeaderValue::try_from(format!("{}/api/v1/pipelines/{}", state.base(), made.id));
    let mut response = (StatusCode::CREATED, Tagged(made.version, Pipeline::from(made))).into_response();
    response.headers_mut().extend(place.ok().map(|place| (header::LOCATION, place)));
    Ok(response)
}

/// One pipeline.
#[utoipa::path(get, path = "/api/v1/pipelines/{id}", tag = "pipelines", params(("id" = Uuid, Path)),
    responses((status = OK, body = Pipeline), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<PipelineId>,
) -> Result<Tagged<Pipeline>, Problem> {
    let (_, found) = pipelines::find(&state, actor, id, Role::Viewer).await?;
    Ok(Tagged(found.version, found.into()))
}

/// Changes a pipeline; with `If-Match`, only if nobody else has meanwhile.
#[utoipa::path(patch, path = "/api/v1/pipelines/{id}", tag = "pipelines", request_body = Change,
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header, description = "the `ETag` of what is changed")),
    responses((status = OK, body = Pipeline), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn update(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<PipelineId>,
    IfMatch(version): IfMatch,
    Body(change): Body<Change>,
) -> Result<Tagged<Pipeline>, Problem> {
    let (access, found) = pipelines::find(&state, actor, id, Role::Member).await?;
    let version = version.unwrap_or(found.version);
    let update = Update { name: change.name, kdl: change.config, public_badge: change.public_badge };
    let changed = pipelines::update(&state, &access, &found, version, update).await?;
    Ok(Tagged(changed.version, changed.into()))
}

/// Removes a pipeline with its runs.
#[utoipa::path(delete, path = "/api/v1/pipelines/{id}", tag = "pipelines", params(("id" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<PipelineId>,
) -> Result<StatusCode, Problem> {
    let (access, found) = pipelines::find(&state, actor, id, Role::Admin).await?;
    pipelines::delete(&state, &access, &found).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says what is wrong with a text, without keeping it.
#[utoipa::path(post, path = "/api/v1/validate", tag = "pipelines", request_body = Text,
    responses((status = OK, body = Judgement), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn validate(actor: Actor, Body(text): Body<Text>) -> Result<Json<Judgement>, Problem> {
    actor.known()?;
    let found = pipelines::check(&text.config);
    let valid = found.iter().all(|found| found.severity != buildit::diagnostic::Severity::Error);
    Ok(Json(Judgement { valid, diagnostics: found.iter().map(Finding::from).collect() }))
}
