//! What must be there when a store is opened again.

use std::sync::Arc;

use super::samples::{hash, invitation, kept_user, link, organization, tenant, user};
use crate::account::{ApiKey, AuditEntry, Role, Session, TokenPurpose};
use crate::id::{ApiKeyId, TenantId};
use crate::store::{AccountStore, AuditFilter};
use crate::testing::store::Violation;
use crate::testing::store::clause::{Broken, ensure, ensure_eq};
use crate::testing::store::samples::at;

/// The name of the clause.
pub(in crate::testing::store) const CLAUSE: &str = "accounts_are_there_when_the_store_is_opened_again";

pub(in crate::testing::store) async fn check(open: impl AsyncFn() -> Arc<dyn AccountStore>) -> Result<(), Violation> {
    try_out(open).await.map_err(|broken| Violation { clause: CLAUSE, what: broken.0 })
}

fn key(tenant: TenantId) -> ApiKey {
    let (name, prefix) = ("key".to_owned(), "bi_1".to_owned());
    let (id, scopes, created_at) = (ApiKeyId::new(), vec!["runs".to_owned()], at(1));
    ApiKey {
        id,
        tenant,
        user: None,
        name,
        prefix,
        role: Role::Admin,
        scopes,
        expires_at: None,
        last_used_at: None,
        created_at,
    }
}

async fn try_out(open: impl AsyncFn() -> Arc<dyn AccountStore>) -> Result<(), Broken> {
    let store = open().await;
    let (ada, shop) = (user("ada"), organization("shop"));
    let (web, gone) = (tenant(shop.id, "web"), tenant(shop.id, "gone"));
    store.found(ada.clone(), shop.clone(), web.clone()).await?;
    let bob = kept_user(&*store, "bob").await?;
    store.create_tenant(gone.clone()).await?;
    store.delete_tenant(gone.id).await?;
    let closed = organization("closed");
    store.create_organization(closed.clone(), ada.id).await?;
    store.delete_organization(closed.id).await?;
    let key = key(web.id);
    store.create_key(key.clone(), hash(1)).await?;
    let session = Session { user: ada.id, data: vec![1, 2], created_at: at(1), expires_at: at(100) };
    store.put_session(hash(2), session.clone()).await?;
    store.create_token(hash(3), TokenPurpose::VerifyEmail, bob, at(100)).await?;
    store.create_token(hash(4), TokenPurpose::VerifyEmail, bob, at(100)).await?;
    store.take_token(&hash(4), TokenPurpose::VerifyEmail, at(1)).await?;
    for subject in ["1", "2"] {
        store.link(link(bob, subject)).await?;
    }
    store.unlink(bob, "https://id.example", "2").await?;
    store.begin_sign_in(hash(6), vec![3, 4], at(100)).await?;
    store.begin_sign_in(hash(7), vec![5], at(100)).await?;
    store.take_sign_in(&hash(7), at(1)).await?;
    let invited = invitation(shop.id, Role::Viewer);
    store.create_invitation(invited.clone(), hash(5)).await?;
    let (actor, action, subject) = ("ada".to_owned(), "made".to_owned(), "it".to_owned());
    let details = serde_json::Map::new();
    store.audit(AuditEntry { time: at(1), organization: None, tenant: None, actor, action, subject, details }).await?;
    let log = store.audit_log(AuditFilter::default(), None, 9).await?;
    drop(store);

    let store = open().await;
    ensure!(!store.found(user("eve"), organization("e"), tenant(shop.id, "e")).await?, "it was founded again");
    ensure_eq!(store.user_by_email("ADA@example.org").await?, Some(ada.clone()), "the user");
    ensure_eq!(store.organization_named("shop").await?, Some(shop.clone()), "the organization");
    ensure_eq!(store.organization(closed.id).await?, None, "the organization that was deleted");
    let role = store.membership(shop.id, ada.id).await?.map(|member| member.role);
    ensure_eq!(role, Some(Role::Owner), "the role");
    ensure_eq!(store.tenants(shop.id, None, 9).await?, [web], "the tenants");
    ensure_eq!(store.key(&hash(1)).await?, Some(key), "the key");
    ensure!(store.session(&hash(2), at(1)).await? == Some(session), "the session is another one");
    ensure_eq!(store.take_token(&hash(3), TokenPurpose::VerifyEmail, at(1)).await?, Some(bob), "the token");
    ensure_eq!(store.take_token(&hash(4), TokenPurpose::VerifyEmail, at(1)).await?, None, "what was taken");
    ensure_eq!(store.links_of(bob).await?, [link(bob, "1")], "the links");
    ensure_eq!(store.take_sign_in(&hash(6), at(1)).await?, Some(vec![3, 4]), "what was begun");
    ensure_eq!(store.take_sign_in(&hash(7), at(1)).await?, None, "what was begun and taken");
    ensure_eq!(store.invitation(&hash(5), at(1)).await?, Some(invited), "the invitation");
    ensure_eq!(store.audit_log(AuditFilter::default(), None, 9).await?, log, "the audit log");
    Ok(())
}
