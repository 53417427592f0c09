//! The queue in memory. Leases are not its business: they are the runs' own.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::line::{Place, TenantLine};
use crate::id::{RunId, TenantId, WorkerId};
use crate::store::{
    Ask, AskSubject, Enqueue, Intake, Line, QueuePlace, QueueStatus, Share, StoreError, Worker, come_in,
};

/// Everything that changes a queue: what is journaled is what is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum QueueChange {
    Added(Enqueue),
    Taken {
        run: RunId,
    },
    GivenBack {
        run: RunId,
        at: Timestamp,
    },
    HandedOver {
        run: RunId,
    },
    Died {
        run: RunId,
    },
    Revived {
        run: RunId,
        at: Timestamp,
    },
    /// A dead letter may be taken once more, to end.
    Recalled {
        run: RunId,
    },
    Removed {
        run: RunId,
    },
    Shared {
        tenant: TenantId,
        share: Share,
    },
    Prioritised {
        run: RunId,
        priority: i32,
    },
    /// Whether runs of a tenant are taken, or of any.
    Intake {
        tenant: Option<TenantId>,
        intake: Intake,
    },
    Asked {
        run: RunId,
        ask: Ask,
    },
    Settled {
        run: RunId,
        subject: AskSubject,
    },
    /// The run is gone, and nothing is asked of it any more.
    Unasked {
        run: RunId,
    },
}

/// A run in the queue.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) job: Enqueue,
    pub(super) scheduled_for: Timestamp,
    pub(super) taken: u32,
    place: Place,
    is_taken: bool,
}

impl Entry {
    pub(super) fn shown_place(&self) -> QueuePlace {
        QueuePlace { priority: self.job.priority, age: self.place.1 }
    }

    /// Whether it was taken as often as it may be.
    pub(super) fn is_worn_out(&self) -> bool {
        self.taken >= self.job.max_attempts.max(1)
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: HashMap<RunId, Entry>,
    /// The tenants that ever had something in the queue, or a share of their own.
    tenants: BTreeMap<TenantId, TenantLine>,
    /// Those that are not due, as far as it was looked at.
    later: BTreeSet<(Timestamp, RunId)>,
    taken: BTreeMap<Place, RunId>,
    /// Those behind another run of their group, as far as it was looked at.
    behind: HashSet<RunId>,
    /// Dead letters, by when they died.
    dead: BTreeMap<u64, RunId>,
    next: u64,
    /// Whether runs of any tenant are taken.
    intake: Intake,
    workers: BTreeMap<WorkerId, Worker>,
    /// What is asked of runs, by when it was.
    asks: BTreeMap<u64, (RunId, Ask)>,
}

impl Queue {
    pub(super) fn contains(&self, run: RunId) -> bool {
        self.entries.contains_key(&run)
    }

    /// Whether a run of this tenant is in it.
    pub(super) fn has_any_of(&self, tenant: TenantId) -> bool {
        self.entries.values().any(|entry| entry.job.tenant == tenant)
    }

