//! Users, organizations and tenants.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::account::{
    Invitation, LinkedAccount, Membership, Organization, Role, Tenant, TenantMember, TokenHash, User,
};
use crate::id::{InvitationId, OrganizationId, TenantId, UserId};

/// Keeps who there is. An organization has an owner at any time.
#[async_trait]
pub trait IdentityStore: Debug + Send + Sync + 'static {
    /// Makes the first user, with an organization that the user owns and a tenant of it; `false`, with nothing made, when
    /// there is a user already. Of two at once, one founds.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] when there is an organization or a tenant of this name or id, [`StoreError::Unfit`] when no
    /// store keeps a name, [`StoreError::NotFound`] when the tenant is of another organization.
    async fn found(&self, owner: User, organization: Organization, tenant: Tenant) -> Result<bool, StoreError>;

    /// Whether there is any user.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn has_users(&self) -> Result<bool, StoreError>;

    /// Keeps a new user.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] when there is a user of this id or address, [`StoreError::Unfit`] when no store keeps a text.
    async fn create_user(&self, user: User) -> Result<(), StoreError>;

    /// The user of this id.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// The user of this address: letters of ASCII are the same in either case.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError>;

    /// Puts `to` in the place of the user of the same id who is known, if that one is still as it is known; whether it was.
    /// The time of making stays. So of two who change a user at once, neither undoes what the other one did.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is none, [`StoreError::Taken`] when another one has the address,
    /// [`StoreError::Unfit`] when no store keeps a text.
    async fn change_user(&self, known: &User, to: User) -> Result<bool, StoreError>;

    /// Keeps a new user whom an account elsewhere lets in: both or neither.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] when there is a user of this id or address, or the account lets somebody in already,
    /// [`StoreError::NotFound`] when it is to let in another user, [`StoreError::Unfit`] when no store keeps a text.
    async fn create_linked_user(&self, user: User, link: LinkedAccount) -> Result<(), StoreError>;

    /// Lets a user in by an account elsewhere, beside those that do.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] when the account lets somebody in already, this user too, [`StoreError::NotFound`] when the user
    /// is not there, [`StoreError::Unfit`] when no store keeps a text.
    async fn link(&self, link: LinkedAccount) -> Result<(), StoreError>;

    /// Whom exactly this account elsewhere lets in.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn linked_user(&self, issuer: &str, subject: &str) -> Result<Option<User>, StoreError>;

    /// The accounts elsewhere that let a user in, in order of their issuers and subjects.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn links_of(&self, user: UserId) -> Result<Vec<LinkedAccount>, StoreError>;

    /// Lets this user in by that account no more; whether it did.
    ///
    /// # Errors
    ///
    /// [`StoreError::LastWayIn`] when the user has no password and no other account, also when two are removed at once.
    async fn unlink(&self, user: UserId, issuer: &str, subject: &str) -> Result<bool, StoreError>;

    /// Keeps a new organization, which this user owns.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] when there is one of this id or name, [`StoreError::NotFound`] when the user is not there,
    /// [`StoreError::Unfit`] when no store keeps a text.
    async fn create_organization(&self, organization: Organization, owner: UserId) -> Result<(), StoreError>;

    /// The organization of this id.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn organization(&self, id: OrganizationId) -> Result<Option<Organization>, StoreError>;

    /// The organization of exactly this name.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn organization_named(&self, name: &str) -> Result<Option<Organization>, StoreError>;

    /// Puts this in the place of the organization of its id; the time of making stays.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is none, [`StoreError::Taken`] when another one has the name,
    /// [`StoreError::Unfit`] when no store keeps a text.
    async fn update_organization(&self, organization: Organization) -> Result<(), StoreError>;

    /// Forgets an organization that has no tenants, with its members and its invitations; whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError::HasTenants`] when it has some, also one that is made at the same time.
    async fn delete_organization(&self, id: OrganizationId) -> Result<bool, StoreError>;

    /// The organizations that a user is a member of, in order of their names.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn organizations_of(&self, user: UserId) -> Result<Vec<(Organization, Role)>, StoreError>;

    /// The members of an organization in order of their ids: those after this one, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn members(
        &self,
        organization: OrganizationId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<(User, Membership)>, StoreError>;

    /// What a user is in an organization.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn membership(&self, organization: OrganizationId, user: UserId) -> Result<Option<Membership>, StoreError>;

    /// A user in a tenant, which is all that it takes to say what they may do there; none when either is not there, or the
    /// user is no member of the tenant's organization. Each request asks for that.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn tenant_member(&self, tenant: TenantId, user: UserId) -> Result<Option<TenantMember>, StoreError>;

    /// Adds a member, or changes the role of one; who invited whom and when stays then.
    ///
    /// # Errors
    ///
    /// [`StoreError::LastOwner`] when no owner would be left, also when two are changed at once, [`StoreError::NotFound`]
    /// when the organization or a user is not there.
    async fn set_member(&self, member: Membership) -> Result<(), StoreError>;

    /// Removes a member, and the keys that speak for the user in tenants of the organization; whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError::LastOwner`] when no owner would be left, also when two are removed at once.
    async fn remove_member(&self, organization: OrganizationId, user: UserId) -> Result<bool, StoreError>;

    /// Keeps a new tenant.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when its organization is not there, [`StoreError::Taken`] when there is a tenant of this id,
    /// or of this name in the organization, [`StoreError::Unfit`] when no store keeps the name.
    async fn create_tenant(&self, tenant: Tenant) -> Result<(), StoreError>;

    /// The tenant of this id.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, StoreError>;

    /// The tenant of exactly this name.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn tenant_named(&self, organization: OrganizationId, name: &str) -> Result<Option<Tenant>, StoreError>;

    /// The tenants of an organization in order of their names, byte by byte: those after this name, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unfit`] when no name is like that, any other [`StoreError`] when the store cannot tell.
    async fn tenants(
        &self,
        organization: OrganizationId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Tenant>, StoreError>;

    /// Gives a tenant another name.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is none, [`StoreError::Taken`] when another one of the organization has the name,
    /// [`StoreError::Unfit`] when no store keeps it.
    async fn rename_tenant(&self, id: TenantId, name: &str) -> Result<(), StoreError>;

    /// Forgets a tenant that has neither pipelines, runs nor repositories, with its keys; whether there was one. Whoever starts runs
    /// looks whether their tenant is there: a run that is made in the same moment may be left without one.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotEmpty`] when it has some.
    async fn delete_tenant(&self, id: TenantId) -> Result<bool, StoreError>;

    /// Keeps an invitation, which the token of this hash accepts.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when its organization, or who invites, is not there, [`StoreError::Taken`] when there is one
    /// of this id or hash, [`StoreError::Unfit`] when no store keeps the address.
    async fn create_invitation(&self, invitation: Invitation, hash: TokenHash) -> Result<(), StoreError>;

    /// The invitations of an organization that were not accepted, in order of their ids, those that have ended included:
    /// those after this one, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn invitations(
        &self,
        organization: OrganizationId,
        after: Option<InvitationId>,
        limit: usize,
    ) -> Result<Vec<Invitation>, StoreError>;

    /// Forgets an invitation; whether there was one. The caller has looked whose it is.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn revoke_invitation(&self, id: InvitationId) -> Result<bool, StoreError>;

    /// The invitation that the token of this hash accepts, unless it has ended.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn invitation(&self, hash: &TokenHash, now: Timestamp) -> Result<Option<Invitation>, StoreError>;

    /// Makes this user a member, once, unless the invitation has ended: what the user is from now on. One who is a member
    /// already keeps the higher role.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when the user is not there; the invitation is not used up then.
    async fn accept_invitation(
        &self,
        hash: &TokenHash,
        user: UserId,
        now: Timestamp,
    ) -> Result<Option<Membership>, StoreError>;
}

