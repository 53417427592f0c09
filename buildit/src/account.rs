//! Who there is and what lets them in: plain data, which an [`AccountStore`](crate::store::AccountStore) keeps.
//!
//! An [`Organization`] owns [`Tenant`]s, the workspaces in which pipelines run; a [`User`] is a member of organizations
//! with a [`Role`]. What lets somebody in (an [`ApiKey`], a [`Session`], the link of an [`Invitation`]) is a token that
//! is shown once. A store knows its [`TokenHash`] alone.

use std::fmt::{self, Debug};
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{ApiKeyId, Digest, InvitationId, OrganizationId, TenantId, UserId};

/// What somebody may do. Each may do what the one before it may.
///
/// ```
/// use buildit::account::Role;
///
/// assert!(Role::Admin > Role::Member);
/// assert_eq!("owner".parse(), Ok(Role::Owner));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks at everything but secrets.
    Viewer,
    /// Runs pipelines, and answers approvals.
    Member,
    /// Changes pipelines, secrets, keys and members.
    Admin,
    /// Changes the organization itself, and who owns it.
    Owner,
}

impl Role {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no [`Role`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role: it is `viewer`, `member`, `admin` or `owner`")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(word: &str) -> Result<Self, UnknownRole> {
        let all = [Self::Viewer, Self::Member, Self::Admin, Self::Owner];
        all.into_iter().find(|role| role.as_str() == word).ok_or_else(|| UnknownRole(word.to_owned()))
    }
}

/// What owns tenants, and pays for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its name, which no other one has.
    pub name: String,
    /// What it has paid for, in a word of the server's.
    pub plan: String,
    /// Where bills go.
    pub billing_email: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A person who can sign in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The address, which no other user has: letters of ASCII are the same in either case.
    pub email: String,
    /// Whether the user has shown that mail to the address arrives.
    pub email_verified: bool,
    /// What the user is called.
    pub name: String,
    /// The password as a password hash says it (Argon2, with its salt); `None` for one who cannot sign in with any.
    pub password_hash: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut user = f.debug_struct("User");
        user.field("id", &self.id).field("email", &self.email).field("email_verified", &self.email_verified);
        user.field("name", &self.name).field("has_password", &self.password_hash.is_some());
        user.field("created_at", &self.created_at).finish()
    }
}

/// An account elsewhere that lets a user in: what OpenID Connect calls a subject of an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedAccount {
    /// Who vouches for it, by its address.
    pub issuer: String,
    /// The account, as the issuer calls it for programs: no other one there has the same, at any time.
    pub subject: String,
    /// Whom it lets in.
    pub user: UserId,
    /// What people know it by, an address perhaps; it says nothing to programs, and may be empty.
    pub label: String,
    /// Since when.
    pub created_at: Timestamp,
}

/// That a user belongs to an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Which organization.
    pub organization: OrganizationId,
    /// Who.
    pub user: UserId,
    /// What the user may do there.
    pub role: Role,
    /// Who asked the user in.
    pub invited_by: Option<UserId>,
    /// Since when.
    pub created_at: Timestamp,
}

/// A user in a tenant, as a member of its organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantMember {
    /// Where.
    pub tenant: Tenant,
    /// Who.
    pub user: User,
    /// What the user may do there.
    pub role: Role,
}

/// A workspace of an organization. Its share of the workers is the queue's:
/// [`QueueStore::set_share`](crate::store::QueueStore::set_share).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its name, which no other one of the organization has.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Somebody is asked to become a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// Of which organization.
    pub organization: OrganizationId,
    /// The address that its token was sent to. Whoever has the token accepts it, with any account.
    pub email: String,
    /// What the member may do.
    pub role: Role,
    /// Who asks.
    pub invited_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is void.
    pub expires_at: Timestamp,
}

/// A key for programs: what is known of it beside its [`TokenHash`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// The tenant that it opens, and no other one.
    pub tenant: TenantId,
    /// The user that it speaks for; `None` for one of the tenant itself.
    pub user: Option<UserId>,
    /// What it is for, in the words of whoever made it.
    pub name: String,
    /// The part of the key that may be shown, to tell it from others.
    pub prefix: String,
    /// What it may do.
    pub role: Role,
    /// What it is good for, in words of the server's; empty for all that its role may.
    pub scopes: Vec<String>,
    /// From when on it is void; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// When it was used last, as far as that was noted.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The SHA-256 digest of a token. Whoever has the token finds what it opens; whoever has the digest finds no token.
///
/// A token is at least 128 random bits: a plain digest is no protection of what can be guessed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// The raw 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for TokenHash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash")
    }
}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Digest::from(self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Digest::deserialize(deserializer).map(|digest| Self(*digest.as_bytes()))
    }
}

/// What a token that is sent to a user is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenPurpose {
    /// To set another password.
    ResetPassword,
    /// To show that mail arrives.
    VerifyEmail,
}

impl TokenPurpose {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ResetPassword => "reset_password",
            Self::VerifyEmail => "verify_email",
        }
    }
}

/// Somebody has signed in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Who.
    pub user: UserId,
    /// What the server keeps with it.
    pub data: Vec<u8>,
    /// When it began.
    pub created_at: Timestamp,
    /// From when on it is void.
    pub expires_at: Timestamp,
}

impl Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut session = f.debug_struct("Session");
        session.field("user", &self.user).field("bytes", &self.data.len());
        session.field("created_at", &self.created_at).field("expires_at", &self.expires_at).finish()
    }
}

/// Somebody did something. No part of it holds a secret: it is for people to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub time: Timestamp,
    /// In which organization; `None` for none.
    pub organization: Option<OrganizationId>,
    /// In which tenant; `None` for none.
    pub tenant: Option<TenantId>,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// More about it.
    pub details: serde_json::Map<String, serde_json::Value>,
}

/// An entry where it is in the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its place: larger for later ones.
    pub place: u64,
    /// What happened.
    pub entry: AuditEntry,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_the_one_before_it_may() {
        let roles = [Role::Viewer, Role::Member, Role::Admin, Role::Owner];
        assert!(roles.is_sorted());
        assert_eq!(roles.map(|role| role.as_str().parse()), roles.map(Ok));
        let words = roles.map(|role| serde_json::to_value(role).unwrap());
        assert_eq!(words, roles.map(|role| serde_json::Value::from(role.as_str())));
        assert!("root".parse::<Role>().unwrap_err().to_string().contains("`root`"));
    }

    #[test]
    fn what_opens_something_is_not_printed() {
        let time = Timestamp::UNIX_EPOCH;
        let user = User {
            id: UserId::new(),
            email: "ada@example.org".into(),
            email_verified: true,
            name: "Ada".into(),
            password_hash: Some("$argon2id$hidden".into()),
            created_at: time,
        };
        assert!(!format!("{user:?}").contains("argon"), "{user:?}");
        let session = Session { user: user.id, data: vec![171; 3], created_at: time, expires_at: time };
        assert!(!format!("{session:?}").contains("171"), "{session:?}");
        let hash = TokenHash([171; 32]);
        assert_eq!(format!("{hash:?}"), "TokenHash");
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!((json.len(), serde_json::from_str(&json).ok()), (66, Some(hash)));
    }
}
