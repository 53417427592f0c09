//! What changes the accounts.

use std::fmt::{self, Debug};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::account::{
    ApiKey, Invitation, LinkedAccount, Membership, Organization, Session, Tenant, TokenHash, TokenPurpose, User,
};
use crate::id::{ApiKeyId, InvitationId, OrganizationId, TenantId, UserId};

/// A token that was sent to a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::memory) struct SentToken {
    pub(in crate::memory) purpose: TokenPurpose,
    pub(in crate::memory) user: UserId,
    pub(in crate::memory) expires_at: Timestamp,
}

/// What somebody who is about to sign in comes back to.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::memory) struct BegunSignIn {
    pub(in crate::memory) data: Vec<u8>,
    pub(in crate::memory) expires_at: Timestamp,
}

impl Debug for BegunSignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BegunSignIn").field("bytes", &self.data.len()).field("expires_at", &self.expires_at).finish()
    }
}

/// What there is from now on, in the place of what had its id, or what there is no longer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::memory) enum AccountChange {
    User(User),
    Organization(Organization),
    Member(Membership),
    Tenant(Tenant),
    Invitation(TokenHash, Invitation),
    Key(TokenHash, ApiKey),
    KeyUsed(ApiKeyId, Timestamp),
    Session(TokenHash, Session),
    Token(TokenHash, SentToken),
    Link(LinkedAccount),
    SignIn(TokenHash, BegunSignIn),
    NoMember(OrganizationId, UserId),
    NoOrganization(OrganizationId),
    NoTenant(TenantId),
    NoInvitation(InvitationId),
    NoKey(ApiKeyId),
    NoSession(TokenHash),
    NoToken(TokenHash),
    NoLink { issuer: String, subject: String },
    NoSignIn(TokenHash),
}
