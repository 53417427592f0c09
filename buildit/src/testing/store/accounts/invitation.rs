//! Clauses about invitations.

use std::sync::Arc;

use super::samples::{at_once, hash, invitation, kept_organization, kept_user, member};
use crate::account::{Invitation, Membership, Role};
use crate::id::{InvitationId, OrganizationId, UserId};
use crate::store::{IdentityStore, StoreError};
use crate::testing::store::Clause;
use crate::testing::store::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use crate::testing::store::samples::at;

pub(in crate::testing::store) fn clauses() -> Vec<Clause<dyn IdentityStore>> {
    clauses![
        an_invitation_is_accepted_once,
        of_two_who_accept_at_once_one_does,
        an_invitation_ends_or_is_revoked,
        a_member_who_accepts_keeps_the_higher_role,
        invitations_are_listed_in_pages,
    ]
}

async fn an_invitation_is_accepted_once(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (shop, ada) = kept_organization(&*store, "ada").await?;
    let bob = kept_user(&*store, "bob").await?;
    let invited = Invitation { invited_by: Some(ada), ..invitation(shop, Role::Admin) };
    store.create_invitation(invited.clone(), hash(1)).await?;
    ensure_eq!(store.invitation(&hash(1), at(10)).await?.as_ref(), Some(&invited), "what was kept");
    ensure_eq!(store.invitation(&hash(2), at(10)).await?, None, "what another token accepts");
    ensure_eq!(store.accept_invitation(&hash(2), bob, at(10)).await?, None, "what another token did");
    ensure_refused!(
        store.accept_invitation(&hash(1), UserId::new(), at(10)).await,
        StoreError::NotFound(_),
        "somebody who is not there accepts"
    );
    let expected =
        Membership { organization: shop, user: bob, role: Role::Admin, invited_by: Some(ada), created_at: at(10) };
    ensure_eq!(store.accept_invitation(&hash(1), bob, at(10)).await?.as_ref(), Some(&expected), "the new member");
    ensure_eq!(store.membership(shop, bob).await?, Some(expected), "what the member is");
    ensure_eq!(store.accept_invitation(&hash(1), ada, at(10)).await?, None, "the second who accepts");
    ensure_eq!(store.invitation(&hash(1), at(10)).await?, None, "what was accepted");
    Ok(())
}

async fn of_two_who_accept_at_once_one_does(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (shop, _) = kept_organization(&*store, "ada").await?;
    let (bob, eve) = (kept_user(&*store, "bob").await?, kept_user(&*store, "eve").await?);
    for round in 0..10 {
        store.create_invitation(invitation(shop, Role::Member), hash(round)).await?;
        let token = hash(round);
        let (one, two) =
            at_once(store.accept_invitation(&token, bob, at(10)), store.accept_invitation(&token, eve, at(10))).await;
        let (one, two) = (one?, two?);
        ensure!(one.is_some() != two.is_some(), "who became a member: {one:?} and {two:?}");
        let (winner, loser) = if one.is_some() { (bob, eve) } else { (eve, bob) };
        ensure!(store.remove_member(shop, winner).await?, "the winner is no member");
        ensure!(!store.remove_member(shop, loser).await?, "the other one is a member");
    }
    Ok(())
}

async fn an_invitation_ends_or_is_revoked(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (shop, _) = kept_organization(&*store, "ada").await?;
    let bob = kept_user(&*store, "bob").await?;
    let invited = invitation(shop, Role::Member);
    store.create_invitation(invited.clone(), hash(1)).await?;
    ensure!(store.invitation(&hash(1), at(99)).await?.is_some(), "it ended too early");
    for late in [100, 101] {
        ensure_eq!(store.invitation(&hash(1), at(late)).await?, None, "one that has ended");
        ensure_eq!(store.accept_invitation(&hash(1), bob, at(late)).await?, None, "who accepts one that has ended");
    }
    ensure_eq!(store.membership(shop, bob).await?, None, "who was late");
    ensure!(store.revoke_invitation(invited.id).await?, "there was none");
    ensure!(!store.revoke_invitation(invited.id).await?, "there was one twice");
    ensure_eq!(store.accept_invitation(&hash(1), bob, at(10)).await?, None, "who accepts one that is revoked");
    store.create_invitation(invitation(shop, Role::Member), hash(1)).await?;
    ensure_refused!(
        store.create_invitation(invitation(shop, Role::Member), hash(1)).await,
        StoreError::Taken(_),
        "a second one of the token"
    );
    ensure_refused!(
        store.create_invitation(invitation(OrganizationId::new(), Role::Member), hash(2)).await,
        StoreError::NotFound(_),
        "an invitation to nothing"
    );
    Ok(())
}

async fn a_member_who_accepts_keeps_the_higher_role(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (shop, ada) = kept_organization(&*store, "ada").await?;
    let bob = kept_user(&*store, "bob").await?;
    store.set_member(member(shop, bob, Role::Member)).await?;
    for (number, (user, invited, expected)) in [
        (ada, Role::Viewer, Role::Owner),
        (bob, Role::Viewer, Role::Member),
        (bob, Role::Member, Role::Member),
        (bob, Role::Admin, Role::Admin),
    ]
    .into_iter()
    .enumerate()
    {
        let token = hash(u8::try_from(number).unwrap_or(0));
        store.create_invitation(invitation(shop, invited), token).await?;
        let before = store.membership(shop, user).await?;
        let now = before.map(|before| Membership { role: expected, ..before });
        ensure_eq!(store.accept_invitation(&token, user, at(10)).await?, now, format!("invited as {invited}"));
        ensure_eq!(store.membership(shop, user).await?, now, format!("invited as {invited}"));
    }
    Ok(())
}

async fn invitations_are_listed_in_pages(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (shop, _) = kept_organization(&*store, "ada").await?;
    let (other, _) = kept_organization(&*store, "other").await?;
    let mut expected: Vec<InvitationId> = Vec::new();
    for number in 0..5 {
        store.create_invitation(invitation(other, Role::Viewer), hash(100 + number)).await?;
        let invited = invitation(shop, Role::Viewer);
        expected.push(invited.id);
        store.create_invitation(invited, hash(number)).await?;
    }
    expected.sort();
    let mut listed = Vec::new();
    loop {
        let page = store.invitations(shop, listed.last().copied(), 2).await?;
        ensure!(page.len() <= 2, "a page of {} invitations", page.len());
        if page.is_empty() {
            break;
        }
        ensure!(page.iter().all(|invited| invited.organization == shop), "an invitation of another one: {page:?}");
        listed.extend(page.into_iter().map(|invited| invited.id));
        ensure!(listed.len() <= expected.len(), "more are listed than there are");
    }
    ensure_eq!(listed, expected, "all invitations");
    Ok(())
}
