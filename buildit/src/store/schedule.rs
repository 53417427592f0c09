//! When pipelines run by the clock.

use std::fmt::Debug;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::id::PipelineId;

/// Keeps the schedules of pipelines, each with the time at which it is due next.
///
/// A schedule refers to nothing: those of a pipeline that is gone stay until somebody sets them anew.
#[async_trait]
pub trait ScheduleStore: Debug + Send + Sync + 'static {
    /// Makes these the schedules of a pipeline. One that it has already, by its expression and zone, stays as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they were not kept; then nothing is changed.
    async fn set_schedules(&self, pipeline: PipelineId, schedules: Vec<Schedule>) -> Result<(), StoreError>;

    /// The schedules of a pipeline, in order of their expressions and zones.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn schedules(&self, pipeline: PipelineId) -> Result<Vec<Schedule>, StoreError>;

    /// Schedules that are due at `now` and not paused, the longest due first; at most `limit`. They stay due until
    /// somebody [changes](Self::change_schedule) them.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn due_schedules(&self, now: Timestamp, limit: usize) -> Result<Vec<Schedule>, StoreError>;

    /// Puts a schedule of the same pipeline, expression and zone in the place of the one that is known, if that is still
    /// as it is known; whether it was. Of several who change the same one at once, one does.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not kept.
    async fn change_schedule(&self, known: &Schedule, to: Schedule) -> Result<bool, StoreError>;
}

/// When a pipeline runs by the clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// A cron expression of five fields.
    pub cron: String,
    /// The IANA time zone that it is meant in.
    pub timezone: String,
    /// When it is due next.
    pub next_at: Timestamp,
    /// Whether it starts nothing for the moment.
    pub paused: bool,
}

impl Schedule {
    /// What tells it from the others of its pipeline.
    #[must_use]
    pub fn place(&self) -> (&str, &str) {
        (&self.cron, &self.timezone)
    }
}
