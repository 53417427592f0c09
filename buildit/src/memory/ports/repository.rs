//! Repositories.

use async_trait::async_trait;

use super::super::store::MemoryStore;
use crate::id::{RepositoryId, TenantId};
use crate::store::{Fetch, Repository, RepositoryStore, StoreError, Webhook, check_repository};

#[async_trait]
impl RepositoryStore for MemoryStore {
    async fn put_repository(&self, repository: Repository) -> Result<(), StoreError> {
        check_repository(&repository)?;
        self.repositories_locked().put(repository)
    }

    async fn repository(&self, id: RepositoryId) -> Result<Option<Repository>, StoreError> {
        Ok(self.repositories_locked().get(id).cloned())
    }

    async fn repository_at(&self, tenant: TenantId, url: &str) -> Result<Option<Repository>, StoreError> {
        Ok(self.repositories_locked().at(tenant, url).cloned())
    }

    async fn repositories(
        &self,
        tenant: TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Repository>, StoreError> {
        Ok(self.repositories_locked().list(tenant, after, limit))
    }

    async fn note_fetch(&self, id: RepositoryId, fetch: Fetch) -> Result<(), StoreError> {
        self.repositories_locked().note_fetch(id, fetch)
    }

    async fn note_webhook(&self, id: RepositoryId, webhook: Option<Webhook>) -> Result<(), StoreError> {
        self.repositories_locked().note_webhook(id, webhook)
    }

    async fn delete_repository(&self, id: RepositoryId) -> Result<bool, StoreError> {
        self.repositories_locked().delete(id)
    }
}
