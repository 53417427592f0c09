//! Deliveries.

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::store::MemoryStore;
use crate::id::{DeliveryId, RepositoryId};
use crate::store::{Delivery, DeliveryStore, StoreError, check_delivery};

#[async_trait]
impl DeliveryStore for MemoryStore {
    async fn keep_delivery(&self, delivery: Delivery, body: Vec<u8>) -> Result<bool, StoreError> {
        check_delivery(&delivery)?;
        self.deliveries_locked().keep(delivery, body)
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        Ok(self.deliveries_locked().get(id).map(|(delivery, _)| delivery.clone()))
    }

    async fn delivery_body(&self, id: DeliveryId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.deliveries_locked().get(id).map(|(_, body)| body.clone()))
    }

    async fn deliveries(
        &self,
        repository: RepositoryId,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        Ok(self.deliveries_locked().list(repository, before, limit))
    }

    async fn take_deliveries(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.deliveries_locked().take(now, until, limit)
    }

    async fn settle_delivery(&self, delivery: Delivery) -> Result<bool, StoreError> {
        self.deliveries_locked().settle(delivery)
    }

    async fn sweep_deliveries(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.deliveries_locked().sweep(before)
    }
}
