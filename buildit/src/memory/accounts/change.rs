//! What changes the accounts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::account::{ApiKey, Invitation, Membership, Organization, Session, Tenant, TokenHash, TokenPurpose, User};
use crate::id::{ApiKeyId, InvitationId, OrganizationId, TenantId, UserId};

/// A token that was sent to a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::memory) struct SentToken {
    pub(in crate::memory) purpose: TokenPurpose,
    pub(in crate::memory) user: UserId,
    pub(in crate::memory) expires_at: Timestamp,
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
    NoMember(OrganizationId, UserId),
    NoTenant(TenantId),
    NoInvitation(InvitationId),
    NoKey(ApiKeyId),
    NoSession(TokenHash),
    NoToken(TokenHash),
}
