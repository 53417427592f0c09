//! Its schedules.

use async_trait::async_trait;
use jiff::Timestamp;

use super::broken::Broken;
use super::faults::Fault;
use crate::id::PipelineId;
use crate::store::{Schedule, ScheduleStore, StoreError};

#[async_trait]
impl ScheduleStore for Broken {
    async fn set_schedules(&self, pipeline: PipelineId, mut schedules: Vec<Schedule>) -> Result<(), StoreError> {
        match self.fault {
            Fault::SchedulesAddUp => schedules.extend(self.inner.schedules(pipeline).await?),
            Fault::SetsSchedulesAnew => self.inner.set_schedules(pipeline, Vec::new()).await?,
            _ => {}
        }
        self.inner.set_schedules(pipeline, schedules).await
    }

    async fn schedules(&self, pipeline: PipelineId) -> Result<Vec<Schedule>, StoreError> {
        self.inner.schedules(pipeline).await
    }

    async fn due_schedules(&self, now: Timestamp, limit: usize) -> Result<Vec<Schedule>, StoreError> {
        let mut due = self.inner.due_schedules(now, limit).await?;
        if self.has(Fault::DueLate) {
            due.retain(|schedule| schedule.next_at < now);
        }
        Ok(due)
    }

    async fn change_schedule(&self, known: &Schedule, to: Schedule) -> Result<bool, StoreError> {
        let changed = self.inner.change_schedule(known, to).await?;
        Ok(changed || self.has(Fault::AnybodyChangesSchedules))
    }
}
