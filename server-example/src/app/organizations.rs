//! An organization and its tenants.

use buildit::account::{Organization, Role, Tenant};
use buildit::id::{OrganizationId, TenantId};
use buildit::store::{PipelineFilter, RunFilter, SecretScope};
use jiff::Timestamp;

use super::members::{address, slug};
use super::{audit, channels, secrets};
use crate::access::{Access, Actor, role_in};
use crate::list::{List, Page};
use crate::problem::Problem;
use crate::secrets::owner_of_environment;
use crate::state::ServerState;

/// What an organization pays for, of which there is one.
pub(crate) const PLAN: &str = "free";

/// What its first tenant is called when nobody says.
pub(crate) const FIRST_TENANT: &str = "main";

/// What of an organization is to be another; what is left out stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct OrganizationChange {
    pub(crate) name: Option<String>,
    /// Empty for none.
    pub(crate) billing_email: Option<String>,
}

/// The organization, and what the one who asks is in it.
pub(crate) async fn find(
    state: &ServerState,
    actor: &Actor,
    id: OrganizationId,
) -> Result<(Organization, Role), Problem> {
    let role = role_in(state, actor, id, Role::Viewer).await?;
    let found = state.identity().organization(id).await?.ok_or_else(Problem::not_found)?;
    Ok((found, role))
}

/// Changes an organization, as its owners may. Its pages are at its new name from then on.
pub(crate) async fn change(
    state: &ServerState,
    actor: &Actor,
    id: OrganizationId,
    change: OrganizationChange,
) -> Result<(Organization, Role), Problem> {
    let role = role_in(state, actor, id, Role::Owner).await?;
    let mut organization = state.identity().organization(id).await?.ok_or_else(Problem::not_found)?;
    if let Some(name) = change.name {
        organization.name = slug(name.trim())?;
    }
    if let Some(email) = change.billing_email {
        organization.billing_email = match email.trim() {
            "" => None,
            email => Some(address(email)?),
        };
    }
    state.identity().update_organization(organization.clone()).await?;
    audit::of_organization(state, actor, id, "organization.update", &organization.name).await;
    Ok((organization, role))
}

/// Makes an organization with a tenant, as the owners of the installation may: whoever makes it owns it.
pub(crate) async fn create(
    state: &ServerState,
    actor: &Actor,
    name: &str,
    tenant: &str,
) -> Result<(Organization, Tenant), Problem> {
    let Actor::User(user) = actor.clone().known()? else {
        return Err(Problem::forbidden("an organization is owned by a person"));
    };
    Access::to_installation(state, actor.clone()).await?;
    let created_at = Timestamp::now();
    let (id, name, plan) = (OrganizationId::new(), slug(name.trim())?, PLAN.to_owned());
    let organization = Organization { id, name, plan, billing_email: None, created_at };
    let tenant = Tenant { id: TenantId::new(), organization: id, name: slug(tenant.trim())?, created_at };
    let (organization, tenant) = match begun(state, actor, &organization).await? {
        // Whoever made it was killed before it had a tenant.
        Some(begun) => (begun.clone(), Tenant { organization: begun.id, ..tenant }),
        None => {
            state.identity().create_organization(organization.clone(), user.id).await?;
            (organization, tenant)
        }
    };
    let id = organization.id;
    state.identity().create_tenant(tenant.clone()).await?;
    audit::of_organization(state, actor, id, "organization.create", &organization.name).await;
    Ok((organization, tenant))
}

/// The organization of this name, if it is the actor's and has no tenant.
async fn begun(state: &ServerState, actor: &Actor, wanted: &Organization) -> Result<Option<Organization>, Problem> {
    let Some(found) = state.identity().organization_named(&wanted.name).await? else { return Ok(None) };
    let is_own = role_in(state, actor, found.id, Role::Owner).await.is_ok();
    let is_begun = is_own && state.identity().tenants(found.id, None, 1).await?.is_empty();
    Ok(Some(found).filter(|_| is_begun))
}

/// Whether an organization is the one that came first.
pub(crate) async fn is_installation(state: &ServerState, id: OrganizationId) -> Result<bool, Problem> {
    let first = state.identity().tenant(state.default_tenant()).await?;
    Ok(first.is_some_and(|tenant| tenant.organization == id))
}

