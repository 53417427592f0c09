//! `/api/v1/tenants/{tenant}/channels`, and what pipelines tell them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use buildit::account::Role;
use buildit::id::{ChannelId, NotificationId, PipelineId, TenantId};
use buildit::store::{ChannelKind, NoticeRule, Occasion};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Body, Id};
use crate::access::{Access, Actor};
use crate::app::{channels, pipelines};
use crate::list::{Asked, List, Page};
use crate::problem::Problem;
use crate::state::ServerState;

/// A way to tell people what happens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Channel {
    id: Uuid,
    tenant: Uuid,
    name: String,
    /// `slack`, `email` or `webhook`.
    kind: &'static str,
    /// Where to: addresses, or of a URL, which is secret, the host.
    target: String,
    /// What it hears of, where a pipeline says nothing else.
    #[serde(flatten)]
    rule: Rule,
    created_at: Timestamp,
}

/// What is told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Rule {
    /// Of what: `failed`, `fixed` (the first success after a failure), `succeeded`, `waiting` (for approval), `cancelled`.
    events: Vec<&'static str>,
    /// Of which branches' runs, as globs; of all when there are none.
    branches: Vec<String>,
}

impl From<NoticeRule> for Rule {
    fn from(rule: NoticeRule) -> Self {
        Self { events: rule.occasions.into_iter().map(Occasion::as_str).collect(), branches: rule.branches }
    }
}

impl From<buildit::store::Channel> for Channel {
    fn from(kept: buildit::store::Channel) -> Self {
        Self {
            id: kept.id.as_uuid(),
            tenant: kept.tenant.as_uuid(),
            name: kept.name,
            kind: kept.kind.as_str(),
            target: kept.target,
            rule: kept.rule.into(),
            created_at: kept.created_at,
        }
    }
}

/// A channel that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewChannel {
    name: String,
    /// `slack`, `email` or `webhook`.
    kind: String,
    /// Where to: the URL of an incoming webhook of Slack or of one's own, or e-mail addresses with commas between them.
    #[schema(value_type = String)]
    target: SecretString,
    /// What a webhook is signed with: 8 to 200 characters; one is made without.
    #[schema(value_type = Option<String>)]
    key: Option<SecretString>,
    /// `failed`, `fixed` and `waiting` without.
    events: Option<Vec<String>>,
    #[serde(default)]
    branches: Vec<String>,
}

/// A channel that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeChannel {
    #[serde(flatten)]
    channel: Channel,
    /// The key that was made for a webhook; it is not shown again.
    key: Option<String>,
}

/// What is to be changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChannelChange {
    name: Option<String>,
    #[schema(value_type = Option<String>)]
    target: Option<SecretString>,
    #[schema(value_type = Option<String>)]
    key: Option<SecretString>,
    events: Option<Vec<String>>,
    branches: Option<Vec<String>>,
}

/// What a pipeline tells a channel.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRule {
    /// None for silence.
    events: Vec<String>,
    #[serde(default)]
    branches: Vec<String>,
}

/// What a pipeline tells a channel.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PipelineRule {
    channel: Uuid,
    name: String,
    /// Whether the pipeline says so itself; otherwise the channel does.
    own: bool,
    #[serde(flatten)]
    rule: Rule,
}

/// How it stands with something that a channel is told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Dispatch {
    id: Uuid,
    /// `failed`, `fixed`, `succeeded`, `waiting` or `cancelled`; null for a try-out.
    event: Option<&'static str>,
    run: Option<Uuid>,
    /// `waiting`, `sent` or `given_up`.
    status: &'static str,
    tries: u32,
    /// What went wrong in the last try.
    error: Option<String>,
    created_at: Timestamp,
    /// When it is tried next, while it waits.
    next_at: Option<Timestamp>,
    /// When it was sent, or given up.
    ended_at: Option<Timestamp>,
}

