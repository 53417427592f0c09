//! Clauses about accounts elsewhere that let users in.

use std::sync::Arc;

use super::samples::{at_once, kept_user, link, user};
use crate::account::{LinkedAccount, User};
use crate::id::UserId;
use crate::store::{IdentityStore, LONGEST_TEXT, StoreError};
use crate::testing::store::Clause;
use crate::testing::store::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};

pub(in crate::testing::store) fn clauses() -> Vec<Clause<dyn IdentityStore>> {
    clauses![
        an_account_elsewhere_lets_one_user_in,
        a_user_is_made_with_a_link_or_not_at_all,
        links_of_a_user_are_listed_and_removed_by_whose_they_are,
        the_last_way_in_stays,
        of_two_links_that_are_removed_at_once_one_stays,
    ]
}

async fn an_account_elsewhere_lets_one_user_in(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (ada, bob) = (kept_user(&*store, "ada").await?, kept_user(&*store, "bob").await?);
    ensure_eq!(store.linked_user("https://id.example", "1").await?, None, "whom an unknown account lets in");
    store.link(link(ada, "1")).await?;
    let found = store.linked_user("https://id.example", "1").await?.map(|user| user.id);
    ensure_eq!(found, Some(ada), "whom the account lets in");
    for (issuer, subject) in [("https://id.example", "2"), ("https://ID.example", "1"), ("https://other.example", "1")]
    {
        ensure_eq!(store.linked_user(issuer, subject).await?, None, format!("whom {subject} at {issuer} lets in"));
    }
    for user in [ada, bob] {
        ensure_refused!(store.link(link(user, "1")).await, StoreError::Taken(_), "the same account again");
    }
    ensure_refused!(store.link(link(UserId::new(), "2")).await, StoreError::NotFound(_), "a link to nobody");
    for text in ["".to_owned(), "a\0b".to_owned(), "x".repeat(LONGEST_TEXT + 1)] {
        let odd = LinkedAccount { subject: text.clone(), ..link(ada, "3") };
        ensure_refused!(store.link(odd).await, StoreError::Unfit(_), "a subject that no store keeps");
        ensure_eq!(store.linked_user("https://id.example", &text).await?, None, "whom it lets in");
    }
    let found = store.linked_user("https://id.example", "1").await?.map(|user| user.id);
    ensure_eq!(found, Some(ada), "whom the account lets in at last");
    Ok(())
}

async fn a_user_is_made_with_a_link_or_not_at_all(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let ada = User { password_hash: None, ..user("ada") };
    store.create_linked_user(ada.clone(), link(ada.id, "1")).await?;
    ensure_eq!(store.user(ada.id).await?, Some(ada.clone()), "the user");
    ensure_eq!(store.links_of(ada.id).await?, [link(ada.id, "1")], "the links");
    let bob = user("bob");
    ensure_refused!(
        store.create_linked_user(bob.clone(), link(bob.id, "1")).await,
        StoreError::Taken(_),
        "a second user of an account"
    );
    ensure_refused!(
        store.create_linked_user(bob.clone(), link(ada.id, "2")).await,
        StoreError::NotFound(_),
        "a user with the link of another one"
    );
    ensure_eq!(store.user(bob.id).await?, None, "a user whose link was refused");
    let same = User { id: bob.id, ..ada };
    ensure_refused!(
        store.create_linked_user(same, link(bob.id, "2")).await,
        StoreError::Taken(_),
        "a second user of an address"
    );
    ensure_eq!(store.linked_user("https://id.example", "2").await?, None, "the link of a user who was refused");
    Ok(())
}

async fn links_of_a_user_are_listed_and_removed_by_whose_they_are(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (ada, bob) = (kept_user(&*store, "ada").await?, kept_user(&*store, "bob").await?);
    let other = LinkedAccount { issuer: "https://a.example".into(), label: String::new(), ..link(ada, "9") };
    for kept in [link(ada, "2"), link(bob, "3"), other.clone(), link(ada, "1")] {
        store.link(kept).await?;
    }
    ensure_eq!(store.links_of(ada).await?, [other.clone(), link(ada, "1"), link(ada, "2")], "the links");
    ensure!(!store.unlink(bob, &other.issuer, &other.subject).await?, "a link of another user was removed");
    ensure!(store.unlink(ada, &other.issuer, &other.subject).await?, "there was none");
    ensure!(!store.unlink(ada, &other.issuer, &other.subject).await?, "there was one twice");
    ensure_eq!(store.links_of(ada).await?, [link(ada, "1"), link(ada, "2")], "the links that are left");
    ensure_eq!(store.linked_user(&other.issuer, &other.subject).await?, None, "whom a link lets in that is gone");
    store.link(LinkedAccount { user: bob, ..other }).await?;
    ensure_eq!(store.links_of(UserId::new()).await?, [], "the links of nobody");
    Ok(())
}

async fn the_last_way_in_stays(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let ada = User { password_hash: None, ..user("ada") };
    let (issuer, first) = ("https://id.example", link(ada.id, "1"));
    store.create_linked_user(ada.clone(), first.clone()).await?;
    ensure_refused!(store.unlink(ada.id, issuer, "1").await, StoreError::LastWayIn, "the only link goes");
    ensure!(!store.unlink(ada.id, issuer, "2").await?, "one that is not there was removed");
    ensure_eq!(store.links_of(ada.id).await?, [first], "what was refused");
    store.link(link(ada.id, "2")).await?;
    ensure!(store.unlink(ada.id, issuer, "1").await?, "one of two does not go");
    ensure_refused!(store.unlink(ada.id, issuer, "2").await, StoreError::LastWayIn, "the last link goes");
    let known = User { password_hash: Some("$argon2id$".into()), ..ada.clone() };
    ensure!(store.change_user(&ada, known).await?, "the user was not changed");
    ensure!(store.unlink(ada.id, issuer, "2").await?, "who has a password keeps the last link");
    Ok(())
}

async fn of_two_links_that_are_removed_at_once_one_stays(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    for round in 0..10 {
        let ada = User { password_hash: None, ..user(&format!("ada{round}")) };
        let subjects = [format!("{round} a"), format!("{round} b")];
        store.create_linked_user(ada.clone(), link(ada.id, &subjects[0])).await?;
        store.link(link(ada.id, &subjects[1])).await?;
        let unlink = |subject| store.unlink(ada.id, "https://id.example", subject);
        let (one, two) = at_once(unlink(&subjects[0]), unlink(&subjects[1])).await;
        let removed = [&one, &two].into_iter().filter(|unlinked| matches!(unlinked, Ok(true))).count();
        ensure!(removed == 1, "what was removed: {one:?} and {two:?}");
        ensure_eq!(store.links_of(ada.id).await?.len(), 1, "how many links are left");
    }
    Ok(())
}
