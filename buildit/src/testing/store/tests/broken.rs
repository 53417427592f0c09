//! A store with one fault.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use super::faults::Fault;
use crate::cached::Ingredient;
use crate::event::RunStatus;
use crate::id::{Digest, FencingToken, RunId, TenantId};
use crate::memory::MemoryStore;
use crate::store::{Ask, RunRecord};

/// A memory store with a fault.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) inner: MemoryStore,
    pub(super) fault: Fault,
    pub(super) created: Mutex<Vec<RunId>>,
    pub(super) numbers: Mutex<HashMap<RunId, u64>>,
    pub(super) queued: Mutex<HashMap<RunId, usize>>,
    pub(super) taken: Mutex<BTreeSet<RunId>>,
    /// How many runs of each tenant were taken.
    pub(super) turns: Mutex<HashMap<TenantId, usize>>,
    pub(super) shared: Mutex<BTreeSet<TenantId>>,
    pub(super) put: Mutex<BTreeSet<Digest>>,
    pub(super) saved: Mutex<HashMap<String, Digest>>,
    pub(super) leases: Mutex<u64>,
    pub(super) is_archived: Mutex<bool>,
    pub(super) removed: Mutex<BTreeSet<RunId>>,
    pub(super) asked: Mutex<Vec<(RunId, Ask)>>,
    pub(super) kept: Mutex<Vec<Digest>>,
    /// What the result that was kept last is made of.
    pub(super) made: Mutex<Option<(RunId, Vec<Ingredient>)>>,
}

impl Broken {
    pub(super) fn new(fault: Fault) -> Self {
        Self {
            inner: MemoryStore::new(),
            fault,
            created: Mutex::default(),
            numbers: Mutex::default(),
            queued: Mutex::default(),
            taken: Mutex::default(),
            turns: Mutex::default(),
            shared: Mutex::default(),
            put: Mutex::default(),
            saved: Mutex::default(),
            leases: Mutex::default(),
            is_archived: Mutex::default(),
            removed: Mutex::default(),
            asked: Mutex::default(),
            kept: Mutex::default(),
            made: Mutex::default(),
        }
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// A token that nobody can fence.
    pub(super) fn token(&self, token: FencingToken) -> FencingToken {
        if self.has(Fault::IgnoresTokens) { FencingToken(1 << 40) } else { token }
    }

    pub(super) fn spoil(&self, mut record: RunRecord) -> RunRecord {
        let id = record.run.id;
        match self.fault {
            Fault::ForgetsContext => record.run.context = Arc::default(),
            Fault::CountsAllPipelines => {
                let place = self.created.lock().unwrap().iter().position(|created| *created == id);
                record.number = place.unwrap_or(0) as u64 + 1;
            }
            Fault::CountsTwice => record.number = self.numbers.lock().unwrap().get(&id).copied().unwrap_or(1),
            Fault::AlwaysRunning => record.status = RunStatus::Running,
            _ => {}
        }
        record
    }
}
