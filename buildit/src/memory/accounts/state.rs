//! The accounts, as changes make them.

use std::collections::{BTreeMap, HashMap};

use super::change::{AccountChange, BegunSignIn, SentToken};
use crate::account::{ApiKey, Invitation, LinkedAccount, Membership, Organization, Session, Tenant, TokenHash, User};
use crate::id::{ApiKeyId, InvitationId, OrganizationId, TenantId, UserId};

/// Who there is, and what lets them in; by their ids, and by what they are looked for.
#[derive(Debug, Default)]
pub(in crate::memory) struct Accounts {
    pub(super) users: BTreeMap<UserId, User>,
    pub(super) emails: HashMap<String, UserId>,
    pub(super) organizations: BTreeMap<OrganizationId, Organization>,
    pub(super) organization_names: BTreeMap<String, OrganizationId>,
    pub(super) members: BTreeMap<(OrganizationId, UserId), Membership>,
    pub(super) tenants: BTreeMap<TenantId, Tenant>,
    pub(super) tenant_names: BTreeMap<(OrganizationId, String), TenantId>,
    pub(super) invitations: BTreeMap<InvitationId, (TokenHash, Invitation)>,
    pub(super) invitation_hashes: HashMap<TokenHash, InvitationId>,
    pub(super) keys: BTreeMap<ApiKeyId, (TokenHash, ApiKey)>,
    pub(super) key_hashes: HashMap<TokenHash, ApiKeyId>,
    pub(super) sessions: BTreeMap<TokenHash, Session>,
    pub(super) tokens: BTreeMap<TokenHash, SentToken>,
    /// By issuer and subject.
    pub(super) links: BTreeMap<(String, String), LinkedAccount>,
    pub(super) sign_ins: BTreeMap<TokenHash, BegunSignIn>,
}

/// What an address is found by.
pub(super) fn folded(email: &str) -> String {
    email.to_ascii_lowercase()
}

impl Accounts {
    pub(super) fn apply(&mut self, change: AccountChange) {
        match change {
            AccountChange::User(user) => self.put_user(user),
            AccountChange::Organization(organization) => self.put_organization(organization),
            AccountChange::Member(member) => {
                self.members.insert((member.organization, member.user), member);
            }
            AccountChange::Tenant(tenant) => self.put_tenant(tenant),
            AccountChange::Invitation(hash, invitation) => {
                self.invitation_hashes.insert(hash, invitation.id);
                self.invitations.insert(invitation.id, (hash, invitation));
            }
            AccountChange::Key(hash, key) => {
                self.key_hashes.insert(hash, key.id);
                self.keys.insert(key.id, (hash, key));
            }
            AccountChange::KeyUsed(id, at) => {
                if let Some((_, key)) = self.keys.get_mut(&id) {
                    key.last_used_at = key.last_used_at.max(Some(at));
                }
            }
            AccountChange::Session(hash, session) => drop(self.sessions.insert(hash, session)),
            AccountChange::Token(hash, token) => drop(self.tokens.insert(hash, token)),
            AccountChange::Link(link) => {
                self.links.insert((link.issuer.clone(), link.subject.clone()), link);
            }
            AccountChange::SignIn(hash, begun) => drop(self.sign_ins.insert(hash, begun)),
            AccountChange::NoMember(organization, user) => drop(self.members.remove(&(organization, user))),
            AccountChange::NoOrganization(id) => {
                if let Some(organization) = self.organizations.remove(&id) {
                    self.organization_names.remove(&organization.name);
                }
            }
            AccountChange::NoTenant(id) => self.remove_tenant(id),
            AccountChange::NoInvitation(id) => {
                if let Some((hash, _)) = self.invitations.remove(&id) {
                    self.invitation_hashes.remove(&hash);
                }
            }
            AccountChange::NoKey(id) => {
                if let Some((hash, _)) = self.keys.remove(&id) {
                    self.key_hashes.remove(&hash);
                }
            }
            AccountChange::NoSession(hash) => drop(self.sessions.remove(&hash)),
            AccountChange::NoToken(hash) => drop(self.tokens.remove(&hash)),
            AccountChange::NoLink { issuer, subject } => drop(self.links.remove(&(issuer, subject))),
            AccountChange::NoSignIn(hash) => drop(self.sign_ins.remove(&hash)),
        }
    }

    fn put_user(&mut self, user: User) {
        self.emails.insert(folded(&user.email), user.id);
        let now = folded(&user.email);
        if let Some(before) = self.users.insert(user.id, user)
            && folded(&before.email) != now
        {
            self.emails.remove(&folded(&before.email));
        }
    }

    fn put_organization(&mut self, organization: Organization) {
        if let Some(before) = self.organizations.get(&organization.id) {
            self.organization_names.remove(&before.name);
        }
        self.organization_names.insert(organization.name.clone(), organization.id);
        self.organizations.insert(organization.id, organization);
    }

    fn put_tenant(&mut self, tenant: Tenant) {
        self.remove_name(tenant.id);
        self.tenant_names.insert((tenant.organization, tenant.name.clone()), tenant.id);
        self.tenants.insert(tenant.id, tenant);
    }

    fn remove_tenant(&mut self, id: TenantId) {
        self.remove_name(id);
        self.tenants.remove(&id);
    }

    fn remove_name(&mut self, id: TenantId) {
        if let Some(before) = self.tenants.get(&id) {
            self.tenant_names.remove(&(before.organization, before.name.clone()));
        }
    }

    /// How much there is.
    pub(super) fn len(&self) -> usize {
        let people = self.users.len() + self.organizations.len() + self.members.len() + self.tenants.len();
        let let_in = self.keys.len() + self.sessions.len() + self.tokens.len() + self.links.len() + self.sign_ins.len();
        people + self.invitations.len() + let_in
    }

    /// Changes that lead here.
    pub(super) fn as_changes(&self) -> Vec<AccountChange> {
        let mut changes: Vec<AccountChange> = self.users.values().cloned().map(AccountChange::User).collect();
        changes.extend(self.organizations.values().cloned().map(AccountChange::Organization));
        changes.extend(self.members.values().cloned().map(AccountChange::Member));
        changes.extend(self.tenants.values().cloned().map(AccountChange::Tenant));
        let invitations = self.invitations.values().cloned();
        changes.extend(invitations.map(|(hash, invitation)| AccountChange::Invitation(hash, invitation)));
        changes.extend(self.keys.values().cloned().map(|(hash, key)| AccountChange::Key(hash, key)));
        let sessions = self.sessions.iter();
        changes.extend(sessions.map(|(hash, session)| AccountChange::Session(*hash, session.clone())));
        changes.extend(self.tokens.iter().map(|(hash, token)| AccountChange::Token(*hash, token.clone())));
        changes.extend(self.links.values().cloned().map(AccountChange::Link));
        changes.extend(self.sign_ins.iter().map(|(hash, begun)| AccountChange::SignIn(*hash, begun.clone())));
        changes
    }
}
