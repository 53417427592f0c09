//! The port of repositories on either database: what it does is written once, in `records`.

use async_trait::async_trait;
use buildit::id::{RepositoryId, TenantId};
use buildit::store::{Fetch, Repository, RepositoryStore, StoreError};

#[cfg(feature = "postgres")]
use crate::postgres::PostgresStore;
use crate::records::repository;
#[cfg(feature = "sqlite")]
use crate::sqlite::SqliteStore;

/// Implements it for a store with records.
macro_rules! repository_port {
    ($store:ty) => {
        #[async_trait]
        impl RepositoryStore for $store {
            async fn put_repository(&self, repository: Repository) -> Result<(), StoreError> {
                repository::put_repository(self, repository).await
            }

            async fn repository(&self, id: RepositoryId) -> Result<Option<Repository>, StoreError> {
                repository::repository(self, id).await
            }

            async fn repository_at(&self, tenant: TenantId, url: &str) -> Result<Option<Repository>, StoreError> {
                repository::repository_at(self, tenant, url).await
            }

            async fn repositories(
                &self,
                tenant: TenantId,
                after: Option<&str>,
                limit: usize,
            ) -> Result<Vec<Repository>, StoreError> {
                repository::repositories(self, tenant, after, limit).await
            }

            async fn note_fetch(&self, id: RepositoryId, fetch: Fetch) -> Result<(), StoreError> {
                repository::note_fetch(self, id, fetch).await
            }

            async fn delete_repository(&self, id: RepositoryId) -> Result<bool, StoreError> {
                repository::delete_repository(self, id).await
            }
        }
    };
}

#[cfg(feature = "sqlite")]
repository_port!(SqliteStore);
#[cfg(feature = "postgres")]
repository_port!(PostgresStore);