impl From<buildit::store::Dispatch> for Dispatch {
    fn from(kept: buildit::store::Dispatch) -> Self {
        Self {
            id: kept.notification.id.as_uuid(),
            event: kept.notification.occasion.map(Occasion::as_str),
            run: kept.notification.run.map(|run| run.as_uuid()),
            status: kept.status.as_str(),
            tries: kept.tries,
            error: kept.error,
            created_at: kept.notification.created_at,
            next_at: kept.ended_at.is_none().then_some(kept.next_at),
            ended_at: kept.ended_at,
        }
    }
}

fn rule(events: &[String], branches: &[String]) -> Result<NoticeRule, Problem> {
    channels::rule(events.iter().map(String::as_str), branches.iter().map(String::as_str))
}

/// The channels of a tenant, by name.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/channels", tag = "notifications", params(("tenant" = Uuid, Path)),
    responses((status = OK, body = List<Channel>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    actor: Actor,
    Id(tenant): Id<TenantId>,
) -> Result<Json<List<Channel>>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Viewer).await?;
    let items = channels::all(&state, &access).await?.into_iter().map(Channel::from).collect();
    Ok(Json(List { items, next: None }))
}

/// Makes a channel.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/channels", tag = "notifications", request_body = NewChannel,
    params(("tenant" = Uuid, Path)),
    responses((status = CREATED, body = MadeChannel), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create(
    State(state): State<ServerState>,
    actor: Actor,
    Id(tenant): Id<TenantId>,
    Body(new): Body<NewChannel>,
) -> Result<(StatusCode, Json<MadeChannel>), Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    let kind: Result<ChannelKind, _> = new.kind.parse();
    let kind = kind.map_err(|_| Problem::invalid("`kind` is slack, email or webhook"))?;
    let rule = match &new.events {
        Some(events) => rule(events, &new.branches)?,
        None => channels::rule(channels::USUAL.map(Occasion::as_str), new.branches.iter().map(String::as_str))?,
    };
    let new = channels::New { name: new.name, kind, target: new.target, key: new.key, rule };
    let (channel, key) = channels::create(&state, &access, new).await?;
    let key = key.map(|key| key.expose_secret().to_owned());
    Ok((StatusCode::CREATED, Json(MadeChannel { channel: channel.into(), key })))
}

/// One channel.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/channels/{channel}", tag = "notifications",
    params(("tenant" = Uuid, Path), ("channel" = Uuid, Path)),
    responses((status = OK, body = Channel), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    actor: Actor,
    Id((tenant, channel)): Id<(TenantId, ChannelId)>,
) -> Result<Json<Channel>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Viewer).await?;
    Ok(Json(channels::find(&state, &access, channel).await?.into()))
}

/// Changes a channel.
#[utoipa::path(patch, path = "/api/v1/tenants/{tenant}/channels/{channel}", tag = "notifications", request_body = ChannelChange,
    params(("tenant" = Uuid, Path), ("channel" = Uuid, Path)),
    responses((status = OK, body = Channel), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn update(
    State(state): State<ServerState>,
    actor: Actor,
    Id((tenant, channel)): Id<(TenantId, ChannelId)>,
    Body(change): Body<ChannelChange>,
) -> Result<Json<Channel>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    let known = channels::find(&state, &access, channel).await?;
    let is_ruled = change.events.is_some() || change.branches.is_some();
    let there = || known.rule.occasions.iter().map(|occasion| occasion.as_str().to_owned()).collect();
    let events = change.events.unwrap_or_else(there);
    let branches = change.branches.unwrap_or_else(|| known.rule.branches.clone());
    let rule = if is_ruled { Some(rule(&events, &branches)?) } else { None };
    let change = channels::Change { name: change.name, target: change.target, key: change.key, rule };
    Ok(Json(channels::change(&state, &access, &known, change).await?.into()))
}

