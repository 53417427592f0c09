//! `/api/v1/runs`, and `/api/v1/pipelines/{id}/runs`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use buildit::account::Role;
use buildit::engine::Asked as Answered;
use buildit::id::{JobId, PipelineId, RunId, TenantId};
use buildit::store::{NewRun, RunFilter, RunRecord, RunSummary};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Body, Id, IdempotencyKey};
use crate::access::{Access, Actor};
use crate::app::requests::{self, Made};
use crate::app::runs::Which;
use crate::app::{pipelines, runs};
use crate::list::{Asked, List, Page};
use crate::problem::Problem;
use crate::state::ServerState;
use crate::traces::Parent;
use crate::view::run::{AttemptView, RunView, StageView};

/// A run in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunLine {
    id: Uuid,
    /// Its number within the pipeline, from 1.
    number: u64,
    /// The pipeline's name when the run was made.
    pipeline: String,
    /// `queued`, `running`, `waiting`, `succeeded`, `failed` or `cancelled`.
    status: &'static str,
    /// What started it: `push`, `pull_request`, `tag`, `schedule`, `webhook`, `manual`.
    event: String,
    branch: String,
    commit: String,
    /// The first line of the commit's message.
    message: String,
    author: String,
    pull_request: Option<u64>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    /// From the start of the first stage to the end of the last one, when it has ended.
    duration_ms: Option<u64>,
}

impl From<RunSummary> for RunLine {
    fn from(run: RunSummary) -> Self {
        Self {
            id: run.id.as_uuid(),
            number: run.number,
            pipeline: run.pipeline,
            status: run.status.as_str(),
            event: run.event,
            branch: run.branch,
            commit: run.commit,
            message: run.message,
            author: run.author,
            pull_request: run.pull_request,
            created_at: run.created_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
            duration_ms: run.duration.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

impl From<&RunRecord> for RunLine {
    fn from(record: &RunRecord) -> Self {
        RunSummary { status: record.status, ..RunSummary::of_new(&record.run, record.number) }.into()
    }
}

/// A run with its stages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Run {
    #[serde(flatten)]
    line: RunLine,
    /// The run that it is a rerun of.
    rerun_of: Option<Uuid>,
    /// Why it was cancelled.
    cancel_reason: Option<String>,
    params: IndexMap<String, String>,
    /// The number of the last event that is in this answer: go on with the events after it.
    seq: u64,
    stages: Vec<Stage>,
}

/// A stage of a run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stage {
    name: String,
    needs: Vec<String>,
    /// `queued`, `running`, `waiting`, `succeeded`, `failed`, `timed_out`, `cancelled`, `lost` or `skipped`.
    status: &'static str,
    /// Why it ended like this, where the word alone does not say.
    reason: Option<String>,
    exit_code: Option<i32>,
    /// Whether it failed and that does not count.
    allowed: bool,
    /// Whether an earlier result was taken and no attempt made.
    cached: bool,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    attempts: Vec<Attempt>,
    /// What a person is asked, while it waits for one.
    approval: Option<Question>,
    /// Until when its environment has it wait.
    held_until: Option<Timestamp>,
    outputs: IndexMap<String, String>,
    artifacts: Vec<Artifact>,
}

/// An attempt of a stage.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Attempt {
    number: u32,
    executor: String,
    status: Option<&'static str>,
    exit_code: Option<i32>,
    cause: Option<&'static str>,
    message: Option<String>,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
}

/// What a person is asked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Question {
    message: String,
    fields: Vec<Field>,
    /// When the answer comes too late.
    deadline: Option<Timestamp>,
    /// Who has said yes, where several must.
    given: Vec<String>,
    /// How many more must.
    missing: u32,
}

/// What is to be filled in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Field {
    name: String,
    required: bool,
    /// What may be chosen; anything, when empty.
    choices: Vec<String>,
    default: Option<String>,
    description: Option<String>,
}

