//! People: who asks, organizations, members, tenants, and who did what.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use buildit::account::{AuditRecord, Membership, Role, Tenant, User};
use buildit::id::{OrganizationId, TenantId, UserId};
use buildit::store::AuditFilter;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Body, Id};
use crate::access::{Access, Actor, role_in};
use crate::app::audit;
use crate::app::members::{change_role, slug, take_out};
use crate::list::{Asked, List, Page};
use crate::problem::Problem;
use crate::state::ServerState;

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Me {
    /// `user`, `key`, or `founder` while there is no owner.
    kind: &'static str,
    name: String,
    user: Option<Uuid>,
    /// The tenant that a key is of.
    tenant: Option<Uuid>,
    /// The name of that tenant.
    tenant_name: Option<String>,
}

/// An organization, and what the one who asks is in it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Organization {
    id: Uuid,
    name: String,
    plan: String,
    /// `viewer`, `member`, `admin` or `owner`.
    role: &'static str,
    created_at: Timestamp,
}

/// A member of an organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Member {
    user: Uuid,
    email: String,
    name: String,
    role: &'static str,
    since: Timestamp,
}

/// What somebody is from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRole {
    /// `viewer`, `member`, `admin` or `owner`.
    role: String,
}

/// A tenant of an organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TenantLine {
    id: Uuid,
    name: String,
    created_at: Timestamp,
}

/// A tenant that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTenant {
    /// Lower-case letters, digits and `-`.
    name: String,
}

/// Something that somebody did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditLine {
    time: Timestamp,
    actor: String,
    action: String,
    subject: String,
    tenant: Option<Uuid>,
    #[schema(value_type = Object)]
    details: Map<String, Value>,
}

impl From<(User, Membership)> for Member {
    fn from((user, of): (User, Membership)) -> Self {
        Self {
            user: user.id.as_uuid(),
            email: user.email,
            name: user.name,
            role: of.role.as_str(),
            since: of.created_at,
        }
    }
}

impl From<Tenant> for TenantLine {
    fn from(tenant: Tenant) -> Self {
        Self { id: tenant.id.as_uuid(), name: tenant.name, created_at: tenant.created_at }
    }
}

impl From<AuditRecord> for AuditLine {
    fn from(AuditRecord { entry, .. }: AuditRecord) -> Self {
        Self {
            time: entry.time,
            actor: entry.actor,
            action: entry.action,
            subject: entry.subject,
            tenant: entry.tenant.map(|tenant| tenant.as_uuid()),
            details: entry.details,
        }
    }
}

