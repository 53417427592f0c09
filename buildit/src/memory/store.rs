//! [`MemoryStore`] and its ports.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::blobs::MemoryBlobs;
use super::caches::Caches;
use super::logs::RunLogs;
use super::queue::{Queue, QueueChange};
use super::run::RunState;
use crate::artifact::{BlobError, BlobStore, BlobStream, CacheHit, CacheStore};
use crate::event::Event;
use crate::executor::LogCursor;
use crate::id::{Digest, FencingToken, JobId, RunId};
use crate::store::{
    Claim, Enqueue, EventPage, Lease, LogAppend, LogPage, LogStore, NewRun, QueueStore, QueuedJob, RunRecord, RunStore,
    RunSummary, StoreError,
};

/// Longer leases are cut: a run whose engine died would wait so long for the next one.
const MAX_LEASE: Duration = Duration::from_secs(60);

/// Keeps everything in memory. Clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    runs: Mutex<Runs>,
    queue: Mutex<Queue>,
    blobs: MemoryBlobs,
    caches: Mutex<Caches>,
}

#[derive(Debug, Default)]
struct Runs {
    by_id: HashMap<RunId, Arc<Run>>,
    /// By the time of creation, then by the order of creation.
    order: BTreeMap<(Timestamp, u64), Arc<Run>>,
    /// Those that are not closed, by the order of creation.
    open: BTreeMap<u64, RunId>,
    /// The last number of each pipeline.
    numbers: HashMap<String, u64>,
    created: u64,
}

#[derive(Debug)]
struct Run {
    place: u64,
    pipeline: String,
    /// The largest token that was seen. Every write holds it for reading and every lease for writing, so a write is
    /// wholly before a takeover or refused.
    token: RwLock<FencingToken>,
    state: Mutex<RunState>,
    logs: Mutex<RunLogs>,
}

impl MemoryStore {
    /// A store that is gone with the process.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn run_of(&self, run: RunId) -> Result<Arc<Run>, StoreError> {
        lock(&self.0.runs).by_id.get(&run).cloned().ok_or(StoreError::NoRun(run))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What panicked while it held the lock changed memory last, so the state is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run {
    /// Does `write` unless a larger token was seen.
    fn fenced<T>(&self, token: FencingToken, write: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let seen = self.token.read().unwrap_or_else(PoisonError::into_inner);
        if token < *seen {
            return Err(StoreError::Fenced);
        }
        if token == *seen {
            return write();
        }
        drop(seen);
        let mut seen = self.token.write().unwrap_or_else(PoisonError::into_inner);
        if token < *seen {
            return Err(StoreError::Fenced);
        }
        *seen = token;
        write()
    }

    fn lease(&self, lease: Lease, now: Timestamp) -> Result<FencingToken, StoreError> {
        let mut seen = self.token.write().unwrap_or_else(PoisonError::into_inner);
        let mut state = lock(&self.state);
        let token = state.lease(&lease, *seen, now)?;
        state.lease = Some(lease);
        *seen = token;
        Ok(token)
    }
}

#[async_trait]
impl RunStore for MemoryStore {
    async fn create_run(&self, run: NewRun) -> Result<RunRecord, StoreError> {
        let mut runs = lock(&self.0.runs);
        if runs.by_id.contains_key(&run.id) {
            return Err(StoreError::Exists(run.id));
        }
        let pipeline = run.plan.name.clone();
        let number = runs.numbers.entry(pipeline.clone()).or_default();
        *number += 1;
        let (id, created_at) = (run.id, run.created_at);
        let state = RunState::new(run, *number);
        let record = state.record();
        runs.created += 1;
        let place = runs.created;
        let run = Arc::new(Run {
            place,
            pipeline,
            token: RwLock::new(FencingToken(0)),
            state: Mutex::new(state),
            logs: Mutex::default(),
        });
        runs.by_id.insert(id, Arc::clone(&run));
        runs.order.insert((created_at, place), run);
        runs.open.insert(place, id);
        Ok(record)
    }

    async fn run(&self, run: RunId) -> Result<RunRecord, StoreError> {
        Ok(lock(&self.run_of(run)?.state).record())
    }

    async fn runs(&self, pipeline: Option<&str>, limit: usize) -> Result<Vec<RunSummary>, StoreError> {
        let runs = lock(&self.0.runs);
        let newest_first = runs.order.values().rev();
        let wanted = newest_first.filter(|run| pipeline.is_none_or(|name| run.pipeline == name));
        Ok(wanted.take(limit).map(|run| lock(&run.state).summary()).collect())
    }

    async fn open_runs(&self) -> Result<Vec<RunId>, StoreError> {
        Ok(lock(&self.0.runs).open.values().copied().collect())
    }

    async fn append(
        &self,
        run: RunId,
        expected_seq: u64,
        token: FencingToken,
        events: &[Event],
    ) -> Result<(), StoreError> {
        let kept = self.run_of(run)?;
        kept.fenced(token, || {
            let mut state = lock(&kept.state);
            state.check(expected_seq, events)?;
            state.append(events);
            Ok(())
        })
    }

    async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<EventPage, StoreError> {
        Ok(lock(&self.run_of(run)?.state).page(after, limit))
    }