    pub(super) fn entry(&self, run: RunId) -> Option<&Entry> {
        self.entries.get(&run)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// How an entry stands.
    pub(super) fn status(&self, entry: &Entry) -> QueueStatus {
        let run = entry.job.run;
        if entry.is_taken {
            QueueStatus::Taken
        } else if self.dead.values().any(|dead| *dead == run) {
            QueueStatus::Dead
        } else if self.behind.contains(&run) {
            QueueStatus::Behind
        } else if self.later.contains(&(entry.scheduled_for, run)) {
            QueueStatus::Scheduled
        } else {
            QueueStatus::Waiting
        }
    }

    /// The line of a tenant, and whether its runs are taken.
    pub(super) fn line(&self, tenant: TenantId) -> (Line, Intake) {
        let none = TenantLine::default();
        let line = self.tenants.get(&tenant).unwrap_or(&none);
        (line.line(), line.intake())
    }

    /// Whether runs of any tenant are taken.
    pub(super) fn intake(&self) -> Intake {
        self.intake
    }

    /// Whether a worker takes runs.
    pub(super) fn intake_of(&self, worker: &WorkerId) -> Intake {
        self.workers.get(worker).map_or(Intake::Open, |worker| worker.intake)
    }

    pub(super) fn workers_mut(&mut self) -> &mut BTreeMap<WorkerId, Worker> {
        &mut self.workers
    }

    /// What is asked of all runs, in the order in which it was.
    pub(super) fn asks(&self) -> impl Iterator<Item = (RunId, &Ask)> {
        self.asks.values().map(|(run, ask)| (*run, ask))
    }

    pub(super) fn asks_of(&self, run: RunId) -> impl Iterator<Item = &Ask> {
        self.asks().filter(move |(of, _)| *of == run).map(|(_, ask)| ask)
    }

    /// Those that are taken, whether or not their leases have ended.
    pub(super) fn taken(&self) -> impl Iterator<Item = (RunId, &Entry)> {
        self.taken.values().filter_map(|run| Some((*run, self.entries.get(run)?)))
    }

    /// What has become due waits with the others of its tenant.
    pub(super) fn look(&mut self, now: Timestamp) {
        while let Some(&(at, run)) = self.later.first()
            && at <= now
        {
            self.later.pop_first();
            let Some(entry) = self.entries.get(&run) else { continue };
            let (tenant, place) = (entry.job.tenant, entry.place);
            self.change(tenant, |line| line.wait(place, run));
        }
    }

    /// The tenants with something to take.
    pub(super) fn lines(&self) -> impl Iterator<Item = (TenantId, &TenantLine)> {
        self.tenants.iter().filter(|(_, line)| line.is_ready()).map(|(tenant, line)| (*tenant, line))
    }

    /// A run is behind another one of its group, and need not be looked at until it is [free](Self::free).
    pub(super) fn hold(&mut self, run: RunId) {
        if self.leave(run).is_some() {
            self.behind.insert(run);
        }
    }

    /// A run is no longer behind another one.
    pub(super) fn free(&mut self, run: RunId) {
        if self.behind.remove(&run)
            && let Some(entry) = self.entries.get(&run)
        {
            self.later.insert((entry.scheduled_for, run));
        }
    }

    /// A tenant had nothing that could be taken when its turn had come, and the others got as far as this.
    pub(super) fn passed(&mut self, tenant: TenantId, turn: u64) {
        if let Some(line) = self.tenants.get_mut(&tenant) {
            line.come_in(|last| last.max(turn));
        }
    }

    pub(super) fn dead_letters(&self) -> Vec<RunId> {
        self.dead.values().copied().collect()
    }

    /// Whether the run is a dead letter.
    pub(super) fn check_dead(&self, run: RunId) -> Result<(), StoreError> {
        if self.dead.values().any(|dead| *dead == run) { Ok(()) } else { Err(StoreError::NoRun(run)) }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.tenants.len() + self.asks.len()
    }

    /// What makes an empty queue this one. Whose turn it is begins anew.
    pub(super) fn as_changes(&self) -> Vec<QueueChange> {
        let shared = self.tenants.iter().filter(|(_, line)| line.share() != Share::default());
        let shared = shared.map(|(tenant, line)| QueueChange::Shared { tenant: *tenant, share: line.share() });
        let mut changes: Vec<QueueChange> = shared.collect();
        let mut entries: Vec<&Entry> = self.entries.values().collect();
        entries.sort_by_key(|entry| entry.place.1);
        for entry in entries {
            let run = entry.job.run;
            changes.push(QueueChange::Added(entry.job.clone()));
            changes.extend((0..entry.taken).map(|_| QueueChange::Taken { run }));
            if !entry.is_taken && (entry.taken > 0 || entry.scheduled_for != entry.job.scheduled_for) {
                changes.push(QueueChange::GivenBack { run, at: entry.scheduled_for });
            }
        }
        changes.extend(self.dead.values().map(|run| QueueChange::Died { run: *run }));
        let paused = self.tenants.iter().filter(|(_, line)| line.intake().is_paused()).map(|(tenant, _)| Some(*tenant));
        let everywhere = self.intake.is_paused().then_some(None);
        let paused = paused.chain(everywhere);
        changes.extend(paused.map(|tenant| QueueChange::Intake { tenant, intake: Intake::Paused }));
        changes.extend(self.asks().map(|(run, ask)| QueueChange::Asked { run, ask: ask.clone() }));
        changes
    }

    pub(super) fn apply(&mut self, change: QueueChange) {
        self.next += 1;
        match change {
            QueueChange::Added(job) => {
                let place = (std::cmp::Reverse(job.priority), self.next);
                self.later.insert((job.scheduled_for, job.run));
                let entry = Entry { scheduled_for: job.scheduled_for, taken: 0, place, is_taken: false, job };
                self.entries.insert(entry.job.run, entry);
            }
            QueueChange::Taken { run } => {
                let Some(entry) = self.leave(run) else { return };
                let (is_new, place, tenant) = (!entry.is_taken, entry.place, entry.job.tenant);
                entry.taken += 1;
                entry.is_taken = true;
                self.taken.insert(place, run);
                if is_new {
                    self.change(tenant, TenantLine::took);
                }
            }
            QueueChange::GivenBack { run, at } => self.back(run, |entry| entry.scheduled_for = at),
            QueueChange::HandedOver { run } => self.back(run, |entry| entry.taken = entry.taken.saturating_sub(1)),
            QueueChange::Died { run } => {
                self.stop(run);
                if self.leave(run).is_some() {
                    self.dead.insert(self.next, run);
                }
            }
            QueueChange::Revived { run, at } => {
                self.dead.retain(|_, dead| *dead != run);
                let next = self.next;
                self.back(run, |entry| {
                    entry.place.1 = next;
                    entry.taken = 0;
                    entry.scheduled_for = at;
                });
            }
            QueueChange::Recalled { run } => {
                self.dead.retain(|_, dead| *dead != run);
                self.back(run, |entry| entry.taken = entry.job.max_attempts.max(1) - 1);
            }
            QueueChange::Removed { run } => {
                self.stop(run);
                self.leave(run);
                self.entries.remove(&run);
                self.dead.retain(|_, dead| *dead != run);
            }
            QueueChange::Shared { tenant, share } => self.change(tenant, |line| line.set_share(share)),
            QueueChange::Prioritised { run, priority } => self.prioritise(run, priority),
            QueueChange::Intake { tenant: Some(tenant), intake } => self.change(tenant, |line| line.set_intake(intake)),
            QueueChange::Intake { tenant: None, intake } => self.intake = intake,
            QueueChange::Asked { run, ask } => drop(self.asks.insert(self.next, (run, ask))),
            QueueChange::Settled { run, subject } => {
                self.asks.retain(|_, (of, ask)| *of != run || ask.subject() != subject);
            }
            QueueChange::Unasked { run } => self.asks.retain(|_, (of, _)| *of != run),
        }
    }

    /// Moves an entry to where its new priority belongs.
    fn prioritise(&mut self, run: RunId, priority: i32) {
        let Some(entry) = self.entries.get_mut(&run) else { return };
        let before = entry.place;
        entry.job.priority = priority;
        entry.place.0 = std::cmp::Reverse(priority);
        let (place, tenant) = (entry.place, entry.job.tenant);
        if self.taken.remove(&before).is_some() {
            self.taken.insert(place, run);
        }
        if let Some(line) = self.tenants.get_mut(&tenant)
            && line.waiting.remove(&before).is_some()
        {
            line.waiting.insert(place, run);
        }
    }

    /// Puts an entry among those that wait for their time.
    fn back(&mut self, run: RunId, change: impl FnOnce(&mut Entry)) {
        self.stop(run);
        if let Some(entry) = self.leave(run) {
            change(entry);
            let later = (entry.scheduled_for, run);
            self.later.insert(later);
        }
    }

    /// Takes an entry out of wherever it waits.
    fn leave(&mut self, run: RunId) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(&run)?;
        self.later.remove(&(entry.scheduled_for, run));
        self.behind.remove(&run);
        if let Some(line) = self.tenants.get_mut(&entry.job.tenant) {
            line.waiting.remove(&entry.place);
        }
        Some(entry)
    }

    /// The run is under way no more.
    fn stop(&mut self, run: RunId) {
        let Some(entry) = self.entries.get_mut(&run) else { return };
        if std::mem::take(&mut entry.is_taken) {
            let tenant = entry.job.tenant;
            self.taken.remove(&entry.place);
            self.change(tenant, TenantLine::stopped);
        }
    }

    /// Changes a tenant, which comes in if it has something to take from then on.
    fn change(&mut self, tenant: TenantId, change: impl FnOnce(&mut TenantLine)) {
        let line = self.tenants.entry(tenant).or_default();
        let was_ready = line.is_ready();
        change(line);
        if was_ready || !line.is_ready() {
            return;
        }
        let others = || self.tenants.iter().filter(|(other, _)| **other != tenant).map(|(_, line)| line);
        let least = others().filter(|line| line.is_ready()).map(TenantLine::turn).min();
        let most = others().map(TenantLine::turn).max();
        if let Some(line) = self.tenants.get_mut(&tenant) {
            line.come_in(|last| come_in(last, least, most));
        }
    }
}