/// Forgets an organization whose tenants have neither pipelines, runs nor repositories, with these, its members and its
/// invitations. The first one stays, whose owners are those of the installation.
pub(crate) async fn delete(state: &ServerState, actor: &Actor, id: OrganizationId) -> Result<(), Problem> {
    role_in(state, actor, id, Role::Owner).await?;
    let organization = state.identity().organization(id).await?.ok_or_else(Problem::not_found)?;
    let tenants = state.identity().tenants(id, None, usize::MAX).await?;
    for tenant in &tenants {
        check_may_go(state, tenant).await?;
    }
    for tenant in &tenants {
        // Whoever deletes it at the same time has done this.
        remove_tenant(state, actor, tenant).await?;
    }
    if !state.identity().delete_organization(id).await? {
        return Err(Problem::not_found());
    }
    state.ended().notify_waiters();
    audit::of_organization(state, actor, id, "organization.delete", &organization.name).await;
    Ok(())
}

/// The tenants of an organization by name, a page at a time.
pub(crate) async fn tenants(
    state: &ServerState,
    actor: &Actor,
    id: OrganizationId,
    page: &Page,
) -> Result<List<Tenant>, Problem> {
    role_in(state, actor, id, Role::Viewer).await?;
    let found = state.identity().tenants(id, page.cursor.as_deref(), page.limit() + 1).await?;
    Ok(List::cut(found, page.limit(), |tenant| tenant.name.clone()))
}

/// Makes a tenant.
pub(crate) async fn create_tenant(
    state: &ServerState,
    actor: &Actor,
    organization: OrganizationId,
    name: &str,
) -> Result<Tenant, Problem> {
    role_in(state, actor, organization, Role::Admin).await?;
    let tenant = Tenant { id: TenantId::new(), organization, name: slug(name.trim())?, created_at: Timestamp::now() };
    state.identity().create_tenant(tenant.clone()).await?;
    audit::of_organization(state, actor, organization, "tenant.create", &tenant.name).await;
    Ok(tenant)
}

/// Calls a tenant something else. Its pages are at its new name from then on.
pub(crate) async fn rename_tenant(state: &ServerState, access: &Access, name: &str) -> Result<Tenant, Problem> {
    let name = slug(name.trim())?;
    state.identity().rename_tenant(access.tenant.id, &name).await?;
    audit::of_tenant(state, access, "tenant.rename", &name, &[("from", access.tenant.name.clone().into())]).await;
    Ok(Tenant { name, ..access.tenant.clone() })
}

/// Forgets a tenant that has neither pipelines, runs nor repositories, with its keys, secrets, environments and channels. The
/// first one stays: what is whose is not said belongs there.
pub(crate) async fn delete_tenant(state: &ServerState, access: &Access) -> Result<(), Problem> {
    check_may_go(state, &access.tenant).await?;
    match remove_tenant(state, &access.actor, &access.tenant).await? {
        true => Ok(()),
        false => Err(Problem::not_found()),
    }
}

/// Refuses to forget a tenant that is needed, or in use.
async fn check_may_go(state: &ServerState, tenant: &Tenant) -> Result<(), Problem> {
    let Tenant { id, name, .. } = tenant;
    if *id == state.default_tenant() {
        return Err(Problem::conflict("the first tenant of a server stays"));
    }
    let has_pipelines = !state.store().pipelines(&PipelineFilter::of_tenant(*id), 1).await?.is_empty();
    if has_pipelines || !state.store().runs(&RunFilter::of_tenant(*id), 1).await?.is_empty() {
        return Err(Problem::conflict(format!("the tenant `{name}` still has pipelines or runs")));
    }
    // Its forge would go on to send webhooks of it.
    if let Some(repository) = state.store().repositories(*id, None, 1).await?.first() {
        let repository = &repository.name;
        return Err(Problem::conflict(format!(
            "the tenant `{name}` still has the repository `{repository}`: let it go first"
        )));
    }
    Ok(())
}

/// Forgets a tenant and what its store does not know to be its; whether it was there.
async fn remove_tenant(state: &ServerState, actor: &Actor, tenant: &Tenant) -> Result<bool, Problem> {
    let Tenant { id, organization, name, .. } = tenant;
    let environments = state.store().environments(*id, None, usize::MAX).await?;
    // Before the tenant: whoever is killed in between begins anew, and nothing is left of what nobody could name any more.
    channels::forget_all(state, *id).await?;
    for scope in [SecretScope::Tenant, SecretScope::Registry] {
        secrets::forget_all(state, scope, &id.to_string()).await?;
    }
    for environment in environments {
        let owner = owner_of_environment(*id, &environment.name);
        secrets::forget_all(state, SecretScope::Environment, &owner).await?;
    }
    if !state.identity().delete_tenant(*id).await? {
        return Ok(false);
    }
    audit::of_organization(state, actor, *organization, "tenant.delete", name).await;
    Ok(true)
}
