//! Clauses about users and organizations.

use std::sync::Arc;

use super::samples::{at_once, hash, invitation, kept_organization, kept_user, member, organization, tenant, user};
use crate::account::{Invitation, Organization, Role, User};
use crate::id::UserId;
use crate::store::{IdentityStore, LONGEST_TEXT, StoreError};
use crate::testing::store::Clause;
use crate::testing::store::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use crate::testing::store::samples::at;

pub(in crate::testing::store) fn clauses() -> Vec<Clause<dyn IdentityStore>> {
    clauses![
        the_first_user_founds_once,
        one_of_two_founders_at_once_wins,
        a_user_is_kept_as_it_was_made,
        a_user_is_changed_by_who_knows_it,
        an_address_has_one_user_in_either_case,
        an_organization_is_kept_and_owned,
        an_organization_changes_but_for_the_name_of_another,
        an_organization_without_tenants_is_deleted,
        of_a_tenant_that_is_made_and_its_organization_that_is_deleted_one_stays,
        organizations_of_a_user_are_listed_by_name,
        texts_that_no_store_keeps_are_refused,
    ]
}

async fn found(store: &dyn IdentityStore, name: &str) -> Result<bool, StoreError> {
    let organization = organization(name);
    let tenant = tenant(organization.id, name);
    store.found(user(name), organization, tenant).await
}

async fn the_first_user_founds_once(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    ensure!(!store.has_users().await?, "an empty store has users");
    let (owner, shop) = (user("ada"), organization("shop"));
    let web = tenant(shop.id, "web");
    ensure!(store.found(owner.clone(), shop.clone(), web.clone()).await?, "the first user did not found");
    ensure!(store.has_users().await?, "there is no user");
    ensure_eq!(store.user(owner.id).await?.as_ref(), Some(&owner), "the user");
    ensure_eq!(store.organization(shop.id).await?.as_ref(), Some(&shop), "the organization");
    ensure_eq!(store.tenant(web.id).await?.as_ref(), Some(&web), "the tenant");
    let role = store.membership(shop.id, owner.id).await?.map(|member| member.role);
    ensure_eq!(role, Some(Role::Owner), "the role");
    ensure!(!found(&*store, "second").await?, "a second user founded");
    ensure_eq!(store.user_by_email("second@example.org").await?, None, "what the second one left");
    ensure_eq!(store.organization_named("second").await?, None, "what the second one left");
    Ok(())
}

async fn one_of_two_founders_at_once_wins(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (one, two) = at_once(found(&*store, "one"), found(&*store, "two")).await;
    let (one, two) = (one?, two?);
    ensure!(one != two, "who founded: {one} and {two}");
    let (winner, loser) = if one { ("one", "two") } else { ("two", "one") };
    ensure!(store.organization_named(winner).await?.is_some(), "the winner has no organization");
    ensure_eq!(store.organization_named(loser).await?, None, "what the other one left");
    ensure_eq!(store.user_by_email(&format!("{loser}@example.org")).await?, None, "what the other one left");
    Ok(())
}

async fn a_user_is_kept_as_it_was_made(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    ensure_eq!(store.user(UserId::new()).await?, None, "a user who is not there");
    let ada = User { name: "Ada \"Countess\" L\u{f6}velace".into(), ..user("Ada.L") };
    let bob = User { password_hash: None, email_verified: false, name: String::new(), ..user("bob") };
    for user in [&ada, &bob] {
        store.create_user(user.clone()).await?;
        ensure_eq!(store.user(user.id).await?.as_ref(), Some(user), "what was kept");
        // The hash is not shown by `Debug`.
        ensure!(store.user(user.id).await?.is_some_and(|found| found == *user), "the password is another one");
    }
    ensure_refused!(store.create_user(User { id: ada.id, ..user("new") }).await, StoreError::Taken(_), "the same id");
    let changed = User { email: "new@example.org".into(), email_verified: true, created_at: at(99), ..bob.clone() };
    ensure!(store.change_user(&bob, changed.clone()).await?, "one who is as known was not changed");
    let expected = User { created_at: bob.created_at, ..changed };
    ensure_eq!(store.user(bob.id).await?, Some(expected), "what was changed");
    let nobody = user("nobody");
    ensure_refused!(store.change_user(&nobody, nobody.clone()).await, StoreError::NotFound(_), "a change of nobody");
    ensure_eq!(store.user(ada.id).await?, Some(ada), "somebody else");
    Ok(())
}

