//! Clauses about what lets somebody in.

use std::sync::Arc;

use jiff::Timestamp;

use super::samples::{at_once, hash, invitation, kept_organization, kept_tenant, kept_user, member, tenant};
use crate::account::{ApiKey, Role, Session, TokenPurpose};
use crate::id::{ApiKeyId, TenantId, UserId};
use crate::store::{AccountStore, LONGEST_TEXT, StoreError};
use crate::testing::store::Clause;
use crate::testing::store::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use crate::testing::store::samples::at;

pub(in crate::testing::store) fn clauses() -> Vec<Clause<dyn AccountStore>> {
    clauses![
        a_key_is_found_by_its_hash_alone,
        a_key_needs_a_tenant_and_a_hash_of_its_own,
        keys_of_a_tenant_are_listed_in_pages,
        a_key_is_deleted_by_its_tenant_alone,
        the_latest_use_of_a_key_is_noted,
        keys_go_with_the_member_that_they_speak_for,
        keys_go_with_their_tenant,
        a_session_is_kept_until_it_ends,
        sessions_of_a_user_end_together,
        a_token_is_taken_once_for_its_purpose,
        of_two_who_take_a_token_at_once_one_gets_it,
        tokens_of_a_user_are_forgotten_by_purpose,
        what_was_begun_is_taken_once,
        of_two_who_take_what_was_begun_at_once_one_gets_it,
        what_has_ended_is_swept,
    ]
}

fn key(tenant: TenantId, user: Option<UserId>) -> ApiKey {
    ApiKey {
        id: ApiKeyId::new(),
        tenant,
        user,
        name: "deploys".into(),
        prefix: "bi_a1b2".into(),
        role: Role::Member,
        scopes: vec!["runs:write".into(), "it's \"quoted\"".into()],
        expires_at: Some(at(100)),
        last_used_at: None,
        created_at: at(1),
    }
}

fn session(user: UserId, until: i64) -> Session {
    Session { user, data: (0..=u8::MAX).collect(), created_at: at(1), expires_at: at(until) }
}

async fn a_key_is_found_by_its_hash_alone(store: Arc<dyn AccountStore>) -> Result<(), Broken> {
    let (web, _, ada) = kept_tenant(&*store, "web").await?;
    let mine = key(web, Some(ada));
    let scopes = Vec::new();
    let other = ApiKey { role: Role::Admin, scopes, expires_at: None, last_used_at: Some(at(3)), ..key(web, None) };
    store.create_key(mine.clone(), hash(1)).await?;
    store.create_key(other.clone(), hash(2)).await?;
    ensure_eq!(store.key(&hash(1)).await?, Some(mine), "the key of the first token");
    ensure_eq!(store.key(&hash(2)).await?, Some(other), "the key of the second token");
    ensure_eq!(store.key(&hash(3)).await?, None, "the key of another token");
    Ok(())
}

async fn a_key_needs_a_tenant_and_a_hash_of_its_own(store: Arc<dyn AccountStore>) -> Result<(), Broken> {
    let (web, ..) = kept_tenant(&*store, "web").await?;
    let first = key(web, None);
    store.create_key(first.clone(), hash(1)).await?;
    ensure_refused!(store.create_key(key(web, None), hash(1)).await, StoreError::Taken(_), "the same token");
    ensure_refused!(store.create_key(first.clone(), hash(2)).await, StoreError::Taken(_), "the same id");
    for stranger in [key(TenantId::new(), None), key(web, Some(UserId::new()))] {
        ensure_refused!(store.create_key(stranger, hash(2)).await, StoreError::NotFound(_), "a key of nobody");
    }
    for text in ["".to_owned(), "a\0b".to_owned(), "x".repeat(LONGEST_TEXT + 1)] {
        let unfit = ApiKey { name: text, ..key(web, None) };
        ensure_refused!(store.create_key(unfit, hash(2)).await, StoreError::Unfit(_), "a name that nobody keeps");
    }
    ensure_eq!(store.key(&hash(2)).await?, None, "what was refused");
    ensure_eq!(store.key(&hash(1)).await?, Some(first), "what was there");
    Ok(())
}

