//! `/api/v1/repositories`.

use std::num::NonZeroU32;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use buildit::account::Role;
use buildit::id::{RepositoryId, TenantId};
use buildit::pipeline::CheckoutSpec;
use buildit::store::{Forge, Login, Repository as Stored, StatusMode, StoreError, Webhook as StoredWebhook};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Body, Id, IfMatch, Tagged};
use crate::access::{Access, Actor};
use crate::app::host_keys::fingerprints;
use crate::app::logins::Given;
use crate::app::repositories::{self, Check, Scan};
use crate::list::{Asked, List, Page};
use crate::problem::{Finding, Problem};
use crate::state::ServerState;

/// A repository that a tenant has connected. What lets the server in is not shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Repository {
    id: Uuid,
    /// Whose it is.
    tenant: Uuid,
    name: String,
    url: String,
    /// `github`, `gitlab`, `gitea` or `bitbucket`.
    forge: Option<&'static str>,
    /// Where the forge's API is, when that is not where it usually is.
    api_url: Option<String>,
    /// What the server shows to get in: `none`, `token` or `key`.
    login: &'static str,
    /// What its host is known by, where it is read by `ssh`: the kind and the fingerprint of each key.
    host_keys: Vec<String>,
    /// Whether the forge's API is shown a token of its own.
    forge_token: bool,
    /// The branch of runs that name none; what the repository says without.
    default_branch: Option<String>,
    checkout: Checkout,
    /// Of what its forge is told how it stands: `pipelines`, `stages` or `off`.
    statuses: &'static str,
    last_fetch: Option<Fetch>,
    webhook: Option<WebhookStanding>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// How a repository is checked out for pipelines that do not say so themselves.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Checkout {
    /// How many commits of history; all without.
    #[schema(value_type = Option<u32>)]
    depth: Option<NonZeroU32>,
    submodules: bool,
    /// Whether files of Git LFS are fetched.
    lfs: bool,
}

impl From<CheckoutSpec> for Checkout {
    fn from(spec: CheckoutSpec) -> Self {
        Self { depth: spec.depth, submodules: spec.submodules, lfs: spec.lfs }
    }
}

impl From<Checkout> for CheckoutSpec {
    fn from(checkout: Checkout) -> Self {
        Self { depth: checkout.depth, submodules: checkout.submodules, lfs: checkout.lfs }
    }
}

/// How a repository was fetched.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Fetch {
    at: Timestamp,
    /// Why it failed, if it did.
    error: Option<String>,
}

/// The webhook at the forge, as it was when the forge was asked last.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookStanding {
    /// `made`, `wrong`, `missing`, or `unknown` when the forge did not say.
    state: &'static str,
    /// Why, where that needs to be said.
    reason: Option<String>,
    checked_at: Timestamp,
}

impl From<StoredWebhook> for WebhookStanding {
    fn from(stored: StoredWebhook) -> Self {
        Self { state: stored.state.as_str(), reason: stored.why, checked_at: stored.at }
    }
}

impl From<Stored> for Repository {
    fn from(stored: Stored) -> Self {
        let settings = stored.settings;
        Self {
            id: stored.id.as_uuid(),
            tenant: stored.tenant.as_uuid(),
            name: stored.name,
            url: stored.url,
            forge: settings.forge.map(Forge::as_str),
            api_url: settings.api_url,
            login: match settings.login {
                Login::None => "none",
                Login::Token => "token",
                Login::Key => "key",
            },
            host_keys: fingerprints(&settings.host_keys),
            forge_token: settings.forge_token,
            default_branch: settings.default_branch,
            checkout: settings.checkout.into(),
            statuses: settings.statuses.as_str(),
            webhook: stored.webhook.map(WebhookStanding::from),
            last_fetch: stored.last_fetch.map(|fetch| Fetch { at: fetch.at, error: fetch.error }),
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        }
    }
}

/// Whose repositories.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Whose {
    /// Of which tenant; needed by who has several.
    tenant: Option<Uuid>,
}