async fn a_user_is_changed_by_who_knows_it(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let ada = user("ada");
    store.create_user(ada.clone()).await?;
    // A password is reset while somebody changes the name.
    let reset = User { password_hash: Some("another".into()), ..ada.clone() };
    ensure!(store.change_user(&ada, reset.clone()).await?, "the password was not changed");
    for late in [
        User { name: "Ada L.".into(), ..ada.clone() },
        User { email_verified: !ada.email_verified, ..ada.clone() },
        User { password_hash: None, ..ada.clone() },
    ] {
        ensure!(!store.change_user(&ada, late).await?, "who knew an earlier one changed it");
    }
    ensure_eq!(store.user(ada.id).await?.as_ref(), Some(&reset), "what is there");
    let without = User { password_hash: None, ..reset.clone() };
    ensure!(store.change_user(&reset, without.clone()).await?, "the password was not taken away");
    ensure!(!store.change_user(&reset, reset.clone()).await?, "who knew the one with a password changed it");
    ensure!(store.change_user(&without, reset.clone()).await?, "who knew the one without a password did not change it");
    ensure_eq!(store.user(ada.id).await?, Some(reset), "what is there at last");
    Ok(())
}

async fn an_address_has_one_user_in_either_case(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let ada = User { email: "Ada@Example.org".into(), ..user("ada") };
    store.create_user(ada.clone()).await?;
    for email in ["Ada@Example.org", "ada@example.org", "ADA@EXAMPLE.ORG"] {
        ensure_eq!(store.user_by_email(email).await?.as_ref(), Some(&ada), email);
        let other = User { email: email.into(), ..user("other") };
        ensure_refused!(store.create_user(other).await, StoreError::Taken(_), "a second user of an address");
    }
    ensure_eq!(store.user_by_email("ada@example.com").await?, None, "another address");
    ensure_eq!(store.user_by_email("%@example.org").await?, None, "a pattern");
    let bob = user("bob");
    store.create_user(bob.clone()).await?;
    let taken = User { email: "aDa@example.org".into(), ..bob.clone() };
    ensure_refused!(store.change_user(&bob, taken.clone()).await, StoreError::Taken(_), "a change to a taken address");
    ensure_eq!(store.user(bob.id).await?.as_ref(), Some(&bob), "who was not changed");
    store.change_user(&ada, User { email: "ada@EXAMPLE.com".into(), ..ada.clone() }).await?;
    store.change_user(&bob, taken.clone()).await?;
    ensure_eq!(store.user_by_email("ada@example.org").await?, Some(taken), "an address that was given up");
    // Letters beyond ASCII are as they are.
    store.create_user(User { email: "\u{c4}@example.org".into(), ..user("x") }).await?;
    ensure_eq!(store.user_by_email("\u{e4}@example.org").await?, None, "another letter");
    ensure!(store.user_by_email("\u{c4}@EXAMPLE.org").await?.is_some(), "the letter itself is not found");
    Ok(())
}

async fn an_organization_is_kept_and_owned(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let owner = kept_user(&*store, "ada").await?;
    let shop = organization("Shop & Co");
    store.create_organization(shop.clone(), owner).await?;
    ensure_eq!(store.organization(shop.id).await?.as_ref(), Some(&shop), "what was kept");
    ensure_eq!(store.organization_named("Shop & Co").await?.as_ref(), Some(&shop), "what has the name");
    ensure_eq!(store.organization_named("shop & co").await?, None, "what has another name");
    let role = store.membership(shop.id, owner).await?.map(|member| member.role);
    ensure_eq!(role, Some(Role::Owner), "what its maker is");
    ensure_refused!(
        store.create_organization(organization("Shop & Co"), owner).await,
        StoreError::Taken(_),
        "a second one of the name"
    );
    let nobodys = organization("nobody's");
    ensure_refused!(
        store.create_organization(nobodys.clone(), UserId::new()).await,
        StoreError::NotFound(_),
        "an organization of nobody"
    );
    ensure_eq!(store.organization(nobodys.id).await?, None, "what was refused");
    Ok(())
}

async fn an_organization_changes_but_for_the_name_of_another(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (id, _) = kept_organization(&*store, "shop").await?;
    kept_organization(&*store, "other").await?;
    let changed =
        Organization { id, plan: "free".into(), billing_email: None, created_at: at(99), ..organization("Shop") };
    store.update_organization(changed.clone()).await?;
    let changed = Organization { created_at: organization("").created_at, ..changed };
    ensure_eq!(store.organization_named("Shop").await?.as_ref(), Some(&changed), "what was changed");
    ensure_eq!(store.organization_named("shop").await?, None, "what has the old name");
    let taken = Organization { name: "other".into(), ..changed.clone() };
    ensure_refused!(store.update_organization(taken).await, StoreError::Taken(_), "a name that is taken");
    ensure_refused!(
        store.update_organization(organization("new")).await,
        StoreError::NotFound(_),
        "one that is not there"
    );
    ensure_eq!(store.organization(id).await?, Some(changed), "what was not changed");
    Ok(())
}

