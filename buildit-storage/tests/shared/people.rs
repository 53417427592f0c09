//! An organization with an owner, an invited member and a key.

use buildit::account::{ApiKey, Membership, Organization, Role, Tenant, TokenHash, User};
use buildit::id::{ApiKeyId, OrganizationId, TenantId, UserId};
use buildit::store::AccountStore;

use crate::at;

/// The columns of accounts that people name in queries of their own, each with a value of [`fill`] that it holds.
pub(crate) const COLUMNS: &str = "SELECT o.plan, o.billing_email, m.role, i.email, k.key_prefix, k.scopes
    FROM organizations o
    JOIN org_memberships m ON m.organization_id = o.id
    JOIN users u ON u.id = m.user_id
    JOIN users i ON i.id = m.invited_by
    JOIN tenants t ON t.organization_id = o.id
    JOIN api_keys k ON k.tenant_id = t.id
    WHERE u.email_verified AND k.key_hash IS NOT NULL AND k.expires_at IS NOT NULL";

/// What that finds.
pub(crate) type Found = (String, String, String, String, String, String);

/// What it ought to find.
pub(crate) fn expected() -> Found {
    ["team", "bills@example.org", "member", "ada@example.org", "bi_a1b2", r#"["runs"]"#].map(str::to_owned).into()
}

fn user(name: &str) -> User {
    let (id, email) = (UserId::new(), format!("{name}@example.org"));
    User { id, email, email_verified: true, name: name.into(), password_hash: None, created_at: at(0) }
}

pub(crate) async fn fill(store: &dyn AccountStore) {
    let (ada, bob) = (user("ada"), user("bob"));
    let (organization, tenant) = (OrganizationId::new(), TenantId::new());
    let shop = Organization {
        id: organization,
        name: "shop".into(),
        plan: "team".into(),
        billing_email: Some("bills@example.org".into()),
        created_at: at(0),
    };
    let web = Tenant { id: tenant, organization, name: "web".into(), created_at: at(0) };
    assert!(store.found(ada.clone(), shop, web).await.unwrap());
    store.create_user(bob.clone()).await.unwrap();
    let (invited_by, created_at) = (Some(ada.id), at(0));
    let member = Membership { organization, user: bob.id, role: Role::Member, invited_by, created_at };
    store.set_member(member).await.unwrap();
    let key = ApiKey {
        id: ApiKeyId::new(),
        tenant,
        user: None,
        name: "deploys".into(),
        prefix: "bi_a1b2".into(),
        role: Role::Member,
        scopes: vec!["runs".into()],
        expires_at: Some(at(9)),
        last_used_at: None,
        created_at: at(0),
    };
    store.create_key(key, TokenHash([1; 32])).await.unwrap();
}
