//! The queue in memory. Leases are not its business: they are the runs' own.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::RunId;
use crate::store::{Enqueue, StoreError};

/// Everything that changes a queue: what is journaled is what is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum QueueChange {
    Added(Enqueue),
    Taken { run: RunId },
    GivenBack { run: RunId, at: Timestamp },
    HandedOver { run: RunId },
    Died { run: RunId },
    Revived { run: RunId, at: Timestamp },
    Removed { run: RunId },
}

/// A run in the queue.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) job: Enqueue,
    pub(super) scheduled_for: Timestamp,
    pub(super) taken: u32,
    place: Place,
}

impl Entry {
    /// Whether it was taken as often as it may be.
    pub(super) fn is_worn_out(&self) -> bool {
        self.taken >= self.job.max_attempts.max(1)
    }
}

/// Where an entry lies in the order of taking: higher priority first, then by age.
type Place = (std::cmp::Reverse<i32>, u64);

#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: HashMap<RunId, Entry>,
    order: BTreeMap<Place, RunId>,
    /// Dead letters, by when they died.
    dead: BTreeMap<u64, RunId>,
    next: u64,
}

impl Queue {
    pub(super) fn contains(&self, run: RunId) -> bool {
        self.entries.contains_key(&run)
    }

    pub(super) fn entry(&self, run: RunId) -> Option<&Entry> {
        self.entries.get(&run)
    }

    /// Those that are due, in the order in which they are taken.
    pub(super) fn due(&self, now: Timestamp) -> impl Iterator<Item = (RunId, &Entry)> {
        let in_order = self.order.values().filter_map(|run| Some((*run, self.entries.get(run)?)));
        in_order.filter(move |(_, entry)| entry.scheduled_for <= now)
    }

    pub(super) fn dead_letters(&self) -> Vec<RunId> {
        self.dead.values().copied().collect()
    }

    /// Whether the run is a dead letter.
    pub(super) fn check_dead(&self, run: RunId) -> Result<(), StoreError> {
        if self.dead.values().any(|dead| *dead == run) { Ok(()) } else { Err(StoreError::NoRun(run)) }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What makes an empty queue this one.
    pub(super) fn as_changes(&self) -> Vec<QueueChange> {
        let mut entries: Vec<&Entry> = self.entries.values().collect();
        entries.sort_by_key(|entry| entry.place.1);
        let mut changes = Vec::new();
        for entry in entries {
            let run = entry.job.run;
            changes.push(QueueChange::Added(entry.job.clone()));
            changes.extend((0..entry.taken).map(|_| QueueChange::Taken { run }));
            if entry.scheduled_for != entry.job.scheduled_for {
                changes.push(QueueChange::GivenBack { run, at: entry.scheduled_for });
            }
        }
        changes.extend(self.dead.values().map(|run| QueueChange::Died { run: *run }));
        changes
    }

    pub(super) fn apply(&mut self, change: QueueChange) {
        self.next += 1;
        match change {
            QueueChange::Added(job) => {
                let place = (std::cmp::Reverse(job.priority), self.next);
                self.order.insert(place, job.run);
                let entry = Entry { scheduled_for: job.scheduled_for, taken: 0, place, job };
                self.entries.insert(entry.job.run, entry);
            }
            QueueChange::Taken { run } => {
                if let Some(entry) = self.entries.get_mut(&run) {
                    entry.taken += 1;
                }
            }
            QueueChange::GivenBack { run, at } => {
                if let Some(entry) = self.entries.get_mut(&run) {
                    entry.scheduled_for = at;
                }
            }
            QueueChange::HandedOver { run } => {
                if let Some(entry) = self.entries.get_mut(&run) {
                    entry.taken = entry.taken.saturating_sub(1);
                }
            }
            QueueChange::Died { run } => {
                if let Some(entry) = self.entries.get(&run) {
                    self.order.remove(&entry.place);
                    self.dead.insert(self.next, run);
                }
            }
            QueueChange::Revived { run, at } => {
                self.dead.retain(|_, dead| *dead != run);
                if let Some(entry) = self.entries.get_mut(&run) {
                    entry.place.1 = self.next;
                    entry.taken = 0;
                    entry.scheduled_for = at;
                    self.order.insert(entry.place, run);
                }
            }
            QueueChange::Removed { run } => {
                if let Some(entry) = self.entries.remove(&run) {
                    self.order.remove(&entry.place);
                    self.dead.retain(|_, dead| *dead != run);
                }
            }
        }
    }
}