/// Files that a stage left, as one archive.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Artifact {
    name: String,
    bytes: u64,
    paths: Vec<String>,
}

impl From<&AttemptView> for Attempt {
    fn from(of: &AttemptView) -> Self {
        Self {
            number: of.number,
            executor: of.executor.clone(),
            status: of.status.map(|status| status.as_str()),
            exit_code: of.exit_code,
            cause: of.cause.map(|cause| cause.as_str()),
            message: of.message.as_deref().map(str::to_owned),
            started_at: of.started_at,
            finished_at: of.finished_at,
        }
    }
}

impl From<&StageView> for Stage {
    fn from(of: &StageView) -> Self {
        let question = of.question.as_ref().map(|asked| Question {
            message: asked.message.to_string(),
            fields: asked.fields.iter().cloned().map(Field::from).collect(),
            deadline: asked.deadline,
            given: asked.given.clone(),
            missing: asked.missing,
        });
        let products = of.products.as_deref();
        let artifacts = products.into_iter().flat_map(|products| &products.artifacts);
        Self {
            name: of.name.to_string(),
            needs: of.needs.iter().map(ToString::to_string).collect(),
            status: of.state.as_str(),
            reason: of.reason.as_ref().map(ToString::to_string),
            exit_code: of.exit_code,
            allowed: of.allowed,
            cached: of.cached,
            started_at: of.started_at(),
            finished_at: of.finished_at,
            attempts: of.attempts.iter().map(Attempt::from).collect(),
            approval: question,
            held_until: of.held_until,
            outputs: products.map(|products| products.outputs.clone()).unwrap_or_default(),
            artifacts: artifacts
                .map(|left| Artifact { name: left.name.clone(), bytes: left.bytes, paths: left.paths.clone() })
                .collect(),
        }
    }
}

impl From<buildit::pipeline::ApprovalField> for Field {
    fn from(field: buildit::pipeline::ApprovalField) -> Self {
        let buildit::pipeline::ApprovalField { name, required, choices, default, description, .. } = field;
        Self { name, required, choices, default, description }
    }
}

impl Run {
    fn new(record: &RunRecord, view: &RunView) -> Self {
        let times = |line: RunLine| RunLine {
            status: view.status().as_str(),
            started_at: view.started_at,
            finished_at: view.finished_at,
            duration_ms: view.duration().map(|duration| u64::try_from(duration.as_millis()).unwrap_or(0)),
            ..line
        };
        Self {
            line: times(RunLine::from(record)),
            rerun_of: view.rerun_of.map(|run| run.as_uuid()),
            cancel_reason: view.cancel_reason.as_deref().map(str::to_owned),
            params: view.context.params.clone(),
            seq: view.seq,
            stages: view.stages.iter().map(Stage::from).collect(),
        }
    }
}

/// Which runs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// `queued`, `running`, `waiting`, `succeeded`, `failed` or `cancelled`.
    status: Option<String>,
    branch: Option<String>,
    /// The whole id of a commit.
    commit: Option<String>,
    author: Option<String>,
    pull_request: Option<u64>,
    event: Option<String>,
}

impl Filter {
    /// Those of the tenant that may be looked at.
    fn filter(self, access: &Access) -> Result<RunFilter, Problem> {
        Ok(RunFilter {
            status: self.status.as_deref().map(runs::status).transpose()?,
            branch: self.branch,
            commit: self.commit,
            author: self.author,
            pull_request: self.pull_request,
            event: self.event,
            ..RunFilter::of_tenant(access.tenant.id)
        })
    }
}

/// Whose runs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Scope {
    /// Of which tenant; needed by who has several.
    tenant: Option<Uuid>,
    /// Those of the pipeline of this name.
    pipeline: Option<String>,
}

