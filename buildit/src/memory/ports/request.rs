//! Requests that may come twice.

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::store::MemoryStore;
use crate::store::{Request, RequestStore, StoreError};

#[async_trait]
impl RequestStore for MemoryStore {
    async fn remember(&self, request: Request, now: Timestamp) -> Result<Request, StoreError> {
        self.requests_locked().remember(request, now)
    }

    async fn forget_request(&self, request: &Request) -> Result<(), StoreError> {
        self.requests_locked().forget(request)
    }

    async fn sweep_requests(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.requests_locked().sweep(now)
    }
}
