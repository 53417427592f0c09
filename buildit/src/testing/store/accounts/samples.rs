//! Who is in the clauses.

use crate::account::{Invitation, LinkedAccount, Membership, Organization, Role, Tenant, TokenHash, User};
use crate::id::{InvitationId, OrganizationId, TenantId, UserId};
use crate::store::{IdentityStore, StoreError};
use crate::testing::store::samples::at;

/// A user of this name, whose address follows from it.
pub(super) fn user(name: &str) -> User {
    User {
        id: UserId::new(),
        email: format!("{name}@example.org"),
        email_verified: true,
        name: name.to_owned(),
        password_hash: Some("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".into()),
        created_at: at(1),
    }
}

pub(super) fn organization(name: &str) -> Organization {
    Organization {
        id: OrganizationId::new(),
        name: name.to_owned(),
        plan: "team".into(),
        billing_email: Some("bills@example.org".into()),
        created_at: at(2),
    }
}

pub(super) fn tenant(organization: OrganizationId, name: &str) -> Tenant {
    Tenant { id: TenantId::new(), organization, name: name.to_owned(), created_at: at(3) }
}

pub(super) fn member(organization: OrganizationId, user: UserId, role: Role) -> Membership {
    Membership { organization, user, role, invited_by: None, created_at: at(4) }
}

/// An invitation that ends at second 100.
pub(super) fn invitation(organization: OrganizationId, role: Role) -> Invitation {
    Invitation {
        id: InvitationId::new(),
        organization,
        email: "new@example.org".into(),
        role,
        invited_by: None,
        created_at: at(5),
        expires_at: at(100),
    }
}

/// An account of this subject at `https://id.example` that lets a user in.
pub(super) fn link(user: UserId, subject: &str) -> LinkedAccount {
    LinkedAccount {
        issuer: "https://id.example".into(),
        subject: subject.to_owned(),
        user,
        label: "her@\u{fc}.example".into(),
        created_at: at(6),
    }
}

pub(super) fn hash(number: u8) -> TokenHash {
    TokenHash([number; 32])
}

/// A user who is kept.
pub(super) async fn kept_user(store: &(impl IdentityStore + ?Sized), name: &str) -> Result<UserId, StoreError> {
    let user = user(name);
    let id = user.id;
    store.create_user(user).await.map(|()| id)
}

/// An organization that is kept, with a user of its name who owns it.
pub(super) async fn kept_organization(
    store: &(impl IdentityStore + ?Sized),
    name: &str,
) -> Result<(OrganizationId, UserId), StoreError> {
    let owner = kept_user(store, name).await?;
    let organization = organization(name);
    let id = organization.id;
    store.create_organization(organization, owner).await.map(|()| (id, owner))
}

/// A tenant that is kept, of a new organization.
pub(super) async fn kept_tenant(
    store: &(impl IdentityStore + ?Sized),
    name: &str,
) -> Result<(TenantId, OrganizationId, UserId), StoreError> {
    let (organization, owner) = kept_organization(store, name).await?;
    let tenant = tenant(organization, name);
    let id = tenant.id;
    store.create_tenant(tenant).await.map(|()| (id, organization, owner))
}

/// Two calls at the same time; the first one begins late, but before the other one ends if that has to wait.
pub(super) async fn at_once<T, U>(one: impl Future<Output = T>, two: impl Future<Output = U>) -> (T, U) {
    let one = async {
        tokio::task::yield_now().await;
        one.await
    };
    tokio::join!(one, two)
}