/// A run as it is kept: all that it was started with. With its events, a program can show it as the server does.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Record {
    /// The plan, the context, the source's digest, and what it goes on from.
    #[schema(value_type = Object)]
    run: NewRun,
    number: u64,
    /// `queued`, `running`, `waiting`, `succeeded`, `failed` or `cancelled`.
    status: &'static str,
    /// The number of its last event.
    last_seq: u64,
    /// The run of its concurrency group that it waits for.
    waits_for: Option<Uuid>,
}

/// An attempt that has a log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Logged {
    stage: String,
    /// From 1; 0 for what an earlier result brought.
    attempt: u32,
}

/// What a run is started with.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Trigger {
    /// The default branch of the pipeline's repository without.
    branch: Option<String>,
    /// A tag, of a pipeline of a repository.
    tag: Option<String>,
    /// A commit by its id; with a branch, one of it.
    commit: Option<String>,
    /// Values of the pipeline's parameters.
    params: IndexMap<String, String>,
}

/// An answer to a stage that waits for a person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    stage: String,
    /// What is filled in.
    #[serde(default)]
    fields: IndexMap<String, String>,
}

/// Why a stage did what it did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Explained {
    stage: String,
    /// For people.
    message: String,
    /// For programs: the clause with its place, the input that differs, the lock's holder.
    #[schema(value_type = Object)]
    why: Value,
}

