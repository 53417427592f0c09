//! An organization and its tenants.

use buildit::account::{Organization, Role, Tenant};
use buildit::id::{OrganizationId, TenantId};
use buildit::store::SecretScope;
use jiff::Timestamp;

use super::members::{address, slug};
use super::{audit, channels, secrets};
use crate::access::{Access, Actor, role_in};
use crate::list::{List, Page};
use crate::problem::Problem;
use crate::state::ServerState;

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

/// Forgets a tenant that has neither pipelines nor runs, with its keys, secrets, environments and channels. The first one stays: what is whose
/// is not said belongs there.
pub(crate) async fn delete_tenant(state: &ServerState, access: &Access) -> Result<(), Problem> {
    let Tenant { id, organization, name, .. } = &access.tenant;
    if *id == state.default_tenant() {
        return Err(Problem::conflict("the first tenant of a server stays"));
    }
    if !state.identity().delete_tenant(*id).await? {
        return Err(Problem::not_found());
    }
    channels::forget_all(state, *id).await?;
    for scope in [SecretScope::Tenant, SecretScope::Registry] {
        secrets::forget_all(state, scope, &id.to_string()).await?;
    }
    audit::of_organization(state, &access.actor, *organization, "tenant.delete", name).await;
    Ok(())
}
