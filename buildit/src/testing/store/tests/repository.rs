//! Stores that are broken in what they keep of repositories, each of which some clause rejects.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use crate::id::{RepositoryId, TenantId};
use crate::memory::MemoryStore;
use crate::store::{Fetch, Repository, RepositoryStore, StoreError, Webhook};
use crate::testing::store::{assert_clauses, check_clauses, repository_clauses};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    ForgetsSettings,
    LastWins,
    TakesNamesTwice,
    OneTenant,
    EndlessPages,
    CountsFetches,
    ForgetsWebhooks,
    KeepsDeleted,
    TakesAnyText,
}

const REJECTED: &[(Fault, &[&str])] = &[
    (Fault::ForgetsSettings, &["a_repository_is_kept_as_it_was_written"]),
    (
        Fault::LastWins,
        &["a_repository_is_replaced_by_its_next_version_alone", "one_of_two_versions_of_a_repository_at_once_wins"],
    ),
    (Fault::TakesNamesTwice, &["a_name_and_an_address_are_of_one_repository_of_a_tenant"]),
    (Fault::OneTenant, &["a_repository_is_found_by_its_address"]),
    (Fault::EndlessPages, &["repositories_of_a_tenant_are_listed_in_order_and_in_pages"]),
    (Fault::CountsFetches, &["how_a_repository_was_fetched_is_no_version_of_it"]),
    (Fault::ForgetsWebhooks, &["how_it_stands_with_a_webhook_is_no_version_of_its_repository"]),
    (Fault::KeepsDeleted, &["a_deleted_repository_is_gone"]),
    (Fault::TakesAnyText, &["texts_of_repositories_that_no_store_keeps_are_refused"]),
];

#[derive(Debug)]
struct Broken {
    inner: MemoryStore,
    fault: Fault,
}

#[async_trait]
impl RepositoryStore for Broken {
    async fn put_repository(&self, mut repository: Repository) -> Result<(), StoreError> {
        if self.fault == Fault::ForgetsWebhooks {
            self.inner.note_webhook(repository.id, None).await?;
        }
        match self.fault {
            Fault::ForgetsSettings => repository.settings = Default::default(),
            Fault::LastWins => {
                let there = self.inner.repository(repository.id).await?;
                repository.version = there.map_or(1, |there| there.version + 1);
            }
            Fault::TakesNamesTwice => {
                if let Err(StoreError::Taken(_)) = self.inner.put_repository(repository.clone()).await {
                    repository.name.push('2');
                    repository.url.push('2');
                } else {
                    return Ok(());
                }
            }
            Fault::TakesAnyText => {
                for text in [&mut repository.name, &mut repository.url] {
                    text.truncate(99);
                    *text = text.replace('\0', "") + "x";
                }
            }
            _ => {}
        }
        self.inner.put_repository(repository).await
    }

    async fn repository(&self, id: RepositoryId) -> Result<Option<Repository>, StoreError> {
        self.inner.repository(id).await
    }

    async fn repository_at(&self, tenant: TenantId, url: &str) -> Result<Option<Repository>, StoreError> {
        let of = if self.fault == Fault::OneTenant { TenantId::NONE } else { tenant };
        self.inner.repository_at(of, url).await
    }

    async fn repositories(
        &self,
        tenant: TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Repository>, StoreError> {
        let limit = if self.fault == Fault::EndlessPages { 99 } else { limit };
        self.inner.repositories(tenant, after, limit).await
    }

    async fn note_fetch(&self, id: RepositoryId, fetch: Fetch) -> Result<(), StoreError> {
        if self.fault == Fault::CountsFetches
            && let Some(there) = self.inner.repository(id).await?
        {
            self.inner.put_repository(Repository { version: there.version + 1, ..there }).await?;
        }
        self.inner.note_fetch(id, fetch).await
    }

    async fn note_webhook(&self, id: RepositoryId, webhook: Option<Webhook>) -> Result<(), StoreError> {
        self.inner.note_webhook(id, webhook).await
    }

    async fn delete_repository(&self, id: RepositoryId) -> Result<bool, StoreError> {
        match self.fault {
            Fault::KeepsDeleted => Ok(self.inner.repository(id).await?.is_some()),
            _ => self.inner.delete_repository(id).await,
        }
    }
}

#[tokio::test]
async fn the_memory_store_keeps_repositories() {
    assert_clauses(repository_clauses(), async || Arc::new(MemoryStore::new()) as _).await;
}

#[tokio::test]
async fn the_journaled_store_keeps_repositories_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let repository = |name: &str| Repository {
        id: RepositoryId::new(),
        tenant: TenantId::NONE,
        name: name.into(),
        url: format!("/{name}"),
        settings: Default::default(),
        last_fetch: None,
        webhook: None,
        version: 1,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        updated_at: jiff::Timestamp::UNIX_EPOCH,
    };
    let (gone, kept) = (repository("a"), repository("b"));
    let fetch = Fetch { at: jiff::Timestamp::UNIX_EPOCH, error: None };
    let store = MemoryStore::journaled(folder.path()).unwrap();
    for put in [&gone, &kept] {
        store.put_repository(put.clone()).await.unwrap();
    }
    store.put_repository(Repository { version: 2, ..kept.clone() }).await.unwrap();
    store.note_fetch(kept.id, fetch.clone()).await.unwrap();
    store.delete_repository(gone.id).await.unwrap();
    drop(store);
    let store = MemoryStore::journaled(folder.path()).unwrap();
    let kept = Repository { version: 2, last_fetch: Some(fetch), ..kept };
    assert_eq!(store.repositories(TenantId::NONE, None, 9).await.unwrap(), [kept]);
}

#[tokio::test]
async fn every_broken_store_of_repositories_is_rejected() {
    for (fault, clauses) in REJECTED {
        let make = async || Arc::new(Broken { inner: MemoryStore::new(), fault: *fault }) as _;
        let violations = check_clauses(repository_clauses(), make).await;
        let violated: BTreeSet<&str> = violations.iter().map(|violation| violation.clause).collect();
        for clause in *clauses {
            assert!(violated.contains(clause), "{fault:?} passes {clause}; it violates {violated:?}");
        }
    }
    let rejecting: BTreeSet<&str> = REJECTED.iter().flat_map(|(_, clauses)| clauses.iter().copied()).collect();
    assert_eq!(rejecting, repository_clauses().iter().map(|clause| clause.name()).collect());
}