/// Runs of a pipeline, the newest first.
#[utoipa::path(get, path = "/api/v1/pipelines/{id}/runs", tag = "runs", params(("id" = Uuid, Path), Filter, Page),
    responses((status = OK, body = List<RunLine>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<PipelineId>,
    Asked(which): Asked<Filter>,
    Asked(page): Asked<Page>,
) -> Result<Json<List<RunLine>>, Problem> {
    let (access, pipeline) = pipelines::find(&state, actor, id, Role::Viewer).await?;
    listed(&state, RunFilter { pipeline: Some(pipeline.name), ..which.filter(&access)? }, &page).await
}

/// Runs of all pipelines of a tenant, the newest first.
#[utoipa::path(get, path = "/api/v1/runs", tag = "runs", params(Scope, Filter, Page),
    responses((status = OK, body = List<RunLine>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_all(
    State(state): State<ServerState>,
    actor: Actor,
    Asked(scope): Asked<Scope>,
    Asked(which): Asked<Filter>,
    Asked(page): Asked<Page>,
) -> Result<Json<List<RunLine>>, Problem> {
    let access = Access::own(&state, actor, scope.tenant.map(TenantId::from), Role::Viewer).await?;
    listed(&state, RunFilter { pipeline: scope.pipeline, ..which.filter(&access)? }, &page).await
}

async fn listed(state: &ServerState, filter: RunFilter, page: &Page) -> Result<Json<List<RunLine>>, Problem> {
    let filter = RunFilter { before: page.after()?, ..filter };
    let found = state.store().runs(&filter, page.limit() + 1).await?;
    Ok(Json(List::cut(found, page.limit(), |run| run.id.to_string()).map(RunLine::from)))
}

/// Puts a run of the pipeline into the queue. With an `Idempotency-Key` the same request makes one run, however often it
/// comes within a day: 200 says that it came before.
#[utoipa::path(post, path = "/api/v1/pipelines/{id}/runs", tag = "runs", request_body = Trigger,
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "Any 1 to 255 visible characters, of the tenant's own"),
        ("traceparent" = Option<String>, Header, description = "The span that the run is part of, in the form of W3C; another text is none")),
    responses((status = CREATED, body = RunLine), (status = OK, body = RunLine), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn trigger(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<PipelineId>,
    IdempotencyKey(key): IdempotencyKey,
    headers: HeaderMap,
    Body(trigger): Body<Trigger>,
) -> Result<Response, Problem> {
    let (access, pipeline) = pipelines::find(&state, actor, id, Role::Member).await?;
    let start = pipelines::Start {
        run: None,
        branch: trigger.branch.unwrap_or_default(),
        tag: trigger.tag.unwrap_or_default(),
        commit: trigger.commit.unwrap_or_default(),
        params: trigger.params,
        traceparent: traceparent(&headers),
    };
    let Some(key) = key else {
        return Ok(created(&state, &pipelines::trigger(&state, &access, &pipeline, start).await?));
    };
    let content = requests::content(&(pipeline.id, &start.branch, &start.tag, &start.commit, &start.params))?;
    let made = requests::once(&state, access.tenant.id, key, content, async |run| {
        pipelines::trigger(&state, &access, &pipeline, pipelines::Start { run: Some(run), ..start }).await
    });
    match made.await? {
        Made::Now(record) => Ok(created(&state, &record)),
        Made::Before(record) => Ok(shown(&state, &record, StatusCode::OK)),
    }
}

/// The span that whoever asks is in, if they say so.
fn traceparent(headers: &HeaderMap) -> Option<String> {
    let given = headers.get("traceparent")?.to_str().ok()?;
    Parent::parse(given).map(|_| given.to_owned())
}

fn created(state: &ServerState, record: &RunRecord) -> Response {
    shown(state, record, StatusCode::CREATED)
}

fn shown(state: &ServerState, record: &RunRecord, status: StatusCode) -> Response {
    let place = HeaderValue::try_from(format!("{}/api/v1/runs/{}", state.base(), record.run.id));
    let mut response = (status, Json(RunLine::from(record))).into_response();
    response.headers_mut().extend(place.ok().map(|place| (header::LOCATION, place)));
    response
}

/// The run of a pipeline that has this number, as the addresses of pages name it.
#[utoipa::path(get, path = "/api/v1/pipelines/{id}/runs/{number}", tag = "runs", params(("id" = Uuid, Path), ("number" = u64, Path)),
    responses((status = OK, body = RunLine), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn numbered(
    State(state): State<ServerState>,
    actor: Actor,
    Id((id, number)): Id<(PipelineId, u64)>,
) -> Result<Json<RunLine>, Problem> {
    let (access, pipeline) = pipelines::find(&state, actor, id, Role::Viewer).await?;
    let found = state.store().run_by_number(access.tenant.id, &pipeline.name, number).await?;
    Ok(Json(found.into()))
}

/// One run with its stages.
#[utoipa::path(get, path = "/api/v1/runs/{id}", tag = "runs", params(("id" = Uuid, Path)),
    responses((status = OK, body = Run), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RunId>,
) -> Result<Json<Run>, Problem> {
    let (_, record) = runs::find(&state, actor, id, Role::Viewer).await?;
    let view = runs::view(&state, &record).await?;
    Ok(Json(Run::new(&record, &view)))
}

/// A run as it is kept, for programs that show it by themselves.
#[utoipa::path(get, path = "/api/v1/runs/{id}/record", tag = "runs", params(("id" = Uuid, Path)),
    responses((status = OK, body = Record), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn record(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RunId>,
) -> Result<Json<Record>, Problem> {
    let (_, RunRecord { run, number, status, last_seq }) = runs::find(&state, actor, id, Role::Viewer).await?;
    let waits_for = runs::waits_for(&state, id).await?.map(|run| run.as_uuid());
    Ok(Json(Record { run, number, status: status.as_str(), last_seq, waits_for }))
}

/// The attempts of a run that have a log.
#[utoipa::path(get, path = "/api/v1/runs/{id}/logs", tag = "logs", params(("id" = Uuid, Path)),
    responses((status = OK, body = List<Logged>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn logged(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RunId>,
) -> Result<Json<List<Logged>>, Problem> {
    runs::find(&state, actor, id, Role::Viewer).await?;
    let jobs = state.store().logs_of_run(id).await?.into_iter();
    let items = jobs.map(|JobId { stage, attempt, .. }| Logged { stage: stage.to_string(), attempt });
    Ok(Json(List { items: items.collect(), next: None }))
}

/// The stages of a run.
#[utoipa::path(get, path = "/api/v1/runs/{id}/stages", tag = "runs", params(("id" = Uuid, Path)),
    responses((status = OK, body = List<Stage>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn stages(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RunId>,
) -> Result<Json<List<Stage>>, Problem> {
    let (_, record) = runs::find(&state, actor, id, Role::Viewer).await?;
    let view = runs::view(&state, &record).await?;
    Ok(Json(List { items: view.stages.iter().map(Stage::from).collect(), next: None }))
}

/// Why each stage ran, was skipped, was spared or waits.
#[utoipa::path(get, path = "/api/v1/runs/{id}/explain", tag = "runs", params(("id" = Uuid, Path)),
    responses((status = OK, body = List<Explained>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn explain(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RunId>,
) -> Result<Json<List<Explained>>, Problem> {
    let (_, record) = runs::find(&state, actor, id, Role::Viewer).await?;
    let explained = runs::explain(&state, &record).await?.into_iter().map(|one| {
        let why = serde_json::to_value(&one.why).unwrap_or_default();
        Explained { stage: one.stage.to_string(), message: one.why.to_string(), why }
    });
    Ok(Json(List { items: explained.collect(), next: None }))
}

/// Asks a run to end in good order.
#[utoipa::path(post, path = "/api/v1/runs/{id}/cancel", tag = "runs", params(("id" = Uuid, Path)),
    responses((status = ACCEPTED), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn cancel(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RunId>,
) -> Result<StatusCode, Problem> {
    let (access, record) = runs::find(&state, actor, id, Role::Member).await?;
    runs::cancel(&state, &access, &record).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Lets a stage go on that waits for a person. Whichever server drives the run is told: 202 says that it was not heard of
/// yet, and that the answer is kept for it.
#[utoipa::path(post, path = "/api/v1/runs/{id}/approve", tag = "runs", request_body = Answer, params(("id" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = ACCEPTED), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn approve(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RunId>,
    Body(answer): Body<Answer>,
) -> Result<StatusCode, Problem> {
    let (access, record) = runs::find(&state, actor, id, Role::Member).await?;
    Ok(answered(runs::answer(&state, &access, &record, &answer.stage, true, answer.fields).await?))
}

/// Refuses a stage that waits for a person, as it is let go on.
#[utoipa::path(post, path = "/api/v1/runs/{id}/reject", tag = "runs", request_body = Answer, params(("id" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = ACCEPTED), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn reject(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RunId>,
    Body(answer): Body<Answer>,
) -> Result<StatusCode, Problem> {
    let (access, record) = runs::find(&state, actor, id, Role::Member).await?;
    Ok(answered(runs::answer(&state, &access, &record, &answer.stage, false, answer.fields).await?))
}

fn answered(asked: Answered) -> StatusCode {
    match asked {
        Answered::Heeded => StatusCode::NO_CONTENT,
        Answered::Kept => StatusCode::ACCEPTED,
    }
}

/// Runs an ended run again.
#[utoipa::path(post, path = "/api/v1/runs/{id}/rerun", tag = "runs", params(("id" = Uuid, Path)),
    responses((status = CREATED, body = RunLine), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn rerun(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RunId>,
) -> Result<Response, Problem> {
    again(state, actor, id, Which::All).await
}

/// Runs what failed in a run again, and what follows it; the rest counts as it ended.
#[utoipa::path(post, path = "/api/v1/runs/{id}/rerun-from-failed", tag = "runs", params(("id" = Uuid, Path)),
    responses((status = CREATED, body = RunLine), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn rerun_from_failed(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RunId>,
) -> Result<Response, Problem> {
    again(state, actor, id, Which::Failed).await
}

async fn again(state: ServerState, actor: Actor, id: RunId, which: Which) -> Result<Response, Problem> {
    let (access, record) = runs::find(&state, actor, id, Role::Member).await?;
    Ok(created(&state, &runs::rerun(&state, &access, &record, which).await?))
}
