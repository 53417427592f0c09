//! Clauses about who belongs to an organization.

use std::sync::Arc;

use super::samples::{at_once, kept_organization, kept_user, member, tenant};
use crate::account::{Membership, Role, TenantMember};
use crate::id::{OrganizationId, TenantId, UserId};
use crate::store::{IdentityStore, StoreError};
use crate::testing::store::Clause;
use crate::testing::store::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use crate::testing::store::samples::at;

pub(in crate::testing::store) fn clauses() -> Vec<Clause<dyn IdentityStore>> {
    clauses![
        a_member_has_a_role_that_changes,
        a_member_is_one_in_each_tenant_of_the_organization,
        members_are_listed_in_pages,
        an_organization_keeps_an_owner,
        of_two_owners_who_leave_at_once_one_stays,
    ]
}

async fn a_member_has_a_role_that_changes(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (shop, ada) = kept_organization(&*store, "ada").await?;
    let bob = kept_user(&*store, "bob").await?;
    ensure_eq!(store.membership(shop, bob).await?, None, "what a stranger is");
    let first = Membership { invited_by: Some(ada), ..member(shop, bob, Role::Viewer) };
    store.set_member(first.clone()).await?;
    ensure_eq!(store.membership(shop, bob).await?.as_ref(), Some(&first), "what the member is");
    for role in [Role::Admin, Role::Member] {
        let change = Membership { invited_by: None, created_at: at(99), ..member(shop, bob, role) };
        store.set_member(change).await?;
        let expected = Membership { role, ..first.clone() };
        ensure_eq!(store.membership(shop, bob).await?, Some(expected), "what the member is now");
    }
    for (organization, user) in [(OrganizationId::new(), bob), (shop, UserId::new())] {
        let stranger = member(organization, user, Role::Viewer);
        ensure_refused!(store.set_member(stranger).await, StoreError::NotFound(_), "a member of nothing");
    }
    ensure!(store.remove_member(shop, bob).await?, "there was no member");
    ensure!(!store.remove_member(shop, bob).await?, "there was a member twice");
    ensure_eq!(store.membership(shop, bob).await?, None, "who was removed");
    ensure!(!store.remove_member(OrganizationId::new(), bob).await?, "there was a member of nothing");
    Ok(())
}

async fn a_member_is_one_in_each_tenant_of_the_organization(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (shop, _) = kept_organization(&*store, "ada").await?;
    let (other, stranger) = kept_organization(&*store, "other").await?;
    let bob = kept_user(&*store, "bob").await?;
    store.set_member(member(shop, bob, Role::Admin)).await?;
    store.set_member(member(other, bob, Role::Viewer)).await?;
    let mut expected = Vec::new();
    for (organization, name, role) in
        [(shop, "web", Role::Admin), (shop, "app", Role::Admin), (other, "web", Role::Viewer)]
    {
        let tenant = tenant(organization, name);
        store.create_tenant(tenant.clone()).await?;
        let user = store.user(bob).await?.ok_or_else(|| Broken("the user is gone".to_owned()))?;
        expected.push(TenantMember { tenant, user, role });
    }
    for one in expected {
        let (tenant, organization) = (one.tenant.id, one.tenant.organization);
        ensure_eq!(store.tenant_member(tenant, bob).await?, Some(one), "a member of the organization");
        let is_other = organization == other;
        ensure_eq!(
            store.tenant_member(tenant, stranger).await?.is_some(),
            is_other,
            "whether the other one is a member"
        );
        ensure_eq!(store.tenant_member(tenant, UserId::new()).await?, None, "nobody");
    }
    ensure_eq!(store.tenant_member(TenantId::new(), bob).await?, None, "a member of no tenant");
    Ok(())
}

async fn members_are_listed_in_pages(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (shop, owner) = kept_organization(&*store, "ada").await?;
    kept_organization(&*store, "other").await?;
    let mut expected = vec![owner];
    for name in ["a", "b", "c", "d"] {
        let user = kept_user(&*store, name).await?;
        store.set_member(member(shop, user, Role::Member)).await?;
        expected.push(user);
    }
    expected.sort();
    let mut listed = Vec::new();
    loop {
        let page = store.members(shop, listed.last().copied(), 2).await?;
        ensure!(page.len() <= 2, "a page of {} members", page.len());
        if page.is_empty() {
            break;
        }
        let is_one = page.iter().all(|(user, member)| member.user == user.id && member.organization == shop);
        ensure!(is_one, "a member is listed as another one: {page:?}");
        listed.extend(page.into_iter().map(|(user, _)| user.id));
        ensure!(listed.len() <= expected.len(), "more are listed than there are");
    }
    ensure_eq!(listed, expected, "all members");
    let (first, _) = store.members(shop, None, 1).await?.swap_remove(0);
    ensure_eq!(store.user(first.id).await?, Some(first), "a listed user");
    Ok(())
}

async fn an_organization_keeps_an_owner(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (shop, ada) = kept_organization(&*store, "ada").await?;
    let bob = kept_user(&*store, "bob").await?;
    store.set_member(member(shop, bob, Role::Admin)).await?;
    let viewer = member(shop, ada, Role::Viewer);
    ensure_refused!(store.set_member(viewer.clone()).await, StoreError::LastOwner, "the last owner is a viewer");
    ensure_refused!(store.remove_member(shop, ada).await, StoreError::LastOwner, "the last owner leaves");
    let role = store.membership(shop, ada).await?.map(|member| member.role);
    ensure_eq!(role, Some(Role::Owner), "what the last owner is");
    store.set_member(member(shop, ada, Role::Owner)).await?;
    store.set_member(member(shop, bob, Role::Owner)).await?;
    store.set_member(viewer).await?;
    ensure_refused!(store.remove_member(shop, bob).await, StoreError::LastOwner, "the other owner leaves");
    ensure!(store.remove_member(shop, ada).await?, "a viewer cannot leave");
    Ok(())
}

async fn of_two_owners_who_leave_at_once_one_stays(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (shop, ada) = kept_organization(&*store, "ada").await?;
    let bob = kept_user(&*store, "bob").await?;
    for round in 0..10 {
        for owner in [ada, bob] {
            store.set_member(member(shop, owner, Role::Owner)).await?;
        }
        let remove = async { store.remove_member(shop, ada).await.map(drop) };
        let lower = async {
            match round % 2 {
                0 => store.remove_member(shop, bob).await.map(drop),
                _ => store.set_member(member(shop, bob, Role::Viewer)).await,
            }
        };
        let (one, two) = at_once(remove, lower).await;
        for refused in [&one, &two].into_iter().filter_map(|left| left.as_ref().err()) {
            ensure!(matches!(refused, StoreError::LastOwner), "unexpected error: {refused:?}");
        }
        ensure!(one.is_ok() != two.is_ok(), "who left: {one:?} and {two:?}");
        let stayed = if one.is_ok() { bob } else { ada };
        let role = store.membership(shop, stayed).await?.map(|member| member.role);
        ensure_eq!(role, Some(Role::Owner), "who stayed");
    }
    Ok(())
}
