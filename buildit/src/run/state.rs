//! What a run remembers: 8 bytes for each stage, and side tables for what few stages have.

use std::collections::{BTreeSet, VecDeque};

use hashbrown::HashMap;
use jiff::Timestamp;
use serde::Serialize;

use super::queue::ReadyQueue;
use crate::event::{Approval, RunStatus, StageReason, StageResult, StopReason};
use crate::graph::Graph;
use crate::id::ExecutorName;
use crate::job::{JobProducts, Status};
use crate::plan::StageFlags;

/// A side table. The hash is the same in every process: nothing of a run may depend on where it lives.
pub(super) type Table<V> = HashMap<u32, V, foldhash::fast::FixedState>;

/// Where a stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// It waits for what it needs.
    Pending,
    /// It may start.
    Ready,
    /// It may start once a person agrees, who is still to be asked.
    Gate,
    /// A person was asked.
    Waiting,
    /// It waits for a time to pass before its first attempt.
    Held,
    /// How it ends is known and still to be recorded.
    Settled,
    /// An attempt runs.
    Running,
    /// An attempt ended; what follows from that is still to be recorded.
    Ended,
    /// It waits for its next attempt.
    Backoff,
    Succeeded,
    Failed,
    TimedOut,
    Cancelled,
    Lost,
    Skipped,
}

impl Phase {
    const ALL: [Self; 15] = [
        Self::Pending,
        Self::Ready,
        Self::Gate,
        Self::Waiting,
        Self::Held,
        Self::Settled,
        Self::Running,
        Self::Ended,
        Self::Backoff,
        Self::Succeeded,
        Self::Failed,
        Self::TimedOut,
        Self::Cancelled,
        Self::Lost,
        Self::Skipped,
    ];

    /// The word for how the stage ended, if it has.
    pub(super) fn status(self) -> Option<Status> {
        Some(match self {
            Self::Succeeded => Status::Succeeded,
            Self::Failed => Status::Failed,
            Self::TimedOut => Status::TimedOut,
            Self::Cancelled => Status::Cancelled,
            Self::Lost => Status::Lost,
            Self::Skipped => Status::Skipped,
            _ => return None,
        })
    }

    /// Whether nothing of it runs and nothing about its end is decided: what a cancellation ends on the spot.
    pub(super) fn is_idle(self) -> bool {
        matches!(self, Self::Pending | Self::Ready | Self::Gate | Self::Waiting | Self::Held | Self::Backoff)
    }
}

impl From<Status> for Phase {
    fn from(status: Status) -> Self {
        match status {
            Status::Succeeded => Self::Succeeded,
            Status::Failed => Self::Failed,
            Status::TimedOut => Self::TimedOut,
            Status::Cancelled => Self::Cancelled,
            Status::Lost => Self::Lost,
            Status::Skipped => Self::Skipped,
        }
    }
}

/// What is kept for each stage. The flags repeat a few facts of the spec, so that a stage that has none of them is
/// driven without a look at it: at a million stages each look is a cache miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Cell {
    /// `Pending`: how many needs have not ended. `Running` and `Ended`: the place in the list of active attempts.
    pub(super) word: u32,
    /// How many attempts were started.
    pub(super) attempts: u16,
    meta: u16,
}

impl Cell {
    const PHASE: u16 = 0b1111;
    pub(super) const WHEN: u16 = StageFlags::WHEN;
    pub(super) const APPROVAL: u16 = StageFlags::APPROVAL;
    pub(super) const ASKS: u16 = StageFlags::ASKS;
    pub(super) const ALLOW_FAILURE: u16 = StageFlags::ALLOW_FAILURE;
    pub(super) const TIMEOUT: u16 = StageFlags::TIMEOUT;
    pub(super) const RETRY: u16 = StageFlags::RETRY;
    pub(super) const ENVIRONMENT: u16 = StageFlags::ENVIRONMENT;
    /// A stage that it needs failed, or was skipped because of a failure.
    pub(super) const NEED_FAILED: u16 = 1 << 10;
    /// A stage before it, direct or not, failed.
    pub(super) const FAILED_BEFORE: u16 = 1 << 11;