/// A repository that is to be connected.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRepository {
    /// `https://…`, `ssh://…` or `user@host:path`, without a password; a path of the server where its owner allows it.
    url: String,
    /// The last part of the address without.
    name: Option<String>,
    /// A token for https; `user:token` where the forge wants to know whose it is. It is sealed and never shown.
    #[schema(value_type = Option<String>, write_only)]
    token: Option<SecretString>,
    /// A private key for ssh, without a passphrase. It is sealed and never shown.
    #[schema(value_type = Option<String>, write_only)]
    key: Option<SecretString>,
    /// A token for the API of its forge alone, for webhooks and statuses; `token` is for both without. It is sealed and never
    /// shown.
    #[schema(value_type = Option<String>, write_only)]
    forge_token: Option<SecretString>,
    /// `github`, `gitlab`, `gitea` or `bitbucket`; what the address suggests without.
    forge: Option<String>,
    api_url: Option<String>,
    default_branch: Option<String>,
    #[serde(default)]
    checkout: Checkout,
    /// Of what its forge is told how it stands: `pipelines`, `stages` or `off`; of its pipelines without.
    statuses: Option<String>,
    /// Whether its forge is to get the webhook, with the token; it is not without. `webhook` in the answer says how that went.
    webhook: Option<bool>,
    /// Whether the repository is asked before it is kept; it is without.
    check: Option<bool>,
    /// Whose it is; needed by who has several tenants.
    tenant: Option<Uuid>,
}

/// What is to be changed; what is null is taken away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RepositoryChange {
    name: Option<String>,
    /// A new address needs its token or key anew.
    url: Option<String>,
    #[schema(value_type = Option<String>, write_only)]
    token: Option<SecretString>,
    #[schema(value_type = Option<String>, write_only)]
    key: Option<SecretString>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, write_only)]
    forge_token: Option<Option<SecretString>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    forge: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    api_url: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    default_branch: Option<Option<String>>,
    checkout: Option<Checkout>,
    /// `pipelines`, `stages` or `off`.
    statuses: Option<String>,
}

/// What is there, also when it is null.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// A token that is one, without the room around it.
fn forge_token(token: SecretString) -> Result<SecretString, Problem> {
    match token.expose_secret().trim() {
        "" => Err(Problem::invalid("the forge's token is empty")),
        token => Ok(token.into()),
    }
}

fn mode(word: &str) -> Result<StatusMode, Problem> {
    word.parse().map_err(|error: StoreError| error.into())
}

fn forge(word: &str) -> Result<Forge, Problem> {
    word.parse().map_err(|error: StoreError| error.into())
}

/// A branch of a repository.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Branch {
    name: String,
    commit: String,
    /// The first line of the commit's message.
    message: String,
}

/// Which branch is looked at.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Where {
    /// The default branch without.
    branch: Option<String>,
}

/// What was found in a repository.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Scanned {
    branch: String,
    commit: String,
    files: Vec<File>,
}

/// A file of a repository that is a pipeline, or would be one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct File {
    path: String,
    /// What it calls itself.
    name: Option<String>,
    stages: usize,
    /// Whether it can run.
    valid: bool,
    diagnostics: Vec<Finding>,
    /// The pipeline that it is of already.
    pipeline: Option<Uuid>,
}

impl From<Scan> for Scanned {
    fn from(scan: Scan) -> Self {
        let file = |found: repositories::Found| File {
            valid: found.is_valid(),
            diagnostics: found.findings.iter().map(Finding::from).collect(),
            pipeline: found.pipeline.map(|pipeline| pipeline.id.as_uuid()),
            path: found.path,
            name: found.name,
            stages: found.stages,
        };
        Self { branch: scan.branch, commit: scan.commit, files: scan.files.into_iter().map(file).collect() }
    }
}

