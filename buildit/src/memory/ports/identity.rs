//! Users, organizations and tenants.

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::accounts::AccountChange;
use super::super::store::MemoryStore;
use crate::account::{
    Invitation, LinkedAccount, Membership, Organization, Role, Tenant, TenantMember, TokenHash, User,
};
use crate::id::{InvitationId, OrganizationId, TenantId, UserId};
use crate::store::{
    IdentityStore, PipelineFilter, PipelineStore, RepositoryStore, RunFilter, RunStore, StoreError, check_link,
    check_organization, check_tenant, check_text, check_user,
};

/// The membership of whoever makes an organization.
fn ownership(organization: &Organization, user: UserId) -> Membership {
    let (id, created_at) = (organization.id, organization.created_at);
    Membership { organization: id, user, role: Role::Owner, invited_by: None, created_at }
}

#[async_trait]
impl IdentityStore for MemoryStore {
    async fn found(&self, owner: User, organization: Organization, tenant: Tenant) -> Result<bool, StoreError> {
        check_user(&owner)?;
        check_organization(&organization)?;
        check_tenant(&tenant)?;
        let mut journaled = self.accounts_locked();
        if journaled.accounts.has_users() {
            return Ok(false);
        }
        journaled.accounts.check_new_organization(&organization)?;
        journaled.accounts.check_new_tenant(&tenant)?;
        if tenant.organization != organization.id {
            return Err(StoreError::NotFound(format!("organization {}", tenant.organization)));
        }
        let member = AccountChange::Member(ownership(&organization, owner.id));
        let organization = AccountChange::Organization(organization);
        journaled.change(vec![AccountChange::User(owner), organization, member, AccountChange::Tenant(tenant)])?;
        Ok(true)
    }

    async fn has_users(&self) -> Result<bool, StoreError> {
        Ok(self.accounts_locked().accounts.has_users())
    }

