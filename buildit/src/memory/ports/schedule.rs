//! When pipelines run by the clock.

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::store::MemoryStore;
use crate::id::PipelineId;
use crate::store::{Schedule, ScheduleStore, StoreError};

#[async_trait]
impl ScheduleStore for MemoryStore {
    async fn set_schedules(&self, pipeline: PipelineId, schedules: Vec<Schedule>) -> Result<(), StoreError> {
        self.schedules_locked().set(pipeline, schedules)
    }

    async fn schedules(&self, pipeline: PipelineId) -> Result<Vec<Schedule>, StoreError> {
        Ok(self.schedules_locked().of(pipeline))
    }

    async fn due_schedules(&self, now: Timestamp, limit: usize) -> Result<Vec<Schedule>, StoreError> {
        Ok(self.schedules_locked().due(now, limit))
    }

    async fn change_schedule(&self, known: &Schedule, to: Schedule) -> Result<bool, StoreError> {
        self.schedules_locked().change(known, to)
    }
}