#[async_trait]
impl<T: IdentityStore + ?Sized> IdentityStore for Arc<T> {
    async fn found(&self, owner: User, organization: Organization, tenant: Tenant) -> Result<bool, StoreError> {
        (**self).found(owner, organization, tenant).await
    }

    async fn has_users(&self) -> Result<bool, StoreError> {
        (**self).has_users().await
    }

    async fn create_user(&self, user: User) -> Result<(), StoreError> {
        (**self).create_user(user).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        (**self).user(id).await
    }

    async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        (**self).user_by_email(email).await
    }

    async fn change_user(&self, known: &User, to: User) -> Result<bool, StoreError> {
        (**self).change_user(known, to).await
    }

    async fn create_linked_user(&self, user: User, link: LinkedAccount) -> Result<(), StoreError> {
        (**self).create_linked_user(user, link).await
    }

    async fn link(&self, link: LinkedAccount) -> Result<(), StoreError> {
        (**self).link(link).await
    }

    async fn linked_user(&self, issuer: &str, subject: &str) -> Result<Option<User>, StoreError> {
        (**self).linked_user(issuer, subject).await
    }

    async fn links_of(&self, user: UserId) -> Result<Vec<LinkedAccount>, StoreError> {
        (**self).links_of(user).await
    }

    async fn unlink(&self, user: UserId, issuer: &str, subject: &str) -> Result<bool, StoreError> {
        (**self).unlink(user, issuer, subject).await
    }

    async fn create_organization(&self, organization: Organization, owner: UserId) -> Result<(), StoreError> {
        (**self).create_organization(organization, owner).await
    }

    async fn organization(&self, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
        (**self).organization(id).await
    }

    async fn organization_named(&self, name: &str) -> Result<Option<Organization>, StoreError> {
        (**self).organization_named(name).await
    }

    async fn update_organization(&self, organization: Organization) -> Result<(), StoreError> {
        (**self).update_organization(organization).await
    }

    async fn delete_organization(&self, id: OrganizationId) -> Result<bool, StoreError> {
        (**self).delete_organization(id).await
    }

    async fn organizations_of(&self, user: UserId) -> Result<Vec<(Organization, Role)>, StoreError> {
        (**self).organizations_of(user).await
    }

    async fn members(
        &self,
        organization: OrganizationId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<(User, Membership)>, StoreError> {
        (**self).members(organization, after, limit).await
    }

    async fn membership(&self, organization: OrganizationId, user: UserId) -> Result<Option<Membership>, StoreError> {
        (**self).membership(organization, user).await
    }

    async fn tenant_member(&self, tenant: TenantId, user: UserId) -> Result<Option<TenantMember>, StoreError> {
        (**self).tenant_member(tenant, user).await
    }

    async fn set_member(&self, member: Membership) -> Result<(), StoreError> {
        (**self).set_member(member).await
    }

    async fn remove_member(&self, organization: OrganizationId, user: UserId) -> Result<bool, StoreError> {
        (**self).remove_member(organization, user).await
    }

    async fn create_tenant(&self, tenant: Tenant) -> Result<(), StoreError> {
        (**self).create_tenant(tenant).await
    }

    async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        (**self).tenant(id).await
    }

    async fn tenant_named(&self, organization: OrganizationId, name: &str) -> Result<Option<Tenant>, StoreError> {
        (**self).tenant_named(organization, name).await
    }

    async fn tenants(
        &self,
        organization: OrganizationId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Tenant>, StoreError> {
        (**self).tenants(organization, after, limit).await
    }

    async fn rename_tenant(&self, id: TenantId, name: &str) -> Result<(), StoreError> {
        (**self).rename_tenant(id, name).await
    }

    async fn delete_tenant(&self, id: TenantId) -> Result<bool, StoreError> {
        (**self).delete_tenant(id).await
    }

    async fn create_invitation(&self, invitation: Invitation, hash: TokenHash) -> Result<(), StoreError> {
        (**self).create_invitation(invitation, hash).await
    }

    async fn invitations(
        &self,
        organization: OrganizationId,
        after: Option<InvitationId>,
        limit: usize,
    ) -> Result<Vec<Invitation>, StoreError> {
        (**self).invitations(organization, after, limit).await
    }

    async fn revoke_invitation(&self, id: InvitationId) -> Result<bool, StoreError> {
        (**self).revoke_invitation(id).await
    }

    async fn invitation(&self, hash: &TokenHash, now: Timestamp) -> Result<Option<Invitation>, StoreError> {
        (**self).invitation(hash, now).await
    }

    async fn accept_invitation(
        &self,
        hash: &TokenHash,
        user: UserId,
        now: Timestamp,
    ) -> Result<Option<Membership>, StoreError> {
        (**self).accept_invitation(hash, user, now).await
    }
}