    async fn create_user(&self, user: User) -> Result<(), StoreError> {
        check_user(&user)?;
        let mut journaled = self.accounts_locked();
        journaled.accounts.check_new_user(&user)?;
        journaled.change(vec![AccountChange::User(user)])
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.accounts_locked().accounts.user(id).cloned())
    }

    async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        Ok(self.accounts_locked().accounts.user_by_email(email).cloned())
    }

    async fn change_user(&self, known: &User, to: User) -> Result<bool, StoreError> {
        check_user(&to)?;
        let mut journaled = self.accounts_locked();
        let before = journaled.accounts.user(known.id);
        let before = before.ok_or_else(|| StoreError::NotFound(format!("user {}", known.id)))?;
        if before != known {
            return Ok(false);
        }
        journaled.accounts.check_email(&to)?;
        let to = User { id: known.id, created_at: known.created_at, ..to };
        journaled.change(vec![AccountChange::User(to)]).map(|()| true)
    }

    async fn create_linked_user(&self, user: User, link: LinkedAccount) -> Result<(), StoreError> {
        check_user(&user)?;
        check_link(&link)?;
        let mut journaled = self.accounts_locked();
        journaled.accounts.check_new_user(&user)?;
        journaled.accounts.check_new_link(&link)?;
        if link.user != user.id {
            return Err(StoreError::NotFound(format!("user {}", link.user)));
        }
        journaled.change(vec![AccountChange::User(user), AccountChange::Link(link)])
    }

    async fn link(&self, link: LinkedAccount) -> Result<(), StoreError> {
        check_link(&link)?;
        let mut journaled = self.accounts_locked();
        journaled.accounts.check_new_link(&link)?;
        journaled.accounts.check_user(link.user)?;
        journaled.change(vec![AccountChange::Link(link)])
    }

    async fn linked_user(&self, issuer: &str, subject: &str) -> Result<Option<User>, StoreError> {
        let journaled = self.accounts_locked();
        let link = journaled.accounts.linked(issuer, subject);
        Ok(link.and_then(|link| journaled.accounts.user(link.user)).cloned())
    }

    async fn links_of(&self, user: UserId) -> Result<Vec<LinkedAccount>, StoreError> {
        Ok(self.accounts_locked().accounts.links_of(user).cloned().collect())
    }

    async fn unlink(&self, user: UserId, issuer: &str, subject: &str) -> Result<bool, StoreError> {
        let mut journaled = self.accounts_locked();
        let link = journaled.accounts.linked(issuer, subject).filter(|link| link.user == user);
        let Some(link) = link else { return Ok(false) };
        journaled.accounts.check_other_way_in(link)?;
        let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
        journaled.change(vec![AccountChange::NoLink { issuer, subject }]).map(|()| true)
    }

    async fn create_organization(&self, organization: Organization, owner: UserId) -> Result<(), StoreError> {
        check_organization(&organization)?;
        let mut journaled = self.accounts_locked();
        journaled.accounts.check_new_organization(&organization)?;
        journaled.accounts.check_user(owner)?;
        let member = AccountChange::Member(ownership(&organization, owner));
        journaled.change(vec![AccountChange::Organization(organization), member])
    }

    async fn organization(&self, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
        Ok(self.accounts_locked().accounts.organization(id).cloned())
    }

    async fn organization_named(&self, name: &str) -> Result<Option<Organization>, StoreError> {
        Ok(self.accounts_locked().accounts.organization_named(name).cloned())
    }

    async fn update_organization(&self, organization: Organization) -> Result<(), StoreError> {
        check_organization(&organization)?;
        let mut journaled = self.accounts_locked();
        let id = organization.id;
        let before = journaled.accounts.organization(id);
        let created_at = before.ok_or_else(|| StoreError::NotFound(format!("organization {id}")))?.created_at;
        journaled.accounts.check_organization_name(&organization)?;
        journaled.change(vec![AccountChange::Organization(Organization { created_at, ..organization })])
    }

    async fn delete_organization(&self, id: OrganizationId) -> Result<bool, StoreError> {
        let mut journaled = self.accounts_locked();
        if journaled.accounts.organization(id).is_none() {
            return Ok(false);
        }
        if !journaled.accounts.tenants(id, None, 1).is_empty() {
            return Err(StoreError::HasTenants(id));
        }
        let changes = journaled.accounts.without_organization(id);
        journaled.change(changes).map(|()| true)
    }

    async fn organizations_of(&self, user: UserId) -> Result<Vec<(Organization, Role)>, StoreError> {
        Ok(self.accounts_locked().accounts.organizations_of(user))
    }

    async fn members(
        &self,
        organization: OrganizationId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<(User, Membership)>, StoreError> {
        Ok(self.accounts_locked().accounts.members(organization, after, limit))
    }

    async fn membership(&self, organization: OrganizationId, user: UserId) -> Result<Option<Membership>, StoreError> {
        Ok(self.accounts_locked().accounts.membership(organization, user).cloned())
    }

    async fn tenant_member(&self, tenant: TenantId, user: UserId) -> Result<Option<TenantMember>, StoreError> {
        Ok(self.accounts_locked().accounts.tenant_member(tenant, user))
    }

    async fn set_member(&self, member: Membership) -> Result<(), StoreError> {
        let mut journaled = self.accounts_locked();
        let accounts = &journaled.accounts;
        accounts.check_organization(member.organization)?;
        accounts.check_user(member.user)?;
        member.invited_by.map_or(Ok(()), |user| accounts.check_user(user))?;
        if member.role < Role::Owner {
            accounts.check_not_last(member.organization, member.user)?;
        }
        let before = accounts.membership(member.organization, member.user).cloned();
        let member = before.map_or_else(|| member.clone(), |before| Membership { role: member.role, ..before });
        journaled.change(vec![AccountChange::Member(member)])
    }

    async fn remove_member(&self, organization: OrganizationId, user: UserId) -> Result<bool, StoreError> {
        let mut journaled = self.accounts_locked();
        let accounts = &journaled.accounts;
        if accounts.membership(organization, user).is_none() {
            return Ok(false);
        }
        accounts.check_not_last(organization, user)?;
        let mut changes = accounts
            .without_keys(|key| key.user == Some(user) && accounts.organization_of(key.tenant) == Some(organization));
        changes.push(AccountChange::NoMember(organization, user));
        journaled.change(changes).map(|()| true)
    }

    async fn create_tenant(&self, tenant: Tenant) -> Result<(), StoreError> {
        check_tenant(&tenant)?;
        let mut journaled = self.accounts_locked();
        journaled.accounts.check_organization(tenant.organization)?;
        journaled.accounts.check_new_tenant(&tenant)?;
        journaled.change(vec![AccountChange::Tenant(tenant)])
    }

    async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        Ok(self.accounts_locked().accounts.tenant(id).cloned())
    }

    async fn tenant_named(&self, organization: OrganizationId, name: &str) -> Result<Option<Tenant>, StoreError> {
        Ok(self.accounts_locked().accounts.tenant_named(organization, name).cloned())
    }

    async fn tenants(
        &self,
        organization: OrganizationId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Tenant>, StoreError> {
        after.map_or(Ok(()), |name| check_text("the name of a tenant", name))?;
        Ok(self.accounts_locked().accounts.tenants(organization, after, limit))
    }

    async fn rename_tenant(&self, id: TenantId, name: &str) -> Result<(), StoreError> {
        let mut journaled = self.accounts_locked();
        let before = journaled.accounts.tenant(id).cloned();
        let before = before.ok_or_else(|| StoreError::NotFound(format!("tenant {id}")))?;
        let tenant = Tenant { name: name.to_owned(), ..before };
        check_tenant(&tenant)?;
        journaled.accounts.check_tenant_name(&tenant)?;
        journaled.change(vec![AccountChange::Tenant(tenant)])
    }

    async fn delete_tenant(&self, id: TenantId) -> Result<bool, StoreError> {
        let runs = self.runs(&RunFilter::of_tenant(id), 1).await?;
        let pipelines = self.pipelines(&PipelineFilter::of_tenant(id), 1).await?;
        let repositories = RepositoryStore::repositories(self, id, None, 1).await?;
        let queue = self.queue_locked();
        let mut journaled = self.accounts_locked();
        if journaled.accounts.tenant(id).is_none() {
            return Ok(false);
        }
        if !runs.is_empty() || !pipelines.is_empty() || !repositories.is_empty() || queue.queue.has_any_of(id) {
            return Err(StoreError::NotEmpty(id));
        }
        let mut changes = journaled.accounts.without_keys(|key| key.tenant == id);
        changes.push(AccountChange::NoTenant(id));
        journaled.change(changes)?;
        self.environments_locked().delete_of(id)?;
        self.policies_locked().delete(id).map(|()| true)
    }

    async fn create_invitation(&self, invitation: Invitation, hash: TokenHash) -> Result<(), StoreError> {
        check_text("an address", &invitation.email)?;
        let mut journaled = self.accounts_locked();
        journaled.accounts.check_new_invitation(&invitation, &hash)?;
        journaled.change(vec![AccountChange::Invitation(hash, invitation)])
    }

    async fn invitations(
        &self,
        organization: OrganizationId,
        after: Option<InvitationId>,
        limit: usize,
    ) -> Result<Vec<Invitation>, StoreError> {
        Ok(self.accounts_locked().accounts.invitations(organization, after, limit))
    }

    async fn revoke_invitation(&self, id: InvitationId) -> Result<bool, StoreError> {
        let mut journaled = self.accounts_locked();
        let is_there = journaled.accounts.has_invitation(id);
        if is_there {
            journaled.change(vec![AccountChange::NoInvitation(id)])?;
        }
        Ok(is_there)
    }

    async fn invitation(&self, hash: &TokenHash, now: Timestamp) -> Result<Option<Invitation>, StoreError> {
        Ok(self.accounts_locked().accounts.invitation(hash, now).cloned())
    }

    async fn accept_invitation(
        &self,
        hash: &TokenHash,
        user: UserId,
        now: Timestamp,
    ) -> Result<Option<Membership>, StoreError> {
        let mut journaled = self.accounts_locked();
        let accounts = &journaled.accounts;
        let Some(invitation) = accounts.invitation(hash, now).cloned() else { return Ok(None) };
        accounts.check_user(user)?;
        let Invitation { id, organization, role, invited_by, .. } = invitation;
        let member = match accounts.membership(organization, user).cloned() {
            Some(before) => Membership { role: before.role.max(role), ..before },
            None => Membership { organization, user, role, invited_by, created_at: now },
        };
        journaled.change(vec![AccountChange::NoInvitation(id), AccountChange::Member(member.clone())])?;
        Ok(Some(member))
    }
}
