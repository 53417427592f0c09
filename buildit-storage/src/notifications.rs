//! The ports of channels, of the outbox, and of runs to be told of elsewhere, on either database: what they do is written once, in `records`.

use async_trait::async_trait;
use buildit::id::{ChannelId, NotificationId, PipelineId, RunId, TenantId};
use buildit::store::{
    Channel, ChannelStore, Dispatch, Export, ExportStore, NoticeRule, Notification, NotificationStore, Settled,
    StoreError,
};
use jiff::Timestamp;

#[cfg(feature = "postgres")]
use crate::postgres::PostgresStore;
use crate::records::{export, notification};
#[cfg(feature = "sqlite")]
use crate::sqlite::SqliteStore;

/// Implements them for a store with records.
macro_rules! notification_ports {
    ($store:ty) => {
        #[async_trait]
        impl ChannelStore for $store {
            async fn create_channel(&self, channel: Channel) -> Result<(), StoreError> {
                notification::create_channel(self, channel).await
            }

            async fn channel(&self, id: ChannelId) -> Result<Option<Channel>, StoreError> {
                notification::channel(self, id).await
            }

            async fn channels(
                &self,
                tenant: TenantId,
                after: Option<&str>,
                limit: usize,
            ) -> Result<Vec<Channel>, StoreError> {
                notification::channels(self, tenant, after, limit).await
            }

            async fn change_channel(&self, known: &Channel, to: Channel) -> Result<bool, StoreError> {
                notification::change_channel(self, known, to).await
            }

            async fn delete_channel(&self, id: ChannelId) -> Result<bool, StoreError> {
                notification::delete_channel(self, id).await
            }

            async fn set_rule(
                &self,
                channel: ChannelId,
                pipeline: PipelineId,
                rule: Option<NoticeRule>,
            ) -> Result<(), StoreError> {
                notification::set_rule(self, channel, pipeline, rule).await
            }

            async fn rules(&self, pipeline: PipelineId) -> Result<Vec<(ChannelId, NoticeRule)>, StoreError> {
                notification::rules(self, pipeline).await
            }
        }

        #[async_trait]
        impl ExportStore for $store {
            async fn export(&self, run: RunId, now: Timestamp) -> Result<(), StoreError> {
                export::export(self, run, now).await
            }

            async fn take_exports(
                &self,
                now: Timestamp,
                until: Timestamp,
                limit: usize,
            ) -> Result<Vec<Export>, StoreError> {
                export::take(self, now, until, limit).await
            }

            async fn settle_export(&self, export: Export, again: Option<Timestamp>) -> Result<bool, StoreError> {
                export::settle(self, export, again).await
            }
        }

        #[async_trait]
        impl NotificationStore for $store {
            async fn notify(&self, notifications: Vec<Notification>) -> Result<u64, StoreError> {
                notification::notify(self, notifications).await
            }

            async fn take_notifications(
                &self,
                now: Timestamp,
                until: Timestamp,
                limit: usize,
            ) -> Result<Vec<Dispatch>, StoreError> {
                notification::take(self, now, until, limit).await
            }

            async fn settle_notification(
                &self,
                id: NotificationId,
                tries: u32,
                how: Settled,
            ) -> Result<bool, StoreError> {
                notification::settle(self, id, tries, how).await
            }

            async fn retry_notification(
                &self,
                channel: ChannelId,
                id: NotificationId,
                now: Timestamp,
            ) -> Result<bool, StoreError> {
                notification::retry(self, channel, id, now).await
            }

            async fn dispatches(
                &self,
                channel: ChannelId,
                before: Option<NotificationId>,
                limit: usize,
            ) -> Result<Vec<Dispatch>, StoreError> {
                notification::dispatches(self, channel, before, limit).await
            }

            async fn sweep_notifications(&self, before: Timestamp) -> Result<u64, StoreError> {
                notification::sweep(self, before).await
            }
        }
    };
}

#[cfg(feature = "sqlite")]
notification_ports!(SqliteStore);
#[cfg(feature = "postgres")]
notification_ports!(PostgresStore);
