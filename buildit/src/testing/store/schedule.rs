//! Clauses about schedules.

use std::sync::Arc;

use futures_util::future::join_all;

use super::Clause;
use super::clause::{Broken, clauses, ensure_eq};
use super::samples::at;
use crate::id::PipelineId;
use crate::store::{Schedule, ScheduleStore};

pub(super) fn clauses() -> Vec<Clause<dyn ScheduleStore>> {
    clauses![
        schedules_of_a_pipeline_are_those_that_were_set_last,
        a_schedule_that_is_set_again_stays_as_it_is,
        schedules_are_due_from_their_time_on_unless_they_are_paused,
        of_several_who_change_a_schedule_one_does,
    ]
}

fn schedule(pipeline: PipelineId, cron: &str, next: i64) -> Schedule {
    let (cron, timezone) = (cron.to_owned(), "Europe/Berlin".to_owned());
    Schedule { pipeline, cron, timezone, next_at: at(next), paused: false }
}

async fn schedules_of_a_pipeline_are_those_that_were_set_last(store: Arc<dyn ScheduleStore>) -> Result<(), Broken> {
    let (mine, yours) = (PipelineId::new(), PipelineId::new());
    let other = schedule(yours, "0 1 * * *", 5);
    store.set_schedules(yours, vec![other.clone()]).await?;
    let (night, noon) = (schedule(mine, "0 0 * * *", 10), schedule(mine, "0 12 * * *", 20));
    let elsewhere = Schedule { timezone: "UTC".into(), ..night.clone() };
    store.set_schedules(mine, vec![noon.clone(), elsewhere.clone(), night.clone()]).await?;
    ensure_eq!(store.schedules(mine).await?, [night.clone(), elsewhere, noon], "what was set");
    store.set_schedules(mine, vec![night.clone()]).await?;
    ensure_eq!(store.schedules(mine).await?, [night], "what was set then");
    store.set_schedules(mine, Vec::new()).await?;
    ensure_eq!(store.schedules(mine).await?, [], "what is left");
    ensure_eq!(store.schedules(yours).await?, [other], "what another pipeline has");
    Ok(())
}

async fn a_schedule_that_is_set_again_stays_as_it_is(store: Arc<dyn ScheduleStore>) -> Result<(), Broken> {
    let known = schedule(PipelineId::new(), "0 0 * * *", 10);
    store.set_schedules(known.pipeline, vec![known.clone()]).await?;
    let paused = Schedule { paused: true, next_at: at(30), ..known.clone() };
    ensure_eq!(store.change_schedule(&known, paused.clone()).await?, true, "whether it is paused");
    store.set_schedules(known.pipeline, vec![known.clone()]).await?;
    ensure_eq!(store.schedules(known.pipeline).await?, [paused], "what is there when it is set again");
    Ok(())
}

async fn schedules_are_due_from_their_time_on_unless_they_are_paused(
    store: Arc<dyn ScheduleStore>,
) -> Result<(), Broken> {
    let (one, two) = (PipelineId::new(), PipelineId::new());
    let (late, early) = (schedule(one, "0 0 * * *", 20), schedule(two, "0 0 * * *", 10));
    let asleep = Schedule { paused: true, ..schedule(one, "1 1 * * *", 5) };
    store.set_schedules(one, vec![late.clone(), asleep.clone()]).await?;
    store.set_schedules(two, vec![early.clone()]).await?;
    ensure_eq!(store.due_schedules(at(9), 9).await?, [], "what is due before any is");
    ensure_eq!(
        store.due_schedules(at(10), 9).await?,
        std::slice::from_ref(&early),
        "what is due at the time of the first"
    );
    ensure_eq!(store.due_schedules(at(30), 9).await?, [early.clone(), late], "what is due at last");
    ensure_eq!(store.due_schedules(at(30), 1).await?, [early], "what is due of one");
    let awake = Schedule { paused: false, ..asleep.clone() };
    store.change_schedule(&asleep, awake.clone()).await?;
    ensure_eq!(store.due_schedules(at(30), 1).await?, [awake], "what is due when it is no longer paused");
    Ok(())
}

async fn of_several_who_change_a_schedule_one_does(store: Arc<dyn ScheduleStore>) -> Result<(), Broken> {
    let known = schedule(PipelineId::new(), "0 0 * * *", 10);
    ensure_eq!(store.change_schedule(&known, known.clone()).await?, false, "whether one that is not there changes");
    store.set_schedules(known.pipeline, vec![known.clone()]).await?;
    let next = |minute| Schedule { next_at: at(minute), ..known.clone() };
    let all = join_all((20..28).map(|minute| store.change_schedule(&known, next(minute)))).await;
    let changed = all.into_iter().collect::<Result<Vec<bool>, _>>()?.into_iter().filter(|changed| *changed).count();
    ensure_eq!(changed, 1, "how many of 8 changed it");
    ensure_eq!(store.due_schedules(at(10), 9).await?, [], "what is due at the time that is over");
    Ok(())
}
