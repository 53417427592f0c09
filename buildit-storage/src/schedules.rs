//! The port of schedules on either database: what it does is written once, in `records`.

use async_trait::async_trait;
use buildit::id::PipelineId;
use buildit::store::{Schedule, ScheduleStore, StoreError};
use jiff::Timestamp;

#[cfg(feature = "postgres")]
use crate::postgres::PostgresStore;
use crate::records::schedule;
#[cfg(feature = "sqlite")]
use crate::sqlite::SqliteStore;

/// Implements it for a store with records.
macro_rules! schedule_port {
    ($store:ty) => {
        #[async_trait]
        impl ScheduleStore for $store {
            async fn set_schedules(&self, pipeline: PipelineId, schedules: Vec<Schedule>) -> Result<(), StoreError> {
                schedule::set(self, pipeline, schedules).await
            }

            async fn schedules(&self, pipeline: PipelineId) -> Result<Vec<Schedule>, StoreError> {
                schedule::list(self, pipeline).await
            }

            async fn due_schedules(&self, now: Timestamp, limit: usize) -> Result<Vec<Schedule>, StoreError> {
                schedule::due(self, now, limit).await
            }

            async fn change_schedule(&self, known: &Schedule, to: Schedule) -> Result<bool, StoreError> {
                schedule::change(self, known, to).await
            }
        }
    };
}

#[cfg(feature = "sqlite")]
schedule_port!(SqliteStore);
#[cfg(feature = "postgres")]
schedule_port!(PostgresStore);
