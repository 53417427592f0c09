//! Accounts whose tokens are the secret.

use buildit::account::{
    ApiKey, AuditEntry, Invitation, Organization, Role, Session, Tenant, TokenHash, TokenPurpose, User,
};
use buildit::id::{ApiKeyId, InvitationId, OrganizationId, TenantId, UserId};
use buildit::store::AccountStore;
use jiff::Timestamp;

use crate::search::{PLANTED, TOKEN};

/// A digest of the token; which one it is, is the caller's.
fn hash() -> TokenHash {
    TokenHash(*blake3::hash(TOKEN.as_bytes()).as_bytes())
}

/// Keeps all that a token opens, uses some of it, and looks for some that is not there.
pub(crate) async fn fill(store: &dyn AccountStore) {
    let (now, later) = (Timestamp::UNIX_EPOCH, Timestamp::constant(1, 0));
    let (user, organization, tenant) = (UserId::new(), OrganizationId::new(), TenantId::new());
    let ada = User {
        id: user,
        email: "ada@example.org".into(),
        email_verified: true,
        name: "Ada".into(),
        password_hash: Some("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".into()),
        created_at: now,
    };
    let shop = Organization {
        id: organization,
        name: "shop".into(),
        plan: "free".into(),
        billing_email: None,
        created_at: now,
    };
    let web = Tenant { id: tenant, organization, name: "web".into(), created_at: now };
    assert!(store.found(ada, shop, web).await.unwrap());
    let key = ApiKey {
        id: ApiKeyId::new(),
        tenant,
        user: Some(user),
        name: "deploys".into(),
        prefix: PLANTED.into(),
        role: Role::Member,
        scopes: Vec::new(),
        expires_at: None,
        last_used_at: None,
        created_at: now,
    };
    store.create_key(key, hash()).await.unwrap();
    assert!(store.key(&hash()).await.unwrap().is_some());
    let session = Session { user, data: b"data".to_vec(), created_at: now, expires_at: later };
    store.put_session(hash(), session).await.unwrap();
    store.create_token(hash(), TokenPurpose::ResetPassword, user, later).await.unwrap();
    assert_eq!(store.take_token(&hash(), TokenPurpose::VerifyEmail, now).await.unwrap(), None);
    let invitation = Invitation {
        id: InvitationId::new(),
        organization,
        email: "bob@example.org".into(),
        role: Role::Viewer,
        invited_by: Some(user),
        created_at: now,
        expires_at: later,
    };
    store.create_invitation(invitation, hash()).await.unwrap();
    let (actor, action, subject) = ("ada".to_owned(), "key.create".to_owned(), PLANTED.to_owned());
    let details = serde_json::Map::new();
    let organization = Some(organization);
    store.audit(AuditEntry { time: now, organization, tenant: None, actor, action, subject, details }).await.unwrap();
}
