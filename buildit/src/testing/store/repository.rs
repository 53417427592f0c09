//! Clauses about repositories.

use std::sync::Arc;

use futures_util::future::join_all;

use super::Clause;
use super::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use super::samples::at;
use crate::id::{RepositoryId, TenantId};
use crate::pipeline::CheckoutSpec;
use crate::store::{
    Fetch, Forge, LONGEST_TEXT, Login, Repository, RepositorySettings, RepositoryStore, StatusMode, StoreError,
    Webhook, WebhookState,
};

pub(super) fn clauses() -> Vec<Clause<dyn RepositoryStore>> {
    clauses![
        a_repository_is_kept_as_it_was_written,
        a_repository_is_replaced_by_its_next_version_alone,
        one_of_two_versions_of_a_repository_at_once_wins,
        a_name_and_an_address_are_of_one_repository_of_a_tenant,
        a_repository_is_found_by_its_address,
        repositories_of_a_tenant_are_listed_in_order_and_in_pages,
        how_a_repository_was_fetched_is_no_version_of_it,
        how_it_stands_with_a_webhook_is_no_version_of_its_repository,
        a_deleted_repository_is_gone,
        texts_of_repositories_that_no_store_keeps_are_refused,
    ]
}

pub(super) fn sample(tenant: TenantId, name: &str) -> Repository {
    Repository {
        id: RepositoryId::new(),
        tenant,
        name: name.to_owned(),
        url: format!("https://example.org/{name}.git"),
        settings: RepositorySettings::default(),
        last_fetch: None,
        webhook: None,
        version: 1,
        created_at: at(1),
        updated_at: at(1),
    }
}

fn next(before: &Repository) -> Repository {
    let version = before.version + 1;
    Repository { version, updated_at: at(i64::try_from(version).unwrap_or_default()), ..before.clone() }
}

async fn a_repository_is_kept_as_it_was_written(store: Arc<dyn RepositoryStore>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    let settings = RepositorySettings {
        forge: Some(Forge::Gitea),
        api_url: Some("https://git.example.org/api/v1".into()),
        login: Login::Token,
        host_keys: "git.example ssh-ed25519 AAAA\n".to_owned(),
        forge_token: true,
        default_branch: Some("it's/\u{fc}".into()),
        checkout: CheckoutSpec { depth: std::num::NonZeroU32::new(7), submodules: true, lfs: true },
        statuses: StatusMode::Stages,
    };
    let full = Repository { settings, ..sample(tenant, "acme/shop \"\u{fc}\"") };
    ensure_eq!(store.repository(full.id).await?, None, "what is in an empty store");
    for written in [full, sample(TenantId::NONE, "shop")] {
        store.put_repository(written.clone()).await?;
        ensure_eq!(store.repository(written.id).await?, Some(written), "what was written");
    }
    ensure_eq!(store.repository(RepositoryId::new()).await?, None, "one of another id");
    Ok(())
}

async fn a_repository_is_replaced_by_its_next_version_alone(store: Arc<dyn RepositoryStore>) -> Result<(), Broken> {
    let first = sample(TenantId::new(), "shop");
    ensure_refused!(
        store.put_repository(next(&first)).await,
        StoreError::Conflict { expected: 1, actual: 0 },
        "a second version without a first"
    );
    store.put_repository(first.clone()).await?;
    for version in [0, 1, 3] {
        ensure_refused!(
            store.put_repository(Repository { version, ..first.clone() }).await,
            StoreError::Conflict { actual: 1, .. },
            format!("version {version} after the first")
        );
    }
    let moved = Repository { name: "store".into(), url: "git@example.org:store".into(), ..next(&first) };
    let elsewhere = Repository { tenant: TenantId::new(), created_at: at(9), ..moved.clone() };
    store.put_repository(elsewhere).await?;
    ensure_eq!(store.repository(first.id).await?, Some(moved.clone()), "the next version");
    ensure_eq!(store.repository_at(first.tenant, &first.url).await?, None, "what is at the address before");
    ensure_eq!(store.repository_at(first.tenant, &moved.url).await?, Some(moved), "what is at its address");
    Ok(())
}