/// Who asks.
#[utoipa::path(get, path = "/api/v1/me", tag = "accounts",
    responses((status = OK, body = Me), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn me(State(state): State<ServerState>, actor: Actor) -> Result<Json<Me>, Problem> {
    let actor = actor.known()?;
    let (kind, tenant) = match &actor {
        Actor::Key(key) => ("key", state.identity().tenant(key.tenant).await?),
        Actor::Founder => ("founder", Some(state.founders_tenant())),
        Actor::User(_) | Actor::Nobody => ("user", None),
    };
    Ok(Json(Me {
        kind,
        name: actor.name(),
        user: actor.user().map(|user| user.as_uuid()),
        tenant: tenant.as_ref().map(|tenant| tenant.id.as_uuid()),
        tenant_name: tenant.map(|tenant| tenant.name),
    }))
}

/// The organizations of who asks.
#[utoipa::path(get, path = "/api/v1/organizations", tag = "accounts",
    responses((status = OK, body = List<Organization>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn organizations(
    State(state): State<ServerState>,
    actor: Actor,
) -> Result<Json<List<Organization>>, Problem> {
    let found = match actor.known()? {
        Actor::User(user) => state.identity().organizations_of(user.id).await?,
        _ => Vec::new(),
    };
    let items = found.into_iter().map(|(of, role)| Organization {
        id: of.id.as_uuid(),
        name: of.name,
        plan: of.plan,
        role: role.as_str(),
        created_at: of.created_at,
    });
    Ok(Json(List { items: items.collect(), next: None }))
}

/// The members of an organization.
#[utoipa::path(get, path = "/api/v1/organizations/{organization}/members", tag = "accounts", params(("organization" = Uuid, Path), Page),
    responses((status = OK, body = List<Member>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn members(
    State(state): State<ServerState>,
    actor: Actor,
    Id(organization): Id<OrganizationId>,
    Asked(page): Asked<Page>,
) -> Result<Json<List<Member>>, Problem> {
    role_in(&state, &actor, organization, Role::Viewer).await?;
    let found = state.identity().members(organization, page.after()?, page.limit() + 1).await?;
    Ok(Json(List::cut(found, page.limit(), |(user, _)| user.id.to_string()).map(Member::from)))
}

/// Changes what a member may do.
#[utoipa::path(put, path = "/api/v1/organizations/{organization}/members/{user}", tag = "accounts", request_body = NewRole,
    params(("organization" = Uuid, Path), ("user" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_member(
    State(state): State<ServerState>,
    actor: Actor,
    Id((organization, user)): Id<(OrganizationId, UserId)>,
    Body(new): Body<NewRole>,
) -> Result<StatusCode, Problem> {
    let role: Role = new.role.parse().map_err(|_| Problem::invalid("`role` is viewer, member, admin or owner"))?;
    change_role(&state, &actor, organization, user, role).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes somebody out of an organization.
#[utoipa::path(delete, path = "/api/v1/organizations/{organization}/members/{user}", tag = "accounts",
    params(("organization" = Uuid, Path), ("user" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove_member(
    State(state): State<ServerState>,
    actor: Actor,
    Id((organization, user)): Id<(OrganizationId, UserId)>,
) -> Result<StatusCode, Problem> {
    take_out(&state, &actor, organization, user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The tenants of an organization.
#[utoipa::path(get, path = "/api/v1/organizations/{organization}/tenants", tag = "accounts", params(("organization" = Uuid, Path), Page),
    responses((status = OK, body = List<TenantLine>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn tenants(
    State(state): State<ServerState>,
    actor: Actor,
    Id(organization): Id<OrganizationId>,
    Asked(page): Asked<Page>,
) -> Result<Json<List<TenantLine>>, Problem> {
    role_in(&state, &actor, organization, Role::Viewer).await?;
    let found = state.identity().tenants(organization, page.cursor.as_deref(), page.limit() + 1).await?;
    Ok(Json(List::cut(found, page.limit(), |tenant| tenant.name.clone()).map(TenantLine::from)))
}

/// Makes a tenant.
#[utoipa::path(post, path = "/api/v1/organizations/{organization}/tenants", tag = "accounts", request_body = NewTenant,
    params(("organization" = Uuid, Path)),
    responses((status = CREATED, body = TenantLine), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create_tenant(
    State(state): State<ServerState>,
    actor: Actor,
    Id(organization): Id<OrganizationId>,
    Body(new): Body<NewTenant>,
) -> Result<(StatusCode, Json<TenantLine>), Problem> {
    role_in(&state, &actor, organization, Role::Admin).await?;
    let tenant = Tenant { id: TenantId::new(), organization, name: slug(&new.name)?, created_at: Timestamp::now() };
    state.identity().create_tenant(tenant.clone()).await?;
    audit::of_organization(&state, &actor, organization, "tenant.create", &tenant.name).await;
    Ok((StatusCode::CREATED, Json(tenant.into())))
}

/// Who did what in a tenant, the latest first.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/audit", tag = "accounts", params(("tenant" = Uuid, Path), Page),
    responses((status = OK, body = List<AuditLine>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn audit(
    State(state): State<ServerState>,
    actor: Actor,
    Id(tenant): Id<TenantId>,
    Asked(page): Asked<Page>,
) -> Result<Json<List<AuditLine>>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    let filter = AuditFilter::of_tenant(access.tenant.id);
    let found = state.store().audit_log(filter, page.after()?, page.limit() + 1).await?;
    Ok(Json(List::cut(found, page.limit(), |record| record.place.to_string()).map(AuditLine::from)))
}