    async fn close_run(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        let kept = self.run_of(run)?;
        kept.fenced(token, || match lock(&kept.state).progress.status.is_final() {
            true => Ok(()),
            false => Err(StoreError::NotEnded(run)),
        })?;
        lock(&self.0.runs).open.remove(&kept.place);
        Ok(())
    }

    async fn lease_run(&self, run: RunId, lease: Lease, now: Timestamp) -> Result<FencingToken, StoreError> {
        self.run_of(run)?.lease(lease, now)
    }
}

#[async_trait]
impl LogStore for MemoryStore {
    async fn append_log(&self, append: LogAppend<'_>) -> Result<(), StoreError> {
        let run = self.run_of(append.job.run)?;
        run.fenced(append.token, || lock(&run.logs).append(&append))
    }

    async fn log_cursor(&self, job: &JobId) -> Result<LogCursor, StoreError> {
        Ok(self.run_of(job.run).map(|run| lock(&run.logs).cursor(job)).unwrap_or_default())
    }

    async fn read_log(&self, job: &JobId, after: u64, max_bytes: usize) -> Result<LogPage, StoreError> {
        Ok(self.run_of(job.run).map(|run| lock(&run.logs).read(job, after, max_bytes)).unwrap_or_default())
    }

    async fn logs_of_run(&self, run: RunId) -> Result<Vec<JobId>, StoreError> {
        Ok(self.run_of(run).map(|kept| lock(&kept.logs).jobs(run)).unwrap_or_default())
    }
}

#[async_trait]
impl QueueStore for MemoryStore {
    async fn enqueue(&self, job: Enqueue) -> Result<(), StoreError> {
        self.run_of(job.run)?;
        let mut queue = lock(&self.0.queue);
        if !queue.contains(job.run) {
            queue.apply(QueueChange::Added(job));
        }
        Ok(())
    }

    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Vec<QueuedJob>, StoreError> {
        let mut queue = lock(&self.0.queue);
        let until = now.saturating_add(claim.lease.min(MAX_LEASE)).unwrap_or(Timestamp::MAX);
        let mut taken = Vec::new();
        let mut changes = Vec::new();
        for (id, entry) in queue.due(now) {
            if taken.len() == claim.limit {
                break;
            }
            let run = self.run_of(id)?;
            if lock(&run.state).lease.as_ref().is_some_and(|held| held.until > now) {
                continue;
            }
            if entry.taken >= entry.job.max_attempts.max(1) {
                changes.push(QueueChange::Died { run: id });
                continue;
            }
            match run.lease(Lease { worker: claim.worker.clone(), until }, now) {
                Ok(token) => {
                    taken.push(QueuedJob { run: id, tenant: entry.job.tenant, token, attempt: entry.taken + 1 });
                    changes.push(QueueChange::Taken { run: id });
                }
                Err(StoreError::Fenced) => {}
                Err(error) => return Err(error),
            }
        }
        changes.into_iter().for_each(|change| queue.apply(change));
        Ok(taken)
    }

    async fn renew(&self, run: RunId, token: FencingToken, until: Timestamp) -> Result<(), StoreError> {
        let kept = self.run_of(run)?;
        kept.fenced(token, || {
            if let Some(lease) = &mut lock(&kept.state).lease {
                lease.until = until;
            }
            Ok(())
        })
    }

    async fn complete(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        let kept = self.run_of(run)?;
        kept.fenced(token, || {
            lock(&self.0.queue).apply(QueueChange::Removed { run });
            lock(&kept.state).lease = None;
            Ok(())
        })
    }

    async fn give_back(&self, run: RunId, token: FencingToken, at: Timestamp) -> Result<(), StoreError> {
        let kept = self.run_of(run)?;
        kept.fenced(token, || {
            let mut queue = lock(&self.0.queue);
            let is_last = queue.entry(run).is_some_and(|entry| entry.taken >= entry.job.max_attempts.max(1));
            queue.apply(if is_last { QueueChange::Died { run } } else { QueueChange::GivenBack { run, at } });
            lock(&kept.state).lease = None;
            Ok(())
        })
    }

    async fn dead_letters(&self) -> Result<Vec<RunId>, StoreError> {
        Ok(lock(&self.0.queue).dead_letters())
    }

    async fn requeue(&self, run: RunId, at: Timestamp) -> Result<(), StoreError> {
        let mut queue = lock(&self.0.queue);
        queue.check_dead(run)?;
        queue.apply(QueueChange::Revived { run, at });
        Ok(())
    }
}

#[async_trait]
impl BlobStore for MemoryStore {
    async fn put(&self, content: BlobStream) -> Result<(Digest, u64), BlobError> {
        self.0.blobs.put(content).await
    }

    async fn open(&self, digest: &Digest) -> Result<BlobStream, BlobError> {
        self.0.blobs.open(digest)
    }

    async fn contains(&self, digest: &Digest) -> Result<bool, BlobError> {
        Ok(self.0.blobs.contains(digest))
    }
}

#[async_trait]
impl CacheStore for MemoryStore {
    async fn find_cache(&self, scope: &str, key: &str, restore_keys: &[String]) -> Result<Option<CacheHit>, BlobError> {
        Ok(lock(&self.0.caches).find(scope, key, restore_keys))
    }

    async fn save_cache(&self, scope: &str, key: &str, archive: Digest) -> Result<(), BlobError> {
        lock(&self.0.caches).save(scope, key, archive);
        Ok(())
    }
}