/// Repositories of a tenant, by name.
#[utoipa::path(get, path = "/api/v1/repositories", tag = "repositories", params(Whose, Page),
    responses((status = OK, body = List<Repository>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    actor: Actor,
    Asked(whose): Asked<Whose>,
    Asked(page): Asked<Page>,
) -> Result<Json<List<Repository>>, Problem> {
    let access = Access::own(&state, actor, whose.tenant.map(TenantId::from), Role::Viewer).await?;
    Ok(Json(repositories::list(&state, &access, &page).await?.map(Repository::from)))
}

/// Connects a repository, which is asked whether it is there and lets the server in.
#[utoipa::path(post, path = "/api/v1/repositories", tag = "repositories", request_body = NewRepository,
    responses((status = CREATED, body = Repository), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create(
    State(state): State<ServerState>,
    actor: Actor,
    Body(new): Body<NewRepository>,
) -> Result<Response, Problem> {
    let access = Access::own(&state, actor, new.tenant.map(TenantId::from), Role::Admin).await?;
    let check = if new.check.unwrap_or(true) { Check::Asked } else { Check::Unasked };
    let new = repositories::New {
        name: new.name,
        url: new.url,
        forge: new.forge.as_deref().map(forge).transpose()?,
        api_url: new.api_url,
        given: Given::of(new.token, new.key)?,
        forge_token: new.forge_token.map(forge_token).transpose()?,
        default_branch: new.default_branch,
        checkout: new.checkout.into(),
        statuses: new.statuses.as_deref().map(mode).transpose()?.unwrap_or_default(),
        with_webhook: new.webhook.unwrap_or_default(),
    };
    let made = repositories::connect(&state, &access, new, check).await?;
    let place = HeaderValue::try_from(format!("{}/api/v1/repositories/{}", state.base(), made.id));
    let mut response = (StatusCode::CREATED, Tagged(made.version, Repository::from(made))).into_response();
    response.headers_mut().extend(place.ok().map(|place| (header::LOCATION, place)));
    Ok(response)
}

/// One repository.
#[utoipa::path(get, path = "/api/v1/repositories/{id}", tag = "repositories", params(("id" = Uuid, Path)),
    responses((status = OK, body = Repository), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RepositoryId>,
) -> Result<Tagged<Repository>, Problem> {
    let (_, found) = repositories::find(&state, actor, id, Role::Viewer).await?;
    Ok(Tagged(found.version, found.into()))
}

/// Changes a repository; with `If-Match`, only if nobody else has meanwhile.
#[utoipa::path(patch, path = "/api/v1/repositories/{id}", tag = "repositories", request_body = RepositoryChange,
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header, description = "the `ETag` of what is changed")),
    responses((status = OK, body = Repository), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn update(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RepositoryId>,
    IfMatch(version): IfMatch,
    Body(change): Body<RepositoryChange>,
) -> Result<Tagged<Repository>, Problem> {
    let (access, found) = repositories::find(&state, actor, id, Role::Admin).await?;
    let given = match Given::of(change.token, change.key)? {
        Given::Nothing => None,
        given => Some(given),
    };
    let to = repositories::Change {
        name: change.name,
        url: change.url,
        forge: change.forge.map(|word| word.as_deref().map(forge).transpose()).transpose()?,
        api_url: change.api_url,
        given,
        forge_token: change.forge_token.map(|given| given.map(forge_token).transpose()).transpose()?,
        default_branch: change.default_branch,
        checkout: change.checkout.map(CheckoutSpec::from),
        statuses: change.statuses.as_deref().map(mode).transpose()?,
    };
    let changed = repositories::update(&state, &access, &found, version.unwrap_or(found.version), to).await?;
    Ok(Tagged(changed.version, changed.into()))
}

/// Lets a repository go, once no pipeline is of it, and removes its webhook, as far as its forge allows.
#[utoipa::path(delete, path = "/api/v1/repositories/{id}", tag = "repositories", params(("id" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RepositoryId>,
) -> Result<StatusCode, Problem> {
    let (access, found) = repositories::find(&state, actor, id, Role::Admin).await?;
    repositories::delete(&state, &access, &found).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The branches of a repository as it was fetched last, those with the newest commits first; at most 100.
#[utoipa::path(get, path = "/api/v1/repositories/{id}/branches", tag = "repositories", params(("id" = Uuid, Path)),
    responses((status = OK, body = List<Branch>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn branches(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RepositoryId>,
) -> Result<Json<List<Branch>>, Problem> {
    let (_, found) = repositories::find(&state, actor, id, Role::Viewer).await?;
    let branches = repositories::branches(&state, &found).await?.into_iter();
    let items = branches.map(|of| Branch { name: of.name, commit: of.commit, message: of.subject }).collect();
    Ok(Json(List { items, next: None }))
}

/// Fetches a repository and says which pipelines are in it.
#[utoipa::path(post, path = "/api/v1/repositories/{id}/scan", tag = "repositories", params(("id" = Uuid, Path), Where),
    responses((status = OK, body = Scanned), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn scan(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RepositoryId>,
    Asked(at): Asked<Where>,
) -> Result<Json<Scanned>, Problem> {
    let (_, found) = repositories::find(&state, actor, id, Role::Member).await?;
    let scan = repositories::scan(&state, &found, at.branch.as_deref().unwrap_or_default()).await?;
    Ok(Json(scan.into()))
}