async fn an_organization_without_tenants_is_deleted(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (shop, ada) = kept_organization(&*store, "shop").await?;
    let (other, _) = kept_organization(&*store, "other").await?;
    let web = tenant(shop, "web");
    store.create_tenant(web.clone()).await?;
    store.create_invitation(invitation(shop, Role::Viewer), hash(1)).await?;
    store.create_invitation(invitation(other, Role::Viewer), hash(2)).await?;
    ensure_refused!(store.delete_organization(shop).await, StoreError::HasTenants(_), "an organization with a tenant");
    ensure!(store.membership(shop, ada).await?.is_some(), "its owner is gone");
    store.delete_tenant(web.id).await?;
    ensure!(store.delete_organization(shop).await?, "there was none");
    ensure!(!store.delete_organization(shop).await?, "there was one twice");
    ensure_eq!(store.organization(shop).await?, None, "what was deleted");
    ensure_eq!(store.organization_named("shop").await?, None, "what had its name");
    ensure_eq!(store.membership(shop, ada).await?, None, "a member of it");
    ensure_eq!(store.organizations_of(ada).await?, [], "the organizations of who owned it");
    ensure_eq!(store.invitations(shop, None, 9).await?, [], "its invitations");
    ensure_eq!(store.invitation(&hash(1), at(50)).await?, None, "an invitation to it");
    ensure!(store.invitation(&hash(2), at(50)).await?.is_some(), "an invitation to another one is gone");
    ensure!(store.user(ada).await?.is_some(), "who owned it is gone");
    store.create_organization(organization("shop"), ada).await?;
    Ok(())
}

async fn of_a_tenant_that_is_made_and_its_organization_that_is_deleted_one_stays(
    store: Arc<dyn IdentityStore>,
) -> Result<(), Broken> {
    for round in 0..8 {
        let (shop, _) = kept_organization(&*store, &format!("shop {round}")).await?;
        let web = tenant(shop, "web");
        let (deleting, making) = (store.delete_organization(shop), store.create_tenant(web.clone()));
        let (deleted, made) = match round % 2 {
            0 => at_once(deleting, making).await,
            _ => tokio::join!(deleting, making),
        };
        let is_there = store.tenant(web.id).await?.is_some();
        match (deleted, made) {
            (Ok(true), Err(StoreError::NotFound(_))) => ensure!(!is_there, "a tenant of nothing"),
            (Err(StoreError::HasTenants(_)), Ok(())) => ensure!(is_there, "the tenant is gone"),
            other => return Err(Broken(format!("both, or neither: {other:?}"))),
        }
    }
    Ok(())
}

async fn organizations_of_a_user_are_listed_by_name(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let ada = kept_user(&*store, "ada").await?;
    ensure_eq!(store.organizations_of(ada).await?, [], "the organizations of somebody new");
    for (name, role) in [("b", Role::Viewer), ("a", Role::Member), ("Z", Role::Owner)] {
        let (id, _) = kept_organization(&*store, name).await?;
        store.set_member(member(id, ada, role)).await?;
    }
    kept_organization(&*store, "none of hers").await?;
    let found = store.organizations_of(ada).await?;
    let found: Vec<_> = found.iter().map(|(organization, role)| (organization.name.as_str(), *role)).collect();
    ensure_eq!(found, [("Z", Role::Owner), ("a", Role::Member), ("b", Role::Viewer)], "the organizations");
    Ok(())
}

async fn texts_that_no_store_keeps_are_refused(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (id, owner) = kept_organization(&*store, "shop").await?;
    let web = tenant(id, "web");
    store.create_tenant(web.clone()).await?;
    for text in ["".to_owned(), "a\0b".to_owned(), "\u{fc}".repeat(LONGEST_TEXT / 2 + 1)] {
        let what = format!("{} bytes", text.len());
        let email = User { email: text.clone(), ..user("new") };
        ensure_refused!(store.create_user(email).await, StoreError::Unfit(_), what);
        let named = organization(&text);
        ensure_refused!(store.create_organization(named.clone(), owner).await, StoreError::Unfit(_), what);
        ensure_refused!(store.update_organization(Organization { id, ..named }).await, StoreError::Unfit(_), what);
        ensure_refused!(store.create_tenant(tenant(id, &text)).await, StoreError::Unfit(_), what);
        ensure_refused!(store.rename_tenant(web.id, &text).await, StoreError::Unfit(_), what);
        let invited = Invitation { email: text.clone(), ..invitation(id, Role::Member) };
        ensure_refused!(store.create_invitation(invited, hash(1)).await, StoreError::Unfit(_), what);
        ensure_refused!(store.tenants(id, Some(&text), 9).await, StoreError::Unfit(_), what);
        ensure_eq!(store.user_by_email(&text).await?, None, what);
        ensure_eq!(store.organization_named(&text).await?, None, what);
        ensure_eq!(store.tenant_named(id, &text).await?, None, what);
    }
    let longest = "x".repeat(LONGEST_TEXT);
    store.rename_tenant(web.id, &longest).await?;
    ensure!(store.tenant_named(id, &longest).await?.is_some(), "the longest name is not found");
    Ok(())
}