/// Forgets a channel, with what was sent to it.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/channels/{channel}", tag = "notifications",
    params(("tenant" = Uuid, Path), ("channel" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete(
    State(state): State<ServerState>,
    actor: Actor,
    Id((tenant, channel)): Id<(TenantId, ChannelId)>,
) -> Result<StatusCode, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    let known = channels::find(&state, &access, channel).await?;
    channels::delete(&state, &access, &known).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A notification that is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TriedOut {
    /// By which the log of the channel has it.
    dispatch: Uuid,
}

/// Sends something to a channel, to try it out: its dispatches tell what became of it.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/channels/{channel}/test", tag = "notifications",
    params(("tenant" = Uuid, Path), ("channel" = Uuid, Path)),
    responses((status = ACCEPTED, body = TriedOut), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn test(
    State(state): State<ServerState>,
    actor: Actor,
    Id((tenant, channel)): Id<(TenantId, ChannelId)>,
) -> Result<(StatusCode, Json<TriedOut>), Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    let known = channels::find(&state, &access, channel).await?;
    let dispatch = channels::try_out(&state, &access, &known).await?.as_uuid();
    Ok((StatusCode::ACCEPTED, Json(TriedOut { dispatch })))
}

/// What was or is to be sent to a channel in the last month, the newest first.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/channels/{channel}/dispatches", tag = "notifications",
    params(("tenant" = Uuid, Path), ("channel" = Uuid, Path), Page),
    responses((status = OK, body = List<Dispatch>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn dispatches(
    State(state): State<ServerState>,
    actor: Actor,
    Id((tenant, channel)): Id<(TenantId, ChannelId)>,
    Asked(page): Asked<Page>,
) -> Result<Json<List<Dispatch>>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Viewer).await?;
    let known = channels::find(&state, &access, channel).await?;
    let before: Option<NotificationId> = page.after()?;
    let found = state.store().dispatches(known.id, before, page.limit() + 1).await?;
    Ok(Json(List::cut(found, page.limit(), |one| one.notification.id.to_string()).map(Dispatch::from)))
}

/// Sends again what was not sent.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/channels/{channel}/dispatches/{dispatch}/retry", tag = "notifications",
    params(("tenant" = Uuid, Path), ("channel" = Uuid, Path), ("dispatch" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn retry(
    State(state): State<ServerState>,
    actor: Actor,
    Id((tenant, channel, dispatch)): Id<(TenantId, ChannelId, NotificationId)>,
) -> Result<StatusCode, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    let known = channels::find(&state, &access, channel).await?;
    channels::retry(&state, &access, &known, dispatch).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a pipeline tells each channel of its tenant.
#[utoipa::path(get, path = "/api/v1/pipelines/{id}/notifications", tag = "notifications", params(("id" = Uuid, Path)),
    responses((status = OK, body = List<PipelineRule>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn rules(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<PipelineId>,
) -> Result<Json<List<PipelineRule>>, Problem> {
    let (access, pipeline) = pipelines::find(&state, actor, id, Role::Viewer).await?;
    let told = channels::of_pipeline(&state, &access, &pipeline).await?.into_iter();
    let items = told.map(|told| PipelineRule {
        channel: told.channel.id.as_uuid(),
        name: told.channel.name,
        own: told.is_own,
        rule: told.rule.into(),
    });
    Ok(Json(List { items: items.collect(), next: None }))
}

/// Sets what a pipeline tells a channel, whatever that hears of others.
#[utoipa::path(put, path = "/api/v1/pipelines/{id}/notifications/{channel}", tag = "notifications", request_body = NewRule,
    params(("id" = Uuid, Path), ("channel" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_rule(
    State(state): State<ServerState>,
    actor: Actor,
    Id((id, channel)): Id<(PipelineId, ChannelId)>,
    Body(new): Body<NewRule>,
) -> Result<StatusCode, Problem> {
    let (access, pipeline) = pipelines::find(&state, actor, id, Role::Member).await?;
    let rule = rule(&new.events, &new.branches)?;
    channels::set_rule(&state, &access, &pipeline, channel, Some(rule)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has a channel hear of a pipeline what it hears of others.
#[utoipa::path(delete, path = "/api/v1/pipelines/{id}/notifications/{channel}", tag = "notifications",
    params(("id" = Uuid, Path), ("channel" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete_rule(
    State(state): State<ServerState>,
    actor: Actor,
    Id((id, channel)): Id<(PipelineId, ChannelId)>,
) -> Result<StatusCode, Problem> {
    let (access, pipeline) = pipelines::find(&state, actor, id, Role::Member).await?;
    channels::set_rule(&state, &access, &pipeline, channel, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