async fn keys_of_a_tenant_are_listed_in_pages(store: Arc<dyn AccountStore>) -> Result<(), Broken> {
    let (web, ..) = kept_tenant(&*store, "web").await?;
    let (other, ..) = kept_tenant(&*store, "other").await?;
    let mut expected = Vec::new();
    for number in 0..5 {
        store.create_key(key(other, None), hash(100 + number)).await?;
        let mine = key(web, None);
        expected.push(mine.clone());
        store.create_key(mine, hash(number)).await?;
    }
    expected.sort_by_key(|key| key.id);
    let mut listed: Vec<ApiKey> = Vec::new();
    loop {
        let page = store.keys(web, listed.last().map(|key| key.id), 2).await?;
        ensure!(page.len() <= 2, "a page of {} keys", page.len());
        if page.is_empty() {
            break;
        }
        listed.extend(page);
        ensure!(listed.len() <= expected.len(), "more are listed than there are");
    }
    ensure_eq!(listed, expected, "all keys");
    Ok(())
}

async fn a_key_is_deleted_by_its_tenant_alone(store: Arc<dyn AccountStore>) -> Result<(), Broken> {
    let (web, shop, _) = kept_tenant(&*store, "web").await?;
    let api = tenant(shop, "api");
    store.create_tenant(api.clone()).await?;
    let mine = key(web, None);
    store.create_key(mine.clone(), hash(1)).await?;
    ensure!(!store.delete_key(api.id, mine.id).await?, "another tenant deleted a key");
    ensure_eq!(store.key(&hash(1)).await?.as_ref(), Some(&mine), "a key that another tenant deleted");
    ensure!(store.delete_key(web, mine.id).await?, "there was none");
    ensure!(!store.delete_key(web, mine.id).await?, "there was one twice");
    ensure_eq!(store.key(&hash(1)).await?, None, "what was deleted");
    Ok(())
}

async fn the_latest_use_of_a_key_is_noted(store: Arc<dyn AccountStore>) -> Result<(), Broken> {
    let (web, ..) = kept_tenant(&*store, "web").await?;
    let mine = key(web, None);
    store.create_key(mine.clone(), hash(1)).await?;
    for (used, expected) in [(5, 5), (7, 7), (6, 7)] {
        store.note_key_use(mine.id, at(used)).await?;
        let noted = store.key(&hash(1)).await?.and_then(|key| key.last_used_at);
        ensure_eq!(noted, Some(at(expected)), format!("the latest use, after one at {used}"));
    }
    store.note_key_use(ApiKeyId::new(), at(1)).await?;
    Ok(())
}

async fn keys_go_with_the_member_that_they_speak_for(store: Arc<dyn AccountStore>) -> Result<(), Broken> {
    let (web, shop, ada) = kept_tenant(&*store, "web").await?;
    let (bobs, _, bob) = kept_tenant(&*store, "bob").await?;
    store.set_member(member(shop, bob, Role::Admin)).await?;
    for (number, (tenant, user)) in
        [(1, (web, Some(bob))), (2, (web, None)), (3, (web, Some(ada))), (4, (bobs, Some(bob)))]
    {
        store.create_key(key(tenant, user), hash(number)).await?;
    }
    store.remove_member(shop, bob).await?;
    for (number, is_there) in [(1, false), (2, true), (3, true), (4, true)] {
        ensure_eq!(store.key(&hash(number)).await?.is_some(), is_there, format!("whether key {number} is there"));
    }
    Ok(())
}

async fn keys_go_with_their_tenant(store: Arc<dyn AccountStore>) -> Result<(), Broken> {
    let (web, ..) = kept_tenant(&*store, "web").await?;
    let (other, ..) = kept_tenant(&*store, "other").await?;
    store.create_key(key(web, None), hash(1)).await?;
    store.create_key(key(other, None), hash(2)).await?;
    store.delete_tenant(web).await?;
    ensure_eq!(store.key(&hash(1)).await?, None, "the key of a tenant that is gone");
    ensure!(store.key(&hash(2)).await?.is_some(), "the key of another tenant is gone");
    Ok(())
}

