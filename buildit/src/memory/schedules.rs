//! Schedules, in memory.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::journal::{ChangeFile, Folder};
use crate::id::PipelineId;
use crate::store::{Schedule, StoreError};

/// How long the file may grow beyond what the schedules are, in bytes, before it is written anew.
const SLACK: u64 = 1024 * 1024;

/// All schedules that a pipeline has from then on.
#[derive(Debug, Serialize, Deserialize)]
struct ScheduleChange {
    pipeline: PipelineId,
    schedules: Vec<Schedule>,
}

/// The schedules of each pipeline, in their order.
#[derive(Debug, Default)]
pub(super) struct JournaledSchedules {
    known: BTreeMap<PipelineId, Vec<Schedule>>,
    file: Option<ChangeFile>,
}

impl JournaledSchedules {
    pub(super) fn open(folder: &Folder) -> Result<Self, StoreError> {
        let mut known = BTreeMap::new();
        let file = ChangeFile::open(folder, "schedules", |change| apply(&mut known, change))?;
        Ok(Self { known, file: Some(file) })
    }

    pub(super) fn set(&mut self, pipeline: PipelineId, wanted: Vec<Schedule>) -> Result<(), StoreError> {
        let known = self.of(pipeline);
        let kept =
            |wanted: Schedule| known.iter().find(|known| known.place() == wanted.place()).cloned().unwrap_or(wanted);
        let mut schedules: Vec<Schedule> = wanted.into_iter().map(kept).collect();
        schedules.sort_by(|a, b| a.place().cmp(&b.place()));
        schedules.dedup_by(|a, b| a.place() == b.place());
        if schedules == known { Ok(()) } else { self.save(ScheduleChange { pipeline, schedules }) }
    }

    pub(super) fn of(&self, pipeline: PipelineId) -> Vec<Schedule> {
        self.known.get(&pipeline).cloned().unwrap_or_default()
    }

    pub(super) fn due(&self, now: Timestamp, limit: usize) -> Vec<Schedule> {
        let all = self.known.values().flatten();
        let mut due: Vec<&Schedule> = all.filter(|known| !known.paused && known.next_at <= now).collect();
        due.sort_by_key(|known| known.next_at);
        due.into_iter().take(limit).cloned().collect()
    }

    pub(super) fn change(&mut self, known: &Schedule, to: Schedule) -> Result<bool, StoreError> {
        let mut schedules = self.of(known.pipeline);
        let Some(there) = schedules.iter_mut().find(|there| *there == known) else { return Ok(false) };
        *there = to;
        self.save(ScheduleChange { pipeline: known.pipeline, schedules }).map(|()| true)
    }

    /// Makes a change; it is durable when it returns.
    fn save(&mut self, change: ScheduleChange) -> Result<(), StoreError> {
        if let Some(file) = &mut self.file {
            file.append_durably(std::slice::from_ref(&change))?;
        }
        apply(&mut self.known, change);
        match &mut self.file {
            Some(file) if file.length() > SLACK + 4096 * self.known.len() as u64 => {
                let known = self.known.iter();
                let all = known.map(|(pipeline, of)| ScheduleChange { pipeline: *pipeline, schedules: of.clone() });
                file.replace(&all.collect::<Vec<_>>())
            }
            _ => Ok(()),
        }
    }
}

fn apply(known: &mut BTreeMap<PipelineId, Vec<Schedule>>, change: ScheduleChange) {
    if change.schedules.is_empty() {
        known.remove(&change.pipeline);
    } else {
        known.insert(change.pipeline, change.schedules);
    }
}
