//! What somebody may do with the things of a tenant.

use buildit::account::{Role, Tenant};
use buildit::id::{OrganizationId, TenantId};

use super::Actor;
use crate::problem::Problem;
use crate::state::ServerState;

/// Leave to act within a tenant, with a role that was asked for. There is no other way to one than these functions.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) tenant: Tenant,
    pub(crate) role: Role,
    pub(crate) actor: Actor,
    /// The address of the person whom a key speaks for.
    speaks_for: Option<String>,
}

impl Access {
    /// For the first tenant, while there is no owner.
    pub(crate) fn of_founder(state: &ServerState) -> Self {
        Self { tenant: state.founders_tenant(), role: Role::Owner, actor: Actor::Founder, speaks_for: None }
    }

    /// For a tenant, with at least this role.
    pub(crate) async fn to(state: &ServerState, actor: Actor, tenant: TenantId, least: Role) -> Result<Self, Problem> {
        let found = match actor.known()? {
            Actor::Founder if tenant == state.default_tenant() => Some(Self::of_founder(state)),
            Actor::Founder | Actor::Nobody => None,
            Actor::User(user) => {
                let member = state.identity().tenant_member(tenant, user.id).await?;
                member.map(|of| Self { tenant: of.tenant, role: of.role, actor: Actor::User(user), speaks_for: None })
            }
            Actor::Key(key) if key.tenant == tenant => match key.user {
                // A key is never worth more than whoever made it.
                Some(user) => state.identity().tenant_member(tenant, user).await?.map(|of| Self {
                    tenant: of.tenant,
                    role: of.role.min(key.role),
                    actor: Actor::Key(key),
                    speaks_for: Some(of.user.email),
                }),
                None => state.identity().tenant(tenant).await?.map(|tenant| Self {
                    tenant,
                    role: key.role,
                    actor: Actor::Key(key),
                    speaks_for: None,
                }),
            },
            Actor::Key(_) => None,
        };
        found.ok_or_else(Problem::not_found)?.at_least(least)
    }

    /// The person that acts, who may have given a program a key: what a run is said to be started by.
    pub(crate) fn person(&self) -> String {
        self.speaks_for.clone().unwrap_or_else(|| self.actor.name())
    }

    /// The same, if its role is at least this one.
    pub(crate) fn at_least(self, least: Role) -> Result<Self, Problem> {
        if self.role < least {
            let (has, needs) = (self.role.as_str(), least.as_str());
            return Err(Problem::forbidden(format!("this needs the role {needs}, and yours is {has}")));
        }
        Ok(self)
    }

    /// For what concerns all of the installation, whose owners are those of the organization that came first.
    pub(crate) async fn to_installation(state: &ServerState, actor: Actor) -> Result<Self, Problem> {
        Self::to(state, actor, state.default_tenant(), Role::Owner).await
    }

    /// For the one tenant that this actor has, or the one that they name.
    pub(crate) async fn own(
        state: &ServerState,
        actor: Actor,
        named: Option<TenantId>,
        least: Role,
    ) -> Result<Self, Problem> {
        let tenant = match (named, &actor) {
            (Some(named), _) => named,
            (None, Actor::Key(key)) => key.tenant,
            (None, Actor::Founder) => state.default_tenant(),
            (None, Actor::User(user)) => {
                let mut tenants = Vec::new();
                for (organization, _) in state.identity().organizations_of(user.id).await? {
                    tenants.extend(state.identity().tenants(organization.id, None, 2).await?);
                }
                match &tenants[..] {
                    [only] => only.id,
                    _ => return Err(Problem::invalid("say which `tenant`: you have several, or none")),
                }
            }
            (None, Actor::Nobody) => return Err(Problem::unauthenticated()),
        };
        Self::to(state, actor, tenant, least).await
    }
}

/// The role of somebody in an organization, if it is at least this one.
pub(crate) async fn role_in(
    state: &ServerState,
    actor: &Actor,
    organization: OrganizationId,
    least: Role,
) -> Result<Role, Problem> {
    let role = match actor {
        Actor::Nobody => return Err(Problem::unauthenticated()),
        // What belongs to the organization as a whole is for people.
        Actor::Founder | Actor::Key(_) => None,
        Actor::User(user) => state.identity().membership(organization, user.id).await?.map(|of| of.role),
    };
    let role = role.ok_or_else(Problem::not_found)?;
    if role < least {
        let (has, needs) = (role.as_str(), least.as_str());
        return Err(Problem::forbidden(format!("this needs the role {needs}, and yours is {has}")));
    }
    Ok(role)
}