async fn a_session_is_kept_until_it_ends(store: Arc<dyn AccountStore>) -> Result<(), Broken> {
    let (ada, bob) = (kept_user(&*store, "ada").await?, kept_user(&*store, "bob").await?);
    let first = session(ada, 100);
    store.put_session(hash(1), first.clone()).await?;
    ensure!(store.session(&hash(1), at(99)).await? == Some(first), "it is another one");
    for late in [100, 101] {
        ensure_eq!(store.session(&hash(1), at(late)).await?, None, "one that has ended");
    }
    ensure_eq!(store.session(&hash(2), at(0)).await?, None, "the session of another token");
    let second = Session { data: Vec::new(), created_at: at(2), ..session(bob, 200) };
    store.put_session(hash(1), second.clone()).await?;
    ensure!(store.session(&hash(1), at(150)).await? == Some(second), "it was not replaced");
    let nobodys = session(UserId::new(), 100);
    ensure_refused!(store.put_session(hash(3), nobodys).await, StoreError::NotFound(_), "a session of nobody");
    ensure!(store.delete_session(&hash(1)).await?, "there was none");
    ensure!(!store.delete_session(&hash(1)).await?, "there was one twice");
    ensure_eq!(store.session(&hash(1), at(0)).await?, None, "what was deleted");
    Ok(())
}

async fn sessions_of_a_user_end_together(store: Arc<dyn AccountStore>) -> Result<(), Broken> {
    let (ada, bob) = (kept_user(&*store, "ada").await?, kept_user(&*store, "bob").await?);
    for (number, user) in [(1, ada), (2, bob), (3, ada)] {
        store.put_session(hash(number), session(user, 100)).await?;
    }
    ensure_eq!(store.delete_sessions_of(ada).await?, 2, "how many there were");
    for (number, is_there) in [(1, false), (2, true), (3, false)] {
        let found = store.session(&hash(number), at(0)).await?;
        ensure_eq!(found.is_some(), is_there, format!("whether session {number} is there"));
    }
    ensure_eq!(store.delete_sessions_of(ada).await?, 0, "how many are left");
    Ok(())
}

async fn create(store: &dyn AccountStore, number: u8, purpose: TokenPurpose, user: UserId) -> Result<(), StoreError> {
    store.create_token(hash(number), purpose, user, at(100)).await
}

async fn a_token_is_taken_once_for_its_purpose(store: Arc<dyn AccountStore>) -> Result<(), Broken> {
    use TokenPurpose::{ResetPassword, VerifyEmail};
    let ada = kept_user(&*store, "ada").await?;
    create(&*store, 1, ResetPassword, ada).await?;
    ensure_refused!(create(&*store, 1, VerifyEmail, ada).await, StoreError::Taken(_), "the same token");
    ensure_refused!(create(&*store, 2, VerifyEmail, UserId::new()).await, StoreError::NotFound(_), "one of nobody");
    ensure_eq!(store.take_token(&hash(1), VerifyEmail, at(1)).await?, None, "for another purpose");
    ensure_eq!(store.take_token(&hash(1), ResetPassword, at(100)).await?, None, "after its end");
    ensure_eq!(store.take_token(&hash(2), ResetPassword, at(1)).await?, None, "another token");
    ensure_eq!(store.take_token(&hash(1), ResetPassword, at(99)).await?, Some(ada), "the token");
    ensure_eq!(store.take_token(&hash(1), ResetPassword, at(99)).await?, None, "the token for the second time");
    Ok(())
}

async fn of_two_who_take_a_token_at_once_one_gets_it(store: Arc<dyn AccountStore>) -> Result<(), Broken> {
    let ada = kept_user(&*store, "ada").await?;
    for number in 0..10 {
        create(&*store, number, TokenPurpose::VerifyEmail, ada).await?;
        let token = hash(number);
        let take = || store.take_token(&token, TokenPurpose::VerifyEmail, at(1));
        let (one, two) = at_once(take(), take()).await;
        let (one, two) = (one?, two?);
        ensure!(one.is_some() != two.is_some(), "who got it: {one:?} and {two:?}");
    }
    Ok(())
}

