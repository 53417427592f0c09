//! Channels and the outbox.

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::store::MemoryStore;
use crate::id::{ChannelId, NotificationId, PipelineId, TenantId};
use crate::store::{
    Channel, ChannelStore, Dispatch, NoticeRule, Notification, NotificationStore, Settled, StoreError, check_channel,
};

#[async_trait]
impl ChannelStore for MemoryStore {
    async fn create_channel(&self, channel: Channel) -> Result<(), StoreError> {
        check_channel(&channel)?;
        self.notifications_locked().create(channel)
    }

    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>, StoreError> {
        Ok(self.notifications_locked().channel(id).cloned())
    }

    async fn channels(&self, tenant: TenantId, after: Option<&str>, limit: usize) -> Result<Vec<Channel>, StoreError> {
        Ok(self.notifications_locked().channels(tenant, after, limit))
    }

    async fn change_channel(&self, known: &Channel, to: Channel) -> Result<bool, StoreError> {
        check_channel(&to)?;
        self.notifications_locked().change_channel(known, to)
    }

    async fn delete_channel(&self, id: ChannelId) -> Result<bool, StoreError> {
        self.notifications_locked().delete_channel(id)
    }

    async fn set_rule(
        &self,
        channel: ChannelId,
        pipeline: PipelineId,
        rule: Option<NoticeRule>,
    ) -> Result<(), StoreError> {
        self.notifications_locked().set_rule(channel, pipeline, rule)
    }

    async fn rules(&self, pipeline: PipelineId) -> Result<Vec<(ChannelId, NoticeRule)>, StoreError> {
        Ok(self.notifications_locked().rules(pipeline))
    }
}

#[async_trait]
impl NotificationStore for MemoryStore {
    async fn notify(&self, notifications: Vec<Notification>) -> Result<u64, StoreError> {
        self.notifications_locked().notify(notifications)
    }

    async fn take_notifications(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Dispatch>, StoreError> {
        self.notifications_locked().take(now, until, limit)
    }

    async fn settle_notification(&self, id: NotificationId, tries: u32, how: Settled) -> Result<bool, StoreError> {
        self.notifications_locked().settle(id, tries, how)
    }

    async fn retry_notification(
        &self,
        channel: ChannelId,
        id: NotificationId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.notifications_locked().retry(channel, id, now)
    }

    async fn dispatches(
        &self,
        channel: ChannelId,
        before: Option<NotificationId>,
        limit: usize,
    ) -> Result<Vec<Dispatch>, StoreError> {
        Ok(self.notifications_locked().dispatches(channel, before, limit))
    }

    async fn sweep_notifications(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.notifications_locked().sweep(before)
    }
}