async fn one_of_two_versions_of_a_repository_at_once_wins(store: Arc<dyn RepositoryStore>) -> Result<(), Broken> {
    let mut known = sample(TenantId::new(), "shop");
    for version in 1..=4_u64 {
        let put = |who: usize| store.put_repository(Repository { name: format!("shop {who}"), ..known.clone() });
        let won = join_all((0..4).map(put)).await.iter().filter(|ended| ended.is_ok()).count();
        ensure_eq!(won, 1, format!("how many of 4 wrote version {version}"));
        known = next(&known);
    }
    Ok(())
}

async fn a_name_and_an_address_are_of_one_repository_of_a_tenant(
    store: Arc<dyn RepositoryStore>,
) -> Result<(), Broken> {
    let (tenant, other) = (TenantId::new(), TenantId::new());
    let first = sample(tenant, "shop");
    store.put_repository(first.clone()).await?;
    let same_name = Repository { url: "https://example.org/b".into(), ..sample(tenant, "shop") };
    let same_address = Repository { name: "b".into(), ..sample(tenant, "shop") };
    for taken in [&same_name, &same_address] {
        let refused = store.put_repository(taken.clone()).await;
        ensure_refused!(refused, StoreError::Taken(_), "a second of its name or address");
        ensure_eq!(store.repository(taken.id).await?, None, "what was refused");
    }
    let second = sample(tenant, "second");
    store.put_repository(second.clone()).await?;
    let renamed = Repository { name: "shop".into(), ..next(&second) };
    ensure_refused!(store.put_repository(renamed).await, StoreError::Taken(_), "a new name that another has");
    ensure_eq!(store.repository(second.id).await?, Some(second), "what it is after that");
    store.put_repository(sample(other, "shop")).await?;
    Ok(())
}

async fn a_repository_is_found_by_its_address(store: Arc<dyn RepositoryStore>) -> Result<(), Broken> {
    let (one, two) = (sample(TenantId::new(), "shop"), sample(TenantId::new(), "shop"));
    for repository in [&one, &two] {
        store.put_repository(repository.clone()).await?;
    }
    ensure_eq!(store.repository_at(one.tenant, &one.url).await?, Some(one.clone()), "the one's");
    ensure_eq!(store.repository_at(two.tenant, &two.url).await?, Some(two), "the other's");
    ensure_eq!(store.repository_at(TenantId::new(), &one.url).await?, None, "that of a tenant without any");
    ensure_eq!(store.repository_at(one.tenant, "https://example.org").await?, None, "that at another address");
    Ok(())
}

async fn repositories_of_a_tenant_are_listed_in_order_and_in_pages(
    store: Arc<dyn RepositoryStore>,
) -> Result<(), Broken> {
    let (tenant, other) = (TenantId::new(), TenantId::new());
    let names = ["Zoo", "a", "a b", "a-b", "a/b", "b", "\u{fc}"];
    for name in names.iter().rev() {
        store.put_repository(sample(tenant, name)).await?;
    }
    store.put_repository(sample(other, "c")).await?;
    let (mut listed, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = store.repositories(tenant, after.as_deref(), 2).await?;
        ensure!(page.len() <= 2, "a page of {} repositories", page.len());
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        listed.extend(page.into_iter().map(|repository| repository.name));
        ensure!(listed.len() <= names.len(), "it lists without an end: {listed:?}");
    }
    ensure_eq!(listed, names, "all repositories of the tenant");
    Ok(())
}

