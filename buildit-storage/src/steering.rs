//! The ports of the queue as people see and steer it, and of requests that may come twice, on either database: what they
//! do is written once, in `records`.

use async_trait::async_trait;
use buildit::id::{RunId, TenantId, WorkerId};
use buildit::store::{
    Intake, QueueControl, QueueFilter, QueueLine, QueuePlace, QueueStatus, QueuedRun, Request, RequestStore,
    StoreError, Worker,
};
use jiff::Timestamp;

#[cfg(feature = "postgres")]
use crate::postgres::PostgresStore;
use crate::records::{queue, request, worker};
#[cfg(feature = "sqlite")]
use crate::sqlite::SqliteStore;

/// Implements them for a store with records.
macro_rules! steering_ports {
    ($store:ty) => {
        #[async_trait]
        impl QueueControl for $store {
            async fn queued(
                &self,
                filter: &QueueFilter,
                after: Option<QueuePlace>,
                limit: usize,
            ) -> Result<Vec<QueuedRun>, StoreError> {
                queue::queued(self, filter, after, limit).await
            }

            async fn queued_run(&self, run: RunId) -> Result<Option<QueuedRun>, StoreError> {
                queue::queued_run(self, run).await
            }

            async fn queue_depths(&self) -> Result<Vec<(QueueStatus, u64)>, StoreError> {
                queue::depths(self).await
            }

            async fn queue_line(&self, tenant: TenantId) -> Result<QueueLine, StoreError> {
                queue::line(self, tenant).await
            }

            async fn set_intake(&self, tenant: Option<TenantId>, intake: Intake) -> Result<(), StoreError> {
                queue::set_intake(self, tenant, intake).await
            }

            async fn set_priority(&self, run: RunId, priority: i32) -> Result<(), StoreError> {
                queue::set_priority(self, run, priority).await
            }

            async fn note_worker(&self, worker: Worker) -> Result<(), StoreError> {
                worker::note(self, worker).await
            }

            async fn workers(&self, after: Option<&WorkerId>, limit: usize) -> Result<Vec<Worker>, StoreError> {
                worker::list(self, after, limit).await
            }

            async fn set_worker_intake(&self, worker: &WorkerId, intake: Intake) -> Result<(), StoreError> {
                worker::set_intake(self, worker, intake).await
            }

            async fn forget_worker(&self, worker: &WorkerId) -> Result<(), StoreError> {
                worker::forget(self, worker).await
            }

            async fn sweep_workers(&self, before: Timestamp) -> Result<u64, StoreError> {
                worker::sweep(self, before).await
            }
        }

        #[async_trait]
        impl RequestStore for $store {
            async fn remember(&self, request: Request, now: Timestamp) -> Result<Request, StoreError> {
                request::remember(self, request, now).await
            }

            async fn forget_request(&self, request: &Request) -> Result<(), StoreError> {
                request::forget(self, request).await
            }

            async fn sweep_requests(&self, now: Timestamp) -> Result<u64, StoreError> {
                request::sweep(self, now).await
            }
        }
    };
}

#[cfg(feature = "sqlite")]
steering_ports!(SqliteStore);
#[cfg(feature = "postgres")]
steering_ports!(PostgresStore);
