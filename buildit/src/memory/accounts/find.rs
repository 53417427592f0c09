//! What is looked for among the accounts, and what is refused.

use std::ops::Bound;

use jiff::Timestamp;

use super::change::{AccountChange, BegunSignIn, SentToken};
use super::state::{Accounts, folded};
use crate::account::{
    ApiKey, Invitation, LinkedAccount, Membership, Organization, Role, Session, Tenant, TenantMember, TokenHash,
    TokenPurpose, User,
};
use crate::id::{ApiKeyId, InvitationId, OrganizationId, TenantId, UserId};
use crate::store::StoreError;

/// Refuses what is not there.
fn there(is_there: bool, what: impl FnOnce() -> String) -> Result<(), StoreError> {
    if is_there { Ok(()) } else { Err(StoreError::NotFound(what())) }
}

/// Refuses what somebody else has.
fn free<T: PartialEq>(holder: Option<&T>, own: Option<&T>, what: impl FnOnce() -> String) -> Result<(), StoreError> {
    if holder.is_none() || holder == own { Ok(()) } else { Err(StoreError::Taken(what())) }
}

fn page<V>(values: impl Iterator<Item = V>, limit: usize) -> Vec<V> {
    values.take(limit).collect()
}

fn after<K>(key: Option<K>) -> (Bound<K>, Bound<K>) {
    (key.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

impl Accounts {
    pub(in crate::memory) fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    pub(in crate::memory) fn user(&self, id: UserId) -> Option<&User> {
        self.users.get(&id)
    }

    pub(in crate::memory) fn user_by_email(&self, email: &str) -> Option<&User> {
        self.emails.get(&folded(email)).and_then(|id| self.users.get(id))
    }

    pub(in crate::memory) fn organization(&self, id: OrganizationId) -> Option<&Organization> {
        self.organizations.get(&id)
    }

    pub(in crate::memory) fn organization_named(&self, name: &str) -> Option<&Organization> {
        self.organization_names.get(name).and_then(|id| self.organizations.get(id))
    }

    pub(in crate::memory) fn organizations_of(&self, user: UserId) -> Vec<(Organization, Role)> {
        let all = self.organization_names.values().filter_map(|id| self.organizations.get(id));
        all.filter_map(|found| Some((found.clone(), self.membership(found.id, user)?.role))).collect()
    }

    pub(in crate::memory) fn membership(&self, organization: OrganizationId, user: UserId) -> Option<&Membership> {
        self.members.get(&(organization, user))
    }

    pub(in crate::memory) fn tenant_member(&self, tenant: TenantId, user: UserId) -> Option<TenantMember> {
        let tenant = self.tenant(tenant)?.clone();
        let role = self.membership(tenant.organization, user)?.role;
        Some(TenantMember { tenant, user: self.user(user)?.clone(), role })
    }

    pub(in crate::memory) fn members(
        &self,
        organization: OrganizationId,
        after: Option<UserId>,
        limit: usize,
    ) -> Vec<(User, Membership)> {
        let nil = (organization, uuid::Uuid::nil().into());
        let from = after.map_or(Bound::Included(nil), |user| Bound::Excluded((organization, user)));
        let these = self.members.range((from, Bound::Unbounded));
        let these = these.take_while(|((of, _), _)| *of == organization);
        page(these.filter_map(|((_, user), member)| Some((self.users.get(user)?.clone(), member.clone()))), limit)
    }

    pub(in crate::memory) fn tenant(&self, id: TenantId) -> Option<&Tenant> {
        self.tenants.get(&id)
    }

    pub(in crate::memory) fn tenant_named(&self, organization: OrganizationId, name: &str) -> Option<&Tenant> {
        self.tenant_names.get(&(organization, name.to_owned())).and_then(|id| self.tenants.get(id))
    }

    pub(in crate::memory) fn tenants(
        &self,
        organization: OrganizationId,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<Tenant> {
        let first = (organization, after.unwrap_or_default().to_owned());
        let from = if after.is_some() { Bound::Excluded(first) } else { Bound::Included(first) };
        let these = self.tenant_names.range((from, Bound::Unbounded));
        let these = these.take_while(|((of, _), _)| *of == organization);
        page(these.filter_map(|(_, id)| self.tenants.get(id).cloned()), limit)
    }

    pub(in crate::memory) fn invitations(
        &self,
        organization: OrganizationId,
        from: Option<InvitationId>,
        limit: usize,
    ) -> Vec<Invitation> {
        let these = self.invitations.range(after(from)).map(|(_, (_, invitation))| invitation);
        page(these.filter(|invitation| invitation.organization == organization).cloned(), limit)
    }

    pub(in crate::memory) fn has_invitation(&self, id: InvitationId) -> bool {
        self.invitations.contains_key(&id)
    }

    pub(in crate::memory) fn invitation(&self, hash: &TokenHash, now: Timestamp) -> Option<&Invitation> {
        let (_, invitation) = self.invitations.get(self.invitation_hashes.get(hash)?)?;
        (now < invitation.expires_at).then_some(invitation)
    }

    pub(in crate::memory) fn key(&self, hash: &TokenHash) -> Option<&ApiKey> {
        self.key_hashes.get(hash).and_then(|id| self.keys.get(id)).map(|(_, key)| key)
    }

    pub(in crate::memory) fn key_of(&self, id: ApiKeyId) -> Option<&ApiKey> {
        self.keys.get(&id).map(|(_, key)| key)
    }

    pub(in crate::memory) fn keys(&self, tenant: TenantId, from: Option<ApiKeyId>, limit: usize) -> Vec<ApiKey> {
        let these = self.keys.range(after(from)).map(|(_, (_, key))| key);
        page(these.filter(|key| key.tenant == tenant).cloned(), limit)
    }

    pub(in crate::memory) fn session(&self, hash: &TokenHash) -> Option<&Session> {
        self.sessions.get(hash)
    }

    pub(in crate::memory) fn token(&self, hash: &TokenHash) -> Option<&SentToken> {
        self.tokens.get(hash)
    }

    pub(in crate::memory) fn linked(&self, issuer: &str, subject: &str) -> Option<&LinkedAccount> {
        self.links.get(&(issuer.to_owned(), subject.to_owned()))
    }

    pub(in crate::memory) fn links_of(&self, user: UserId) -> impl Iterator<Item = &LinkedAccount> {
        self.links.values().filter(move |link| link.user == user)
    }

    pub(in crate::memory) fn sign_in(&self, hash: &TokenHash) -> Option<&BegunSignIn> {
        self.sign_ins.get(hash)
    }

    /// Refuses an account elsewhere that lets somebody in.
    pub(in crate::memory) fn check_new_link(&self, link: &LinkedAccount) -> Result<(), StoreError> {
        let there = self.linked(&link.issuer, &link.subject).map(|_| ());
        free(there.as_ref(), None, || format!("the account at `{}`", link.issuer))
    }

    /// Refuses to leave a user without a way in but for this one.
    pub(in crate::memory) fn check_other_way_in(&self, link: &LinkedAccount) -> Result<(), StoreError> {
        let has_password = self.users.get(&link.user).is_some_and(|user| user.password_hash.is_some());
        let has_other = has_password || self.links_of(link.user).any(|other| other != link);
        if has_other { Ok(()) } else { Err(StoreError::LastWayIn) }
    }

    /// Refuses an address that another user has.
    pub(in crate::memory) fn check_email(&self, user: &User) -> Result<(), StoreError> {
        let what = || format!("the address `{}`", user.email);
        free(self.emails.get(&folded(&user.email)), Some(&user.id), what)
    }

    /// Refuses a user that cannot be new.
    pub(in crate::memory) fn check_new_user(&self, user: &User) -> Result<(), StoreError> {
        free(self.users.get(&user.id), None, || format!("the id of user {}", user.id))?;
        self.check_email(user)
    }

    pub(in crate::memory) fn check_user(&self, id: UserId) -> Result<(), StoreError> {
        there(self.users.contains_key(&id), || format!("user {id}"))
    }

    /// Refuses a name that another organization has.
    pub(in crate::memory) fn check_organization_name(&self, organization: &Organization) -> Result<(), StoreError> {
        let Organization { id, name, .. } = organization;
        free(self.organization_names.get(name), Some(id), || format!("the name `{name}`"))
    }

    /// Refuses an organization that cannot be new.
    pub(in crate::memory) fn check_new_organization(&self, organization: &Organization) -> Result<(), StoreError> {
        let what = || format!("the id of organization {}", organization.id);
        free(self.organizations.get(&organization.id), None, what)?;
        self.check_organization_name(organization)
    }

    pub(in crate::memory) fn check_organization(&self, id: OrganizationId) -> Result<(), StoreError> {
        there(self.organizations.contains_key(&id), || format!("organization {id}"))
    }

    /// Refuses a name that another tenant of the organization has.
    pub(in crate::memory) fn check_tenant_name(&self, tenant: &Tenant) -> Result<(), StoreError> {
        let Tenant { id, organization, name, .. } = tenant;
        free(self.tenant_names.get(&(*organization, name.clone())), Some(id), || format!("the name `{name}`"))
    }

    /// Refuses a tenant that cannot be new.
    pub(in crate::memory) fn check_new_tenant(&self, tenant: &Tenant) -> Result<(), StoreError> {
        free(self.tenants.get(&tenant.id), None, || format!("the id of tenant {}", tenant.id))?;
        self.check_tenant_name(tenant)
    }

    /// Refuses to leave an organization without the last of its owners.
    pub(in crate::memory) fn check_not_last(
        &self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<(), StoreError> {
        let owners = self.members(organization, None, usize::MAX);
        let mut owners = owners.iter().filter(|(_, member)| member.role == Role::Owner).map(|(user, _)| user.id);
        match owners.next() {
            Some(first) if first == user && owners.next().is_none() => Err(StoreError::LastOwner),
            _ => Ok(()),
        }
    }

    /// Refuses an invitation that cannot be new.
    pub(in crate::memory) fn check_new_invitation(
        &self,
        invitation: &Invitation,
        hash: &TokenHash,
    ) -> Result<(), StoreError> {
        self.check_organization(invitation.organization)?;
        invitation.invited_by.map_or(Ok(()), |user| self.check_user(user))?;
        let id = self.invitations.get(&invitation.id).map(|_| &invitation.id);
        free(id.or(self.invitation_hashes.get(hash)), None, || "the id or the token of the invitation".to_owned())
    }

    /// Refuses a key that cannot be new.
    pub(in crate::memory) fn check_new_key(&self, key: &ApiKey, hash: &TokenHash) -> Result<(), StoreError> {
        there(self.tenants.contains_key(&key.tenant), || format!("tenant {}", key.tenant))?;
        key.user.map_or(Ok(()), |user| self.check_user(user))?;
        let id = self.keys.get(&key.id).map(|_| &key.id);
        free(id.or(self.key_hashes.get(hash)), None, || "the id or the token of the key".to_owned())
    }

    /// What forgets these keys.
    pub(in crate::memory) fn without_keys(&self, which: impl Fn(&ApiKey) -> bool) -> Vec<AccountChange> {
        let these = self.keys.values().filter(|(_, key)| which(key));
        these.map(|(_, key)| AccountChange::NoKey(key.id)).collect()
    }

    /// What forgets an organization, which has no tenants, and who belongs to it.
    pub(in crate::memory) fn without_organization(&self, id: OrganizationId) -> Vec<AccountChange> {
        let members = self.members.keys().filter(|(organization, _)| *organization == id);
        let mut changes: Vec<_> = members.map(|(_, user)| AccountChange::NoMember(id, *user)).collect();
        let invitations = self.invitations(id, None, usize::MAX);
        changes.extend(invitations.into_iter().map(|invitation| AccountChange::NoInvitation(invitation.id)));
        changes.push(AccountChange::NoOrganization(id));
        changes
    }

    /// The organization of a tenant.
    pub(in crate::memory) fn organization_of(&self, tenant: TenantId) -> Option<OrganizationId> {
        self.tenants.get(&tenant).map(|tenant| tenant.organization)
    }

    /// What forgets the sessions of a user.
    pub(in crate::memory) fn without_sessions(&self, user: UserId) -> Vec<AccountChange> {
        let these = self.sessions.iter().filter(|(_, session)| session.user == user);
        these.map(|(hash, _)| AccountChange::NoSession(*hash)).collect()
    }

    /// What forgets the tokens of a user.
    pub(in crate::memory) fn without_tokens(&self, user: UserId, purpose: TokenPurpose) -> Vec<AccountChange> {
        let these = self.tokens.iter().filter(|(_, token)| token.user == user && token.purpose == purpose);
        these.map(|(hash, _)| AccountChange::NoToken(*hash)).collect()
    }

    /// What forgets what has ended; at most `limit` changes.
    pub(in crate::memory) fn without_ended(&self, now: Timestamp, limit: usize) -> Vec<AccountChange> {
        let sessions = self.sessions.iter().filter(|(_, session)| session.expires_at <= now);
        let tokens = self.tokens.iter().filter(|(_, token)| token.expires_at <= now);
        let invitations = self.invitations.values().filter(|(_, invitation)| invitation.expires_at <= now);
        let sessions = sessions.map(|(hash, _)| AccountChange::NoSession(*hash));
        let tokens = tokens.map(|(hash, _)| AccountChange::NoToken(*hash));
        let invitations = invitations.map(|(_, invitation)| AccountChange::NoInvitation(invitation.id));
        let sign_ins = self.sign_ins.iter().filter(|(_, begun)| begun.expires_at <= now);
        let sign_ins = sign_ins.map(|(hash, _)| AccountChange::NoSignIn(*hash));
        sessions.chain(tokens).chain(invitations).chain(sign_ins).take(limit).collect()
    }
}