async fn tokens_of_a_user_are_forgotten_by_purpose(store: Arc<dyn AccountStore>) -> Result<(), Broken> {
    use TokenPurpose::{ResetPassword, VerifyEmail};
    let (ada, bob) = (kept_user(&*store, "ada").await?, kept_user(&*store, "bob").await?);
    let tokens = [(1, ResetPassword, ada), (2, ResetPassword, ada), (3, VerifyEmail, ada), (4, ResetPassword, bob)];
    for (number, purpose, user) in tokens {
        create(&*store, number, purpose, user).await?;
    }
    ensure_eq!(store.delete_tokens_of(ada, ResetPassword).await?, 2, "how many there were");
    for (number, purpose, user) in tokens {
        let expected = (number > 2).then_some(user);
        ensure_eq!(store.take_token(&hash(number), purpose, at(1)).await?, expected, format!("token {number}"));
    }
    Ok(())
}

async fn what_was_begun_is_taken_once(store: Arc<dyn AccountStore>) -> Result<(), Broken> {
    let data: Vec<u8> = (0..=u8::MAX).collect();
    store.begin_sign_in(hash(1), data.clone(), at(100)).await?;
    ensure_refused!(store.begin_sign_in(hash(1), vec![1], at(100)).await, StoreError::Taken(_), "the same again");
    ensure_eq!(store.take_sign_in(&hash(2), at(1)).await?, None, "another one");
    ensure_eq!(store.take_sign_in(&hash(1), at(100)).await?, None, "after its end");
    ensure_eq!(store.take_sign_in(&hash(1), at(99)).await?, Some(data), "what was begun");
    ensure_eq!(store.take_sign_in(&hash(1), at(99)).await?, None, "what was begun, for the second time");
    store.begin_sign_in(hash(1), Vec::new(), at(100)).await?;
    ensure_eq!(store.take_sign_in(&hash(1), at(1)).await?, Some(Vec::new()), "what was begun anew");
    Ok(())
}

async fn of_two_who_take_what_was_begun_at_once_one_gets_it(store: Arc<dyn AccountStore>) -> Result<(), Broken> {
    for number in 0..10 {
        let begun = hash(number);
        store.begin_sign_in(begun, vec![number], at(100)).await?;
        let (one, two) = at_once(store.take_sign_in(&begun, at(1)), store.take_sign_in(&begun, at(1))).await;
        let (one, two) = (one?, two?);
        ensure!(one.is_some() != two.is_some(), "who got it: {one:?} and {two:?}");
    }
    Ok(())
}

/// Sweeps until nothing is left; how much there was.
async fn sweep(store: &dyn AccountStore, now: Timestamp) -> Result<u64, Broken> {
    let mut swept = 0;
    loop {
        match store.sweep_credentials(now).await? {
            0 => return Ok(swept),
            more => swept += more,
        }
        ensure!(swept <= 100, "more is swept than there is");
    }
}

async fn what_has_ended_is_swept(store: Arc<dyn AccountStore>) -> Result<(), Broken> {
    let (shop, ada) = kept_organization(&*store, "ada").await?;
    let web = tenant(shop, "web");
    store.create_tenant(web.clone()).await?;
    store.create_key(key(web.id, None), hash(1)).await?;
    for number in 0..5 {
        store.put_session(hash(number), session(ada, 50 + i64::from(number))).await?;
    }
    create(&*store, 1, TokenPurpose::VerifyEmail, ada).await?;
    store.create_invitation(invitation(shop, Role::Viewer), hash(1)).await?;
    store.begin_sign_in(hash(1), vec![1], at(100)).await?;
    ensure_eq!(sweep(&*store, at(49)).await?, 0, "what was swept too early");
    ensure_eq!(sweep(&*store, at(52)).await?, 3, "how many sessions were swept");
    for number in 0..5 {
        let found = store.session(&hash(number), at(0)).await?;
        ensure_eq!(found.is_some(), number > 2, format!("whether session {number} is there"));
    }
    ensure!(store.invitation(&hash(1), at(0)).await?.is_some(), "an invitation was swept too early");
    ensure_eq!(sweep(&*store, at(100)).await?, 5, "how much was swept at last");
    ensure_eq!(store.take_token(&hash(1), TokenPurpose::VerifyEmail, at(0)).await?, None, "a token that ended");
    ensure_eq!(store.take_sign_in(&hash(1), at(0)).await?, None, "a sign-in that ended");
    ensure_eq!(store.invitations(shop, None, 9).await?, [], "the invitations that are left");
    ensure!(store.key(&hash(1)).await?.is_some(), "a key that has ended is not told any more");
    Ok(())
}
