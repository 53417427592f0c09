//! People: who asks, organizations, members, tenants, and who did what.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use buildit::account::{AuditRecord, Membership, Organization as Kept, Role, Tenant, User};
use buildit::id::{OrganizationId, TenantId, UserId};
use buildit::store::AuditFilter;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Body, Id};
use crate::access::{Access, Actor, role_in};
use crate::app::members::{change_role, take_out};
use crate::app::organizations::{self as all, OrganizationChange};
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
    /// The name of the organization that the tenant is of.
    organization_name: Option<String>,
}

/// An organization, and what the one who asks is in it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Organization {
    id: Uuid,
    name: String,
    plan: String,
    /// Where bills go; its owners see it.
    billing_email: Option<String>,
    /// `viewer`, `member`, `admin` or `owner`.
    role: &'static str,
    created_at: Timestamp,
}

impl From<(Kept, Role)> for Organization {
    fn from((of, role): (Kept, Role)) -> Self {
        let Kept { id, name, plan, billing_email, created_at } = of;
        let billing_email = billing_email.filter(|_| role == Role::Owner);
        Self { id: id.as_uuid(), name, plan, billing_email, role: role.as_str(), created_at }
    }
}

/// An organization that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrganization {
    /// Lower-case letters, digits and `-`: it stands in addresses.
    name: String,
    /// The name of its first tenant; `main` without.
    tenant: Option<String>,
}

/// What of an organization is another from now on; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangedOrganization {
    /// Lower-case letters, digits and `-`: it stands in addresses.
    name: Option<String>,
    /// Where bills go; empty for nowhere.
    billing_email: Option<String>,
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
    let organization = match &tenant {
        Some(tenant) => state.identity().organization(tenant.organization).await?,
        None => None,
    };
    Ok(Json(Me {
        kind,
        name: actor.name(),
        user: actor.user().map(|user| user.as_uuid()),
        tenant: tenant.as_ref().map(|tenant| tenant.id.as_uuid()),
        tenant_name: tenant.map(|tenant| tenant.name),
        organization_name: organization.map(|organization| organization.name),
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
    let items = found.into_iter().map(Organization::from);
    Ok(Json(List { items: items.collect(), next: None }))
}

/// Makes an organization with a tenant, as an owner of the organization that came first may: whoever makes it owns it.
#[utoipa::path(post, path = "/api/v1/organizations", tag = "accounts", request_body = NewOrganization,
    responses((status = CREATED, body = Organization), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create_organization(
    State(state): State<ServerState>,
    actor: Actor,
    Body(new): Body<NewOrganization>,
) -> Result<(StatusCode, Json<Organization>), Problem> {
    let tenant = new.tenant.as_deref().unwrap_or(all::FIRST_TENANT);
    let (made, _) = all::create(&state, &actor, &new.name, tenant).await?;
    Ok((StatusCode::CREATED, Json((made, Role::Owner).into())))
}

/// An organization.
#[utoipa::path(get, path = "/api/v1/organizations/{organization}", tag = "accounts", params(("organization" = Uuid, Path)),
    responses((status = OK, body = Organization), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn organization(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<OrganizationId>,
) -> Result<Json<Organization>, Problem> {
    Ok(Json(all::find(&state, &actor, id).await?.into()))
}

/// Changes an organization, as its owners may.
#[utoipa::path(patch, path = "/api/v1/organizations/{organization}", tag = "accounts", request_body = ChangedOrganization,
    params(("organization" = Uuid, Path)),
    responses((status = OK, body = Organization), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn change_organization(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<OrganizationId>,
    Body(changed): Body<ChangedOrganization>,
) -> Result<Json<Organization>, Problem> {
    let ChangedOrganization { name, billing_email } = changed;
    Ok(Json(all::change(&state, &actor, id, OrganizationChange { name, billing_email }).await?.into()))
}

/// Forgets an organization whose tenants have neither pipelines, runs nor repositories any more, with all that is its.
#[utoipa::path(delete, path = "/api/v1/organizations/{organization}", tag = "accounts", params(("organization" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete_organization(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<OrganizationId>,
) -> Result<StatusCode, Problem> {
    all::delete(&state, &actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
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
    Ok(Json(all::tenants(&state, &actor, organization, &page).await?.map(TenantLine::from)))
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
    let tenant = all::create_tenant(&state, &actor, organization, &new.name).await?;
    Ok((StatusCode::CREATED, Json(tenant.into())))
}

/// Calls a tenant something else.
#[utoipa::path(patch, path = "/api/v1/tenants/{tenant}", tag = "accounts", request_body = NewTenant,
    params(("tenant" = Uuid, Path)),
    responses((status = OK, body = TenantLine), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn rename_tenant(
    State(state): State<ServerState>,
    actor: Actor,
    Id(tenant): Id<TenantId>,
    Body(new): Body<NewTenant>,
) -> Result<Json<TenantLine>, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Admin).await?;
    Ok(Json(all::rename_tenant(&state, &access, &new.name).await?.into()))
}

/// Forgets a tenant that has neither pipelines, runs nor repositories any more, with its keys, secrets and environments.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}", tag = "accounts", params(("tenant" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete_tenant(
    State(state): State<ServerState>,
    actor: Actor,
    Id(tenant): Id<TenantId>,
) -> Result<StatusCode, Problem> {
    let access = Access::to(&state, actor, tenant, Role::Owner).await?;
    all::delete_tenant(&state, &access).await?;
    Ok(StatusCode::NO_CONTENT)
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
