//! What all runs of an engine share.

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bus::RunBus;
use super::claims::Claims;
use super::groups::Groups;
use super::mailbox::Mailbox;
use super::plans::{Plans, Restored};
use super::results::Results;
use super::slots::Slots;
use crate::artifact::{BlobStore, CacheStore};
use crate::clock::Clock;
use crate::environment::EnvironmentSource;
use crate::executor::{Adoption, Executor};
use crate::fault::{CrashPoint, FaultPlan};
use crate::id::{ExecutorName, JobId, RunId, WorkerId};
use crate::secret::SecretSource;
use crate::store::{Lease, Store};

/// What all runs of an engine share.
pub(super) struct Core {
    pub(super) executors: Vec<Registered>,
    pub(super) store: Arc<dyn Store>,
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) caches: Option<Arc<dyn CacheStore>>,
    pub(super) results: Option<Results>,
    pub(super) secrets: Arc<dyn SecretSource>,
    pub(super) environments: Option<Arc<dyn EnvironmentSource>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) faults: Option<Arc<dyn FaultPlan>>,
    pub(super) worker: WorkerId,
    pub(super) lease: Duration,
    pub(super) grace: Duration,
    pub(super) max_parallel: Option<NonZeroU32>,
    pub(super) log_limit: Option<NonZeroU64>,
    pub(super) slots: Arc<Slots>,
    pub(super) groups: Arc<Groups>,
    pub(super) mailbox: Mailbox,
    pub(super) claims: Claims,
    pub(super) plans: Plans,
    pub(super) restored: Restored,
    pub(super) closing: AtomicBool,
    /// Told when `closing` is set.
    pub(super) stopping: tokio::sync::Notify,
    runs: Mutex<HashMap<RunId, Arc<RunBus>>>,
    /// Told when there is a run more.
    taken_up: tokio::sync::watch::Sender<()>,
}

/// An executor that an engine has.
#[derive(Clone, Debug)]
pub(super) struct Registered {
    pub(super) name: ExecutorName,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) adoption: Adoption,
}

/// The shared parts that [`Core`] is made of, so that its making stays readable.
pub(super) struct Parts {
    pub(super) executors: Vec<Registered>,
    pub(super) store: Arc<dyn Store>,
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) caches: Option<Arc<dyn CacheStore>>,
    pub(super) results: Option<Results>,
    pub(super) secrets: Arc<dyn SecretSource>,
    pub(super) environments: Option<Arc<dyn EnvironmentSource>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) faults: Option<Arc<dyn FaultPlan>>,
    pub(super) worker: WorkerId,
    pub(super) lease: Duration,
    pub(super) grace: Duration,
    pub(super) max_parallel: Option<NonZeroU32>,
    pub(super) log_limit: Option<NonZeroU64>,
    pub(super) slots: Arc<Slots>,
}

impl Core {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { executors, store, blobs, caches, secrets, clock, faults, worker, lease, grace, .. } = parts;
        Self {
            executors,
            store,
            blobs,
            caches,
            secrets,
            clock,
            faults,
            worker,
            lease,
            grace,
            results: parts.results,
            environments: parts.environments,
            max_parallel: parts.max_parallel,
            log_limit: parts.log_limit,
            slots: parts.slots,
            groups: Arc::default(),
            mailbox: Mailbox::default(),
            claims: Claims::default(),
            plans: Plans::default(),
            restored: Restored::default(),
            closing: AtomicBool::new(false),
            stopping: tokio::sync::Notify::new(),
            runs: Mutex::default(),
            taken_up: tokio::sync::watch::Sender::default(),
        }
    }

    /// The place of the executor of this name.
    pub(super) fn executor(&self, name: &str) -> Option<usize> {
        self.executors.iter().position(|known| known.name == *name)
    }

    pub(super) fn lease_from_now(&self) -> Lease {
        Lease { worker: self.worker.clone(), until: super::clock::later(self.clock.now(), self.lease) }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(super) fn reach(&self, point: CrashPoint, job: Option<&JobId>) {
        if let Some(faults) = &self.faults {
            faults.reach(point, job);
        }
    }

    /// From now on this engine drives this run.
    pub(super) fn drive(&self, bus: &Arc<RunBus>) {
        self.runs().insert(bus.info.id, Arc::clone(bus));
        self.taken_up.send_replace(());
    }

    /// The run of this id, as soon as this engine drives it.
    pub(super) async fn driven(&self, run: RunId) -> Arc<RunBus> {
        let mut taken_up = self.taken_up.subscribe();
        loop {
            if let Some(bus) = self.runs().get(&run) {
                return Arc::clone(bus);
            }
            // It cannot fail: the sender is here.
            let _ = taken_up.changed().await;
        }
    }

    /// The runs that this engine drives.
    pub(super) fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Arc<RunBus>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("worker", &self.worker)
            .field("executors", &self.executors)
            .field("store", &self.store)
            .field("runs", &self.runs().len())
            .finish_non_exhaustive()
    }
}