    pub(super) fn phase(self) -> Phase {
        // The mask and the only writer, `State::set_phase`, keep this within the list.
        Phase::ALL[usize::from(self.meta & Self::PHASE) % Phase::ALL.len()]
    }

    pub(super) fn has(self, flag: u16) -> bool {
        self.meta & flag != 0
    }

    pub(super) fn set(&mut self, flags: u16) {
        self.meta |= flags;
    }

    /// The flags that a dependent inherits of this stage once it has ended; `failed` when its end is a failure that
    /// counts, `blocks` when it keeps others from starting.
    pub(super) fn bequest(self, failed: bool, blocks: bool) -> u16 {
        let before = if failed { Self::FAILED_BEFORE } else { self.meta & Self::FAILED_BEFORE };
        before | if blocks { Self::NEED_FAILED } else { 0 }
    }
}

/// An attempt that runs, or has ended without what follows being recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Active {
    pub(super) stage: u32,
    pub(super) attempt: u32,
    /// Its place in the list of executors.
    pub(super) executor: u32,
    pub(super) started: Timestamp,
    pub(super) stop: Option<StopReason>,
    pub(super) ended: Option<Ended>,
}

/// How an attempt ended, as far as what follows depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Ended {
    pub(super) status: Status,
    pub(super) exit_code: Option<i32>,
    pub(super) reason: Option<Box<StageReason>>,
}

/// Everything that events change.
#[derive(Clone, PartialEq)]
pub(super) struct State {
    pub(super) cells: Box<[Cell]>,
    pub(super) ready: ReadyQueue,
    /// Stages about which something is to be decided, in the order in which that came up. Entries whose phase asks
    /// for nothing any more are dropped at the front.
    pub(super) due: VecDeque<u32>,
    pub(super) active: Vec<Active>,
    /// The executors that attempts went to.
    pub(super) executors: Vec<ExecutorName>,
    /// Ends of attempts and approvals that take too long, and of holds.
    pub(super) deadlines: BTreeSet<(Timestamp, u32)>,
    /// Ends of waits between attempts.
    pub(super) backoffs: BTreeSet<(Timestamp, u32)>,
    /// The time under which a stage stands in one of the two sets above.
    pub(super) times: Table<Timestamp>,
    /// Results that say more than `succeeded`; for a settled stage the one that is to be recorded.
    pub(super) results: Table<Box<StageResult>>,
    /// What the last attempt of a stage left, where it left something.
    pub(super) products: Table<Box<JobProducts>>,
    /// What people answered: of several, the names of all and the fields of the latest.
    pub(super) approvals: Table<Box<Approval>>,
    /// Who agreed to a stage that waits for more people.
    pub(super) approvers: Table<Vec<Box<str>>>,
    /// Not before this a stage makes its first attempt.
    pub(super) holds: Table<Timestamp>,
    /// How many stages are in each phase.
    pub(super) counts: [u32; Phase::ALL.len()],
    /// How many stages a cancellation would end on the spot: those that ask for failure, and the others.
    pub(super) idle_asking: u32,
    pub(super) idle_plain: u32,
    /// How many attempts run that were not asked to stop.
    pub(super) unstopped_asking: u32,
    pub(super) unstopped_plain: u32,
    /// How many stages have not ended.
    pub(super) open: u32,
    /// How many failures count.
    pub(super) failures: u32,
    pub(super) started: bool,
    pub(super) cancelled: Option<Box<str>>,
    /// The stage whose failure ends all others.
    pub(super) failed_fast: Option<u32>,
    pub(super) finished: Option<RunStatus>,
    /// How many events were applied.
    pub(super) seq: u64,
}

