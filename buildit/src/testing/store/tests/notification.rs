//! Its channels and its outbox.

use async_trait::async_trait;
use jiff::Timestamp;

use super::broken::Broken;
use super::faults::Fault;
use crate::id::{ChannelId, NotificationId, PipelineId, TenantId};
use crate::store::{Channel, ChannelStore, Dispatch, NoticeRule, Notification, NotificationStore, Settled, StoreError};

#[async_trait]
impl ChannelStore for Broken {
    async fn create_channel(&self, channel: Channel) -> Result<(), StoreError> {
        match self.inner.create_channel(channel).await {
            Err(StoreError::Taken(_)) if self.has(Fault::DoublesChannels) => Ok(()),
            made => made,
        }
    }

    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>, StoreError> {
        self.inner.channel(id).await
    }

    async fn channels(&self, tenant: TenantId, after: Option<&str>, limit: usize) -> Result<Vec<Channel>, StoreError> {
        let after = after.filter(|_| !self.has(Fault::FirstPageOfChannels));
        self.inner.channels(tenant, after, limit).await
    }

    async fn change_channel(&self, known: &Channel, to: Channel) -> Result<bool, StoreError> {
        let there = self.inner.channel(known.id).await?;
        let known = there.filter(|_| self.has(Fault::AnybodyChangesChannels)).unwrap_or_else(|| known.clone());
        self.inner.change_channel(&known, to).await
    }

    async fn delete_channel(&self, id: ChannelId) -> Result<bool, StoreError> {
        if self.has(Fault::KeepsChannels) {
            return Ok(self.inner.channel(id).await?.is_some());
        }
        self.inner.delete_channel(id).await
    }

    async fn set_rule(
        &self,
        channel: ChannelId,
        pipeline: PipelineId,
        rule: Option<NoticeRule>,
    ) -> Result<(), StoreError> {
        let rule = if self.has(Fault::SilenceIsNoRule) { rule.filter(|rule| !rule.occasions.is_empty()) } else { rule };
        self.inner.set_rule(channel, pipeline, rule).await
    }

    async fn rules(&self, pipeline: PipelineId) -> Result<Vec<(ChannelId, NoticeRule)>, StoreError> {
        self.inner.rules(pipeline).await
    }
}

#[async_trait]
impl NotificationStore for Broken {
    async fn notify(&self, mut notifications: Vec<Notification>) -> Result<u64, StoreError> {
        if self.has(Fault::TellsTwice) {
            for told in &mut notifications {
                told.id = NotificationId::new();
                told.subject = told.id.to_string();
            }
        }
        self.inner.notify(notifications).await
    }

    async fn take_notifications(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Dispatch>, StoreError> {
        let until = if self.has(Fault::TakesForNobody) { now } else { until };
        self.inner.take_notifications(now, until, limit).await
    }

    async fn settle_notification(&self, id: NotificationId, tries: u32, how: Settled) -> Result<bool, StoreError> {
        let settled = self.inner.settle_notification(id, tries, how.clone()).await?;
        if settled || !self.has(Fault::SettlesAnyTry) {
            return Ok(settled);
        }
        self.inner.settle_notification(id, tries + 1, how).await
    }

    async fn retry_notification(
        &self,
        channel: ChannelId,
        id: NotificationId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.inner.retry_notification(channel, id, now).await? || self.has(Fault::RetriesAnything))
    }

    async fn dispatches(
        &self,
        channel: ChannelId,
        before: Option<NotificationId>,
        limit: usize,
    ) -> Result<Vec<Dispatch>, StoreError> {
        let mut dispatches = self.inner.dispatches(channel, before, limit).await?;
        if self.has(Fault::ListsDispatchesBackwards) {
            dispatches.reverse();
        }
        Ok(dispatches)
    }

    async fn sweep_notifications(&self, before: Timestamp) -> Result<u64, StoreError> {
        if self.has(Fault::KeepsDispatches) { Ok(1) } else { self.inner.sweep_notifications(before).await }
    }
}
