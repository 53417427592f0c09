//! Its users, organizations and tenants.

use async_trait::async_trait;
use jiff::Timestamp;

use super::broken::{BrokenAccounts, Fault};
use crate::account::{
    Invitation, LinkedAccount, Membership, Organization, Role, Tenant, TenantMember, TokenHash, User,
};
use crate::id::{InvitationId, OrganizationId, TenantId, UserId};
use crate::store::{IdentityStore, StoreError};

impl BrokenAccounts {
    fn limit(&self, endless: Fault, limit: usize) -> usize {
        if self.has(endless) { usize::MAX } else { limit }
    }

    async fn owners(&self, organization: OrganizationId) -> Result<usize, StoreError> {
        let members = self.inner.members(organization, None, usize::MAX).await?;
        Ok(members.iter().filter(|(_, member)| member.role == Role::Owner).count())
    }

    /// Looks whether an owner stays, before it removes one.
    async fn look(&self, organization: OrganizationId) -> Result<(), StoreError> {
        let owners = self.owners(organization).await?;
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        if owners > 1 { Ok(()) } else { Err(StoreError::LastOwner) }
    }
}

#[async_trait]
impl IdentityStore for BrokenAccounts {
    async fn found(&self, owner: User, organization: Organization, tenant: Tenant) -> Result<bool, StoreError> {
        if !self.has(Fault::FoundsAgain) && !self.has(Fault::FoundsLate) {
            return self.inner.found(owner, organization, tenant).await;
        }
        if self.has(Fault::FoundsLate) && self.inner.has_users().await? {
            return Ok(false);
        }
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        let id = owner.id;
        self.inner.create_user(owner).await?;
        self.inner.create_organization(organization, id).await?;
        self.inner.create_tenant(tenant).await.map(|()| true)
    }

    async fn has_users(&self) -> Result<bool, StoreError> {
        self.inner.has_users().await
    }

    async fn create_user(&self, mut user: User) -> Result<(), StoreError> {
        if self.has(Fault::ForgetsPasswords) {
            user.password_hash = None;
        }
        self.inner.create_user(user).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.inner.user(id).await
    }