impl State {
    pub(super) fn new(flags: impl Iterator<Item = StageFlags>, graph: &Graph) -> Self {
        let mut idle_asking = 0;
        let cells: Box<[Cell]> = graph
            .stages()
            .zip(flags)
            .map(|(at, flags)| {
                idle_asking += u32::from(flags.has(Cell::ASKS));
                let meta = Phase::Pending as u16 | flags.only(StageFlags::OF_RUN);
                Cell { word: graph.in_degree(at), attempts: 0, meta }
            })
            .collect();
        let open = cells.len() as u32;
        let mut counts = [0; Phase::ALL.len()];
        counts[Phase::Pending as usize] = open;
        Self {
            cells,
            ready: ReadyQueue::default(),
            due: VecDeque::new(),
            active: Vec::new(),
            executors: Vec::new(),
            deadlines: BTreeSet::new(),
            backoffs: BTreeSet::new(),
            times: Table::default(),
            results: Table::default(),
            products: Table::default(),
            approvals: Table::default(),
            approvers: Table::default(),
            holds: Table::default(),
            counts,
            idle_asking,
            idle_plain: open - idle_asking,
            unstopped_asking: 0,
            unstopped_plain: 0,
            open,
            failures: 0,
            started: false,
            cancelled: None,
            failed_fast: None,
            finished: None,
            seq: 0,
        }
    }

    pub(super) fn cell(&self, at: u32) -> Cell {
        self.cells[at as usize]
    }

    pub(super) fn count(&self, phase: Phase) -> u32 {
        self.counts[phase as usize]
    }

    /// Moves a stage to another phase, with all counters.
    pub(super) fn set_phase(&mut self, at: u32, phase: Phase) {
        let cell = &mut self.cells[at as usize];
        let before = cell.phase();
        cell.meta = cell.meta & !Cell::PHASE | phase as u16;
        let asks = cell.has(Cell::ASKS);
        self.counts[before as usize] -= 1;
        self.counts[phase as usize] += 1;
        let idle = if asks { &mut self.idle_asking } else { &mut self.idle_plain };
        *idle = *idle + u32::from(phase.is_idle()) - u32::from(before.is_idle());
        let ended = u32::from(phase.status().is_some());
        self.open -= ended - u32::from(before.status().is_some());
        if before == Phase::Ready {
            self.ready.leave(&self.cells);
        } else if phase == Phase::Ready {
            self.ready.push(at);
        }
    }

    /// The active attempt of a stage that is running or has just ended.
    pub(super) fn active(&self, at: u32) -> Option<&Active> {
        let cell = self.cells.get(at as usize)?;
        let is_active = matches!(cell.phase(), Phase::Running | Phase::Ended);
        is_active.then(|| &self.active[cell.word as usize])
    }

    /// The place of this executor in the list.
    pub(super) fn executor(&mut self, name: &ExecutorName) -> u32 {
        let known = self.executors.iter().position(|known| known == name);
        let place = known.unwrap_or_else(|| {
            self.executors.push(name.clone());
            self.executors.len() - 1
        });
        // There are at most as many as stages, which are fewer than 2^32.
        place as u32
    }

    pub(super) fn push_active(&mut self, active: Active) {
        self.cells[active.stage as usize].word = self.active.len() as u32;
        self.active.push(active);
    }

    /// Takes an attempt off the list; the last one takes its place.
    pub(super) fn take_active(&mut self, at: u32) -> Active {
        let place = std::mem::take(&mut self.cells[at as usize].word) as usize;
        let taken = self.active.swap_remove(place);
        if let Some(moved) = self.active.get(place) {
            self.cells[moved.stage as usize].word = place as u32;
        }
        taken
    }

    /// Counts an attempt that was not asked to stop in or out.
    pub(super) fn unstopped(&mut self, at: u32) -> &mut u32 {
        if self.cell(at).has(Cell::ASKS) { &mut self.unstopped_asking } else { &mut self.unstopped_plain }
    }

    pub(super) fn set_deadline(&mut self, at: u32, time: Timestamp) {
        self.deadlines.insert((time, at));
        self.times.insert(at, time);
    }

    pub(super) fn set_backoff(&mut self, at: u32, time: Timestamp) {
        self.backoffs.insert((time, at));
        self.times.insert(at, time);
    }

    /// Takes a stage off both sets of times.
    pub(super) fn clear_time(&mut self, at: u32) {
        if self.times.is_empty() {
            return;
        }
        if let Some(time) = self.times.remove(&at) {
            let _ = self.deadlines.remove(&(time, at)) || self.backoffs.remove(&(time, at));
        }
    }

    /// Whether a stage of these flags may start nothing new, because the run is ending.
    pub(super) fn is_ending_for(&self, cell: Cell) -> bool {
        self.cancelled.is_some() || (self.failed_fast.is_some() && !cell.has(Cell::ASKS))
    }
}
