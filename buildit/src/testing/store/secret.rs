//! Clauses about sealed secrets.

use std::sync::Arc;

use super::Clause;
use super::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use super::samples::at;
use crate::store::{SealedSecret, SecretPlace, SecretScope, SecretStore, StoreError};

pub(super) fn clauses() -> Vec<Clause<dyn SecretStore>> {
    clauses![
        a_secret_is_kept_as_it_was_sealed,
        a_secret_is_replaced_by_its_next_version_alone,
        one_of_two_next_versions_at_once_wins,
        secrets_of_other_places_are_others,
        secrets_are_listed_in_order_and_in_pages,
        a_deleted_secret_is_gone,
    ]
}

fn place(scope: SecretScope, owner: &str, name: &str) -> SecretPlace {
    SecretPlace { scope, owner: owner.to_owned(), name: name.to_owned() }
}

fn token() -> SecretPlace {
    place(SecretScope::Pipeline, "shop", "TOKEN")
}

fn sealed(version: u64, text: &str) -> SealedSecret {
    SealedSecret { version, key_id: "key".into(), nonce: vec![0; 24], sealed: text.as_bytes().to_vec() }
}

async fn a_secret_is_kept_as_it_was_sealed(store: Arc<dyn SecretStore>) -> Result<(), Broken> {
    ensure_eq!(store.secret(&token()).await?, None, "what is in an empty store");
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let secret = SealedSecret { version: 1, key_id: "a key".into(), nonce: all[..24].to_vec(), sealed: all };
    store.put_secret(&token(), secret.clone(), at(1)).await?;
    ensure_eq!(store.secret(&token()).await?, Some(secret), "what was kept");
    Ok(())
}

async fn a_secret_is_replaced_by_its_next_version_alone(store: Arc<dyn SecretStore>) -> Result<(), Broken> {
    ensure_refused!(
        store.put_secret(&token(), sealed(2, "two"), at(0)).await,
        StoreError::Conflict { expected: 1, actual: 0 },
        "a second version without a first"
    );
    store.put_secret(&token(), sealed(1, "one"), at(1)).await?;
    for version in [0, 1, 3] {
        ensure_refused!(
            store.put_secret(&token(), sealed(version, "other"), at(2)).await,
            StoreError::Conflict { actual: 1, .. },
            format!("version {version} after the first")
        );
    }
    ensure_eq!(store.secret(&token()).await?, Some(sealed(1, "one")), "what is left of it");
    store.put_secret(&token(), sealed(2, "two"), at(3)).await?;
    ensure_eq!(store.secret(&token()).await?, Some(sealed(2, "two")), "the next version");
    let list = store.secrets(None, 9).await?;
    let times: Vec<_> = list.iter().map(|found| (found.version, found.created_at, found.updated_at)).collect();
    ensure_eq!(times, [(2, at(1), at(3))], "its version and times");
    Ok(())
}

async fn one_of_two_next_versions_at_once_wins(store: Arc<dyn SecretStore>) -> Result<(), Broken> {
    for version in 1..=20 {
        let (one, two) = tokio::join!(put(&store, version, "one"), put(&store, version, "two"),);
        ensure_eq!(one.is_ok() as u8 + two.is_ok() as u8, 1, format!("who wrote version {version}"));
        let winner = if one.is_ok() { "one" } else { "two" };
        ensure_eq!(store.secret(&token()).await?, Some(sealed(version, winner)), "what is there");
    }
    Ok(())
}

async fn put(store: &Arc<dyn SecretStore>, version: u64, text: &str) -> Result<(), StoreError> {
    tokio::task::yield_now().await;
    store.put_secret(&token(), sealed(version, text), at(0)).await
}

async fn secrets_of_other_places_are_others(store: Arc<dyn SecretStore>) -> Result<(), Broken> {
    let places = [
        token(),
        place(SecretScope::Tenant, "shop", "TOKEN"),
        place(SecretScope::Pipeline, "shop2", "TOKEN"),
        place(SecretScope::Pipeline, "shop", "TOKEN2"),
        place(SecretScope::Organization, "", "TOKEN"),
        place(SecretScope::Environment, "it's 100%", "TOKEN"),
    ];
    for (number, place) in places.iter().enumerate() {
        store.put_secret(place, sealed(1, &number.to_string()), at(0)).await?;
    }
    for (number, place) in places.iter().enumerate() {
        ensure_eq!(store.secret(place).await?, Some(sealed(1, &number.to_string())), place);
    }
    Ok(())
}

async fn secrets_are_listed_in_order_and_in_pages(store: Arc<dyn SecretStore>) -> Result<(), Broken> {
    let mut places = Vec::new();
    for scope in [SecretScope::Tenant, SecretScope::Environment, SecretScope::Pipeline, SecretScope::Organization] {
        for (owner, name) in [("b", "A"), ("a", "B"), ("a", "A"), ("", "Z")] {
            places.push(place(scope, owner, name));
        }
    }
    for place in &places {
        store.put_secret(place, sealed(1, "value"), at(0)).await?;
    }
    places.sort();
    let mut listed = Vec::new();
    loop {
        let page = store.secrets(listed.last(), 5).await?;
        ensure!(page.len() <= 5, "a page of {} secrets", page.len());
        if page.is_empty() {
            break;
        }
        ensure!(page.iter().all(|found| found.key_id == "key"), "the keys are others: {page:?}");
        listed.extend(page.into_iter().map(|found| found.place));
        ensure!(listed.len() <= places.len(), "more are listed than there are");
    }
    ensure_eq!(listed, places, "all places");
    Ok(())
}

async fn a_deleted_secret_is_gone(store: Arc<dyn SecretStore>) -> Result<(), Broken> {
    let other = place(SecretScope::Pipeline, "shop", "OTHER");
    for place in [&token(), &other] {
        store.put_secret(place, sealed(1, "value"), at(0)).await?;
    }
    ensure!(store.delete_secret(&token()).await?, "there is said to have been none");
    ensure_eq!(store.secret(&token()).await?, None, "what is left");
    ensure!(!store.delete_secret(&token()).await?, "there is said to have been one");
    ensure_eq!(store.secret(&other).await?, Some(sealed(1, "value")), "the other");
    store.put_secret(&token(), sealed(1, "again"), at(1)).await?;
    Ok(())
}