    async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        let found = self.inner.user_by_email(email).await?;
        Ok(found.filter(|user| !self.has(Fault::CaseMatters) || user.email == email))
    }

    async fn change_user(&self, known: &User, to: User) -> Result<bool, StoreError> {
        let there = self.inner.user(known.id).await?;
        let known = there.filter(|_| self.has(Fault::OverwritesUsers)).unwrap_or_else(|| known.clone());
        self.inner.change_user(&known, to).await
    }

    async fn create_linked_user(&self, user: User, link: LinkedAccount) -> Result<(), StoreError> {
        if self.has(Fault::MakesUsersFirst) {
            self.inner.create_user(user).await?;
            return self.inner.link(link).await;
        }
        self.inner.create_linked_user(user, link).await
    }

    async fn link(&self, link: LinkedAccount) -> Result<(), StoreError> {
        match self.inner.link(link).await {
            Err(StoreError::Taken(_)) if self.has(Fault::LinksAgain) => Ok(()),
            linked => linked,
        }
    }

    async fn linked_user(&self, issuer: &str, subject: &str) -> Result<Option<User>, StoreError> {
        self.inner.linked_user(issuer, subject).await
    }

    async fn links_of(&self, user: UserId) -> Result<Vec<LinkedAccount>, StoreError> {
        let mut found = self.inner.links_of(user).await?;
        if self.has(Fault::ListsLinksBackwards) {
            found.reverse();
        }
        Ok(found)
    }

    async fn unlink(&self, user: UserId, issuer: &str, subject: &str) -> Result<bool, StoreError> {
        if self.has(Fault::UnlinksLate) {
            let links = self.inner.links_of(user).await?.len();
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            return match self.inner.unlink(user, issuer, subject).await {
                Err(StoreError::LastWayIn) if links > 1 => Ok(true),
                unlinked => unlinked,
            };
        }
        match self.inner.unlink(user, issuer, subject).await {
            Err(StoreError::LastWayIn) if self.has(Fault::LocksOut) => Ok(true),
            unlinked => unlinked,
        }
    }

    async fn create_organization(&self, organization: Organization, owner: UserId) -> Result<(), StoreError> {
        match self.inner.create_organization(organization, owner).await {
            Err(StoreError::Unfit(_)) if self.has(Fault::TakesAnyText) => Ok(()),
            made => made,
        }
    }

    async fn organization(&self, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
        self.inner.organization(id).await
    }

    async fn organization_named(&self, name: &str) -> Result<Option<Organization>, StoreError> {
        self.inner.organization_named(name).await
    }

    async fn update_organization(&self, organization: Organization) -> Result<(), StoreError> {
        match self.inner.update_organization(organization).await {
            Err(StoreError::Taken(_)) if self.has(Fault::RenamesOver) => Ok(()),
            made => made,
        }
    }

    async fn delete_organization(&self, id: OrganizationId) -> Result<bool, StoreError> {
        match self.inner.delete_organization(id).await {
            Err(StoreError::HasTenants(_)) if self.has(Fault::DeletesOrganizationsWithTenants) => Ok(true),
            deleted => deleted,
        }
    }

    async fn organizations_of(&self, user: UserId) -> Result<Vec<(Organization, Role)>, StoreError> {
        let mut found = self.inner.organizations_of(user).await?;
        if self.has(Fault::ListsOrganizationsBackwards) {
            found.reverse();
        }
        Ok(found)
    }

    async fn members(
        &self,
        organization: OrganizationId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<(User, Membership)>, StoreError> {
        self.inner.members(organization, after, self.limit(Fault::EndlessMembers, limit)).await
    }

    async fn membership(&self, organization: OrganizationId, user: UserId) -> Result<Option<Membership>, StoreError> {
        let mut found = self.inner.membership(organization, user).await?;
        if let Some(member) = &mut found {
            match self.fault {
                Fault::OwnersAreMembers => member.role = member.role.min(Role::Member),
                Fault::ForgetsInviters => member.invited_by = None,
                _ => {}
            }
        }
        Ok(found)
    }

    async fn tenant_member(&self, tenant: TenantId, user: UserId) -> Result<Option<TenantMember>, StoreError> {
        let found = self.inner.tenant_member(tenant, user).await?;
        if found.is_some() || !self.has(Fault::StrangersAreMembers) {
            return Ok(found);
        }
        let (tenant, user) = (self.inner.tenant(tenant).await?, self.inner.user(user).await?);
        Ok(tenant.zip(user).map(|(tenant, user)| TenantMember { tenant, user, role: Role::Viewer }))
    }

    async fn set_member(&self, member: Membership) -> Result<(), StoreError> {
        if self.has(Fault::LeavesLate) && member.role < Role::Owner {
            let before = self.inner.membership(member.organization, member.user).await?;
            if before.is_some_and(|before| before.role == Role::Owner) {
                self.look(member.organization).await?;
            }
        }
        match self.inner.set_member(member).await {
            Err(StoreError::LastOwner) if self.has(Fault::AnyoneLeaves) || self.has(Fault::LeavesLate) => Ok(()),
            set => set,
        }
    }

    async fn remove_member(&self, organization: OrganizationId, user: UserId) -> Result<bool, StoreError> {
        if self.has(Fault::LeavesLate) {
            self.look(organization).await?;
        }
        match self.inner.remove_member(organization, user).await {
            Err(StoreError::LastOwner) if self.has(Fault::AnyoneLeaves) || self.has(Fault::LeavesLate) => Ok(true),
            removed => removed,
        }
    }

    async fn create_tenant(&self, tenant: Tenant) -> Result<(), StoreError> {
        let id = *self.names.lock().unwrap().entry(tenant.name.clone()).or_insert(tenant.id);
        if self.has(Fault::OneTenantOfAName) && id != tenant.id {
            return Err(StoreError::Taken(tenant.name));
        }
        self.inner.create_tenant(tenant).await
    }

    async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        self.inner.tenant(id).await
    }

    async fn tenant_named(&self, organization: OrganizationId, name: &str) -> Result<Option<Tenant>, StoreError> {
        self.inner.tenant_named(organization, name).await
    }

    async fn tenants(
        &self,
        organization: OrganizationId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Tenant>, StoreError> {
        if !self.has(Fault::SortsWithoutCase) {
            return self.inner.tenants(organization, after, limit).await;
        }
        let mut all = self.inner.tenants(organization, None, usize::MAX).await?;
        all.retain(|tenant| after.is_none_or(|after| tenant.name.to_lowercase() > after.to_lowercase()));
        all.sort_by_key(|tenant| tenant.name.to_lowercase());
        all.truncate(limit);
        Ok(all)
    }

    async fn rename_tenant(&self, id: TenantId, name: &str) -> Result<(), StoreError> {
        self.inner.rename_tenant(id, name).await
    }

    async fn delete_tenant(&self, id: TenantId) -> Result<bool, StoreError> {
        if self.has(Fault::KeepsTenants) {
            return Ok(true);
        }
        match self.inner.delete_tenant(id).await {
            Err(StoreError::NotEmpty(_)) if self.has(Fault::DeletesBusyTenants) => Ok(true),
            deleted => deleted,
        }
    }

    async fn create_invitation(&self, invitation: Invitation, hash: TokenHash) -> Result<(), StoreError> {
        self.inner.create_invitation(invitation, hash).await
    }

    async fn invitations(
        &self,
        organization: OrganizationId,
        after: Option<InvitationId>,
        limit: usize,
    ) -> Result<Vec<Invitation>, StoreError> {
        self.inner.invitations(organization, after, self.limit(Fault::EndlessInvitations, limit)).await
    }

    async fn revoke_invitation(&self, id: InvitationId) -> Result<bool, StoreError> {
        self.inner.revoke_invitation(id).await
    }

    async fn invitation(&self, hash: &TokenHash, now: Timestamp) -> Result<Option<Invitation>, StoreError> {
        let now = if self.has(Fault::NeverEndsInvitations) { Timestamp::MIN } else { now };
        self.inner.invitation(hash, now).await
    }

    async fn accept_invitation(
        &self,
        hash: &TokenHash,
        user: UserId,
        now: Timestamp,
    ) -> Result<Option<Membership>, StoreError> {
        let found = self.inner.invitation(hash, now).await?;
        let accepted = self.inner.accept_invitation(hash, user, now).await?;
        let (Some(invitation), Some(member)) = (found, accepted.clone()) else { return Ok(accepted) };
        match self.fault {
            Fault::LowersRoles => return Ok(Some(Membership { role: invitation.role, ..member })),
            Fault::AcceptsTwice => self.inner.create_invitation(invitation, *hash).await?,
            // It is there for a while yet.
            Fault::AcceptsLate => {
                let id = invitation.id;
                self.inner.create_invitation(invitation, *hash).await?;
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                self.inner.revoke_invitation(id).await?;
            }
            _ => {}
        }
        Ok(accepted)
    }
}
