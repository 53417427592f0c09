//! The ports of repositories, of their deliveries and of what their forges are to say, on either database: what they do is
//! written once, in `records`.

use async_trait::async_trait;
use buildit::id::{DeliveryId, RepositoryId, StatusId, TenantId};
use buildit::store::{
    CommitStatus, Delivery, DeliveryStore, Fetch, Report, Repository, RepositoryStore, Settled, StatusStore,
    StoreError, Webhook,
};
use jiff::Timestamp;

#[cfg(feature = "postgres")]
use crate::postgres::PostgresStore;
use crate::records::{delivery, repository, status};
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

            async fn note_webhook(&self, id: RepositoryId, webhook: Option<Webhook>) -> Result<(), StoreError> {
                repository::note_webhook(self, id, webhook).await
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

/// Implements that of deliveries for a store with records.
macro_rules! delivery_port {
    ($store:ty) => {
        #[async_trait]
        impl DeliveryStore for $store {
            async fn keep_delivery(&self, delivery: Delivery, body: Vec<u8>) -> Result<bool, StoreError> {
                delivery::keep_delivery(self, delivery, body).await
            }

            async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
                delivery::delivery(self, id).await
            }

            async fn delivery_body(&self, id: DeliveryId) -> Result<Option<Vec<u8>>, StoreError> {
                delivery::delivery_body(self, id).await
            }

            async fn deliveries(
                &self,
                repository: RepositoryId,
                before: Option<DeliveryId>,
                limit: usize,
            ) -> Result<Vec<Delivery>, StoreError> {
                delivery::deliveries(self, repository, before, limit).await
            }

            async fn take_deliveries(
                &self,
                now: Timestamp,
                until: Timestamp,
                limit: usize,
            ) -> Result<Vec<Delivery>, StoreError> {
                delivery::take_deliveries(self, now, until, limit).await
            }

            async fn settle_delivery(&self, delivery: Delivery) -> Result<bool, StoreError> {
                delivery::settle_delivery(self, delivery).await
            }

            async fn sweep_deliveries(&self, before: Timestamp) -> Result<u64, StoreError> {
                delivery::sweep_deliveries(self, before).await
            }
        }
    };
}

#[cfg(feature = "sqlite")]
delivery_port!(SqliteStore);
#[cfg(feature = "postgres")]
delivery_port!(PostgresStore);

/// Implements that of what forges are to say for a store with records.
macro_rules! status_port {
    ($store:ty) => {
        #[async_trait]
        impl StatusStore for $store {
            async fn report_status(&self, status: CommitStatus) -> Result<bool, StoreError> {
                status::report_status(self, status).await
            }

            async fn take_statuses(
                &self,
                now: Timestamp,
                until: Timestamp,
                limit: usize,
            ) -> Result<Vec<Report>, StoreError> {
                status::take_statuses(self, now, until, limit).await
            }

            async fn settle_status(&self, id: StatusId, tries: u32, how: Settled) -> Result<bool, StoreError> {
                status::settle_status(self, id, tries, how).await
            }

            async fn retry_status(
                &self,
                repository: RepositoryId,
                id: StatusId,
                now: Timestamp,
            ) -> Result<bool, StoreError> {
                status::retry_status(self, repository, id, now).await
            }

            async fn statuses(
                &self,
                repository: RepositoryId,
                before: Option<StatusId>,
                limit: usize,
            ) -> Result<Vec<Report>, StoreError> {
                status::statuses(self, repository, before, limit).await
            }

            async fn sweep_statuses(&self, before: Timestamp) -> Result<u64, StoreError> {
                status::sweep_statuses(self, before).await
            }
        }
    };
}

#[cfg(feature = "sqlite")]
status_port!(SqliteStore);
#[cfg(feature = "postgres")]
status_port!(PostgresStore);