async fn how_a_repository_was_fetched_is_no_version_of_it(store: Arc<dyn RepositoryStore>) -> Result<(), Broken> {
    let first = sample(TenantId::new(), "shop");
    let failed = Fetch { at: at(5), error: Some("it's \"gone\" \u{fc}".into()) };
    store.note_fetch(first.id, failed.clone()).await?;
    ensure_eq!(store.repository(first.id).await?, None, "what is noted of nothing");
    store.put_repository(first.clone()).await?;
    store.note_fetch(first.id, failed.clone()).await?;
    let noted = Repository { last_fetch: Some(failed.clone()), ..first.clone() };
    ensure_eq!(store.repository(first.id).await?, Some(noted), "what is noted");
    store.put_repository(next(&first)).await?;
    let kept = Repository { last_fetch: Some(failed), ..next(&first) };
    ensure_eq!(store.repository(first.id).await?, Some(kept), "what its next version leaves of that");
    let fetched = Fetch { at: at(6), error: None };
    store.note_fetch(first.id, fetched.clone()).await?;
    let noted = Repository { last_fetch: Some(fetched), ..next(&first) };
    ensure_eq!(store.repository(first.id).await?, Some(noted), "what is noted then");
    Ok(())
}

async fn how_it_stands_with_a_webhook_is_no_version_of_its_repository(
    store: Arc<dyn RepositoryStore>,
) -> Result<(), Broken> {
    let first = sample(TenantId::new(), "shop");
    let wrong = Webhook { state: WebhookState::Wrong, why: Some("it's \"off\" \u{fc}".into()), at: at(5) };
    store.note_webhook(first.id, Some(wrong.clone())).await?;
    ensure_eq!(store.repository(first.id).await?, None, "what is noted of nothing");
    store.put_repository(Repository { webhook: Some(wrong.clone()), ..first.clone() }).await?;
    ensure_eq!(store.repository(first.id).await?, Some(first.clone()), "what was only written with it");
    store.note_webhook(first.id, Some(wrong.clone())).await?;
    let noted = Repository { webhook: Some(wrong.clone()), ..first.clone() };
    ensure_eq!(store.repository_at(first.tenant, &first.url).await?, Some(noted), "what is noted");
    store.put_repository(next(&first)).await?;
    let kept = Repository { webhook: Some(wrong), ..next(&first) };
    ensure_eq!(store.repository(first.id).await?, Some(kept), "what its next version leaves of that");
    store.note_webhook(first.id, None).await?;
    ensure_eq!(store.repository(first.id).await?, Some(next(&first)), "what is left when nothing is known");
    Ok(())
}

async fn a_deleted_repository_is_gone(store: Arc<dyn RepositoryStore>) -> Result<(), Broken> {
    let (one, two) = (sample(TenantId::new(), "shop"), sample(TenantId::new(), "shop"));
    for repository in [&one, &two] {
        store.put_repository(repository.clone()).await?;
    }
    ensure!(store.delete_repository(one.id).await?, "it was there and the store says that it was not");
    ensure!(!store.delete_repository(one.id).await?, "it is gone and the store says that it was there");
    ensure_eq!(store.repository(one.id).await?, None, "what was deleted");
    ensure_eq!(store.repositories(one.tenant, None, 9).await?, [], "the list");
    ensure!(store.repository(two.id).await?.is_some(), "another tenant's is gone with it");
    store.put_repository(sample(one.tenant, "shop")).await?;
    Ok(())
}

async fn texts_of_repositories_that_no_store_keeps_are_refused(store: Arc<dyn RepositoryStore>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    for text in [String::new(), "a\0b".into(), "a".repeat(LONGEST_TEXT + 1)] {
        let shown = text.get(..9).unwrap_or(&text).to_owned();
        let named = Repository { name: text.clone(), ..sample(tenant, "a") };
        ensure_refused!(store.put_repository(named).await, StoreError::Unfit(_), format!("the name {shown:?}"));
        let placed = Repository { url: text.clone(), ..sample(tenant, "a") };
        ensure_refused!(store.put_repository(placed).await, StoreError::Unfit(_), format!("the address {shown:?}"));
        ensure_eq!(store.repository_at(tenant, &text).await?, None, "what was refused");
    }
    ensure_eq!(store.repositories(tenant, None, 9).await?, [], "what is kept of it");
    Ok(())
}
