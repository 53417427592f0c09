//! When pipelines run by the clock.

use async_trait::async_trait;
use buildit::id::PipelineId;
use buildit::store::{Schedule, StoreError};
use jiff::Timestamp;

use super::{Change, Query, Records, Row, Statements, all, sql};
use crate::sql::number;

fn read_schedule(row: &mut Row) -> Result<Schedule, StoreError> {
    Ok(Schedule {
        pipeline: row.take()?,
        cron: row.take()?,
        timezone: row.take()?,
        next_at: row.take()?,
        paused: row.take()?,
    })
}

fn of(pipeline: PipelineId) -> Query {
    let query = sql("SELECT pipeline_id, cron, timezone, next_at, paused FROM schedules
         WHERE pipeline_id = $1 ORDER BY cron, timezone");
    query.bind(pipeline)
}

#[derive(Debug)]
struct Set {
    pipeline: PipelineId,
    schedules: Vec<Schedule>,
}

#[async_trait]
impl Change for Set {
    type Answer = ();

    async fn change(&self, to: &mut dyn Statements) -> Result<(), StoreError> {
        for known in all(to.rows(of(self.pipeline)).await?, read_schedule)? {
            if !self.schedules.iter().any(|wanted| wanted.place() == known.place()) {
                let delete = sql("DELETE FROM schedules WHERE pipeline_id = $1 AND cron = $2 AND timezone = $3");
                to.run(delete.bind(self.pipeline).bind(known.cron).bind(known.timezone)).await?;
            }
        }
        for wanted in &self.schedules {
            let insert = sql("INSERT INTO schedules (pipeline_id, cron, timezone, next_at, paused)
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (pipeline_id, cron, timezone) DO NOTHING");
            let insert = insert.bind(self.pipeline).bind(wanted.cron.clone()).bind(wanted.timezone.clone());
            to.run(insert.bind(wanted.next_at).bind(wanted.paused)).await?;
        }
        Ok(())
    }
}

pub(crate) async fn set(
    store: &impl Records,
    pipeline: PipelineId,
    schedules: Vec<Schedule>,
) -> Result<(), StoreError> {
    store.change(Set { pipeline, schedules }).await
}

pub(crate) async fn list(store: &impl Records, pipeline: PipelineId) -> Result<Vec<Schedule>, StoreError> {
    all(store.read(of(pipeline)).await?, read_schedule)
}

pub(crate) async fn due(store: &impl Records, now: Timestamp, limit: usize) -> Result<Vec<Schedule>, StoreError> {
    let query = sql("SELECT pipeline_id, cron, timezone, next_at, paused FROM schedules
         WHERE NOT paused AND next_at <= $1 ORDER BY next_at LIMIT $2");
    all(store.read(query.bind(now).bind(number(limit as u64))).await?, read_schedule)
}

pub(crate) async fn change(store: &impl Records, known: &Schedule, to: Schedule) -> Result<bool, StoreError> {
    let update = sql("UPDATE schedules SET next_at = $1, paused = $2
         WHERE pipeline_id = $3 AND cron = $4 AND timezone = $5 AND next_at = $6 AND paused = $7");
    let update = update.bind(to.next_at).bind(to.paused).bind(known.pipeline).bind(known.cron.clone());
    let update = update.bind(known.timezone.clone()).bind(known.next_at).bind(known.paused);
    Ok(store.run(update).await? > 0)
}
