//! [`MemoryStore`].

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::accounts::{JournaledAccounts, JournaledAudit};
use super::blobs::MemoryBlobs;
use super::caches::{CacheChange, Caches};
use super::deliveries::JournaledDeliveries;
use super::environments::JournaledEnvironments;
use super::exports::JournaledExports;
use super::journal::{BlobFolder, ChangeFile, Folder};
use super::kept::KeptRun;
use super::notifications::JournaledNotifications;
use super::policies::JournaledPolicies;
use super::queue::{Queue, QueueChange};
use super::repositories::JournaledRepositories;
use super::requests::JournaledRequests;
use super::results::{JournaledResults, Results};
use super::runs::Runs;
use super::schedules::JournaledSchedules;
use super::secrets::{SecretChange, Secrets};
use super::statuses::JournaledStatuses;
use crate::artifact::{CacheHit, CacheQuota, Evicted};
use crate::id::RunId;
use crate::store::StoreError;

/// How long the file of the queue may grow beyond what the queue holds, in bytes, before it is written anew.
const QUEUE_SLACK: u64 = 1024 * 1024;

/// How long the file of caches may grow beyond what they are, in bytes, before it is written anew.
const CACHES_SLACK: u64 = 1024 * 1024;

/// How long the file of secrets may grow beyond what they are, in bytes, before it is written anew.
const SECRETS_SLACK: u64 = 1024 * 1024;

/// Keeps pipelines, runs, logs, the queue, blobs, caches, kept results, sealed secrets, environments, repositories and accounts: in memory, or
/// [journaled](Self::journaled) to a folder. Clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    runs: Mutex<Runs>,
    queue: Mutex<JournaledQueue>,
    blobs: Blobs,
    caches: Mutex<JournaledCaches>,
    results: Mutex<JournaledResults>,
    secrets: Mutex<JournaledSecrets>,
    accounts: Mutex<JournaledAccounts>,
    audit: Mutex<JournaledAudit>,
    requests: Mutex<JournaledRequests>,
    exports: Mutex<JournaledExports>,
    schedules: Mutex<JournaledSchedules>,
    notifications: Mutex<JournaledNotifications>,
    /// Told when something is asked of a run.
    #[cfg(feature = "engine")]
    asked: tokio::sync::Notify,
    environments: Mutex<JournaledEnvironments>,
    policies: Mutex<JournaledPolicies>,
    repositories: Mutex<JournaledRepositories>,
    deliveries: Mutex<JournaledDeliveries>,
    statuses: Mutex<JournaledStatuses>,
    folder: Option<Arc<Folder>>,
}

#[derive(Debug)]
pub(super) enum Blobs {
    Memory(MemoryBlobs),
    Folder(BlobFolder),
}

impl Default for Blobs {
    fn default() -> Self {
        Self::Memory(MemoryBlobs::default())
    }
}

#[derive(Debug, Default)]
pub(super) struct JournaledQueue {
    pub(super) queue: Queue,
    file: Option<ChangeFile>,
}

impl JournaledQueue {
    /// Makes these changes, all or none; they are durable when it returns.
    pub(super) fn change(&mut self, changes: Vec<QueueChange>) -> Result<(), StoreError> {
        if let Some(file) = &mut self.file
            && !changes.is_empty()
        {
            file.append_durably(&changes)?;
        }
        changes.into_iter().for_each(|change| self.queue.apply(change));
        Ok(())
    }
}

#[derive(Debug, Default)]
pub(super) struct JournaledCaches {
    pub(super) caches: Caches,
    file: Option<ChangeFile>,
}

impl JournaledCaches {
    /// What is found; that it was used is noted as well as it can be.
    pub(super) fn find(&mut self, scope: &str, key: &str, restore_keys: &[String]) -> Option<CacheHit> {
        let (hit, used) = self.caches.find(scope, key, restore_keys)?;
        if let Err(error) = self.save(used) {
            tracing::debug!(%error, "the use of a cache is not noted");
        }
        Some(hit)
    }

    pub(super) fn save(&mut self, wanted: CacheChange) -> Result<(), StoreError> {
        let change = self.caches.saved(wanted);
        if let Some(file) = &mut self.file {
            file.append(&change)?;
        }
        self.caches.apply(change);
        Ok(())
    }

    pub(super) fn evict(&mut self, quota: CacheQuota) -> Result<Evicted, StoreError> {
        let evicted = self.caches.evict(quota);
        match &mut self.file {
            Some(file) if evicted != Evicted::default() => file.replace(&self.caches.as_changes())?,
            _ => {}
        }
        Ok(evicted)
    }
}

#[derive(Debug, Default)]
pub(super) struct JournaledSecrets {
    pub(super) secrets: Secrets,
    file: Option<ChangeFile>,
}

impl JournaledSecrets {
    /// Makes a change; it is durable when it returns. What was changed or deleted, sealed, stays in the file
    /// until that is written anew, which is when most of it is such.
    pub(super) fn change(&mut self, change: SecretChange) -> Result<(), StoreError> {
        if let Some(file) = &mut self.file {
            file.append_durably(std::slice::from_ref(&change))?;
        }
        self.secrets.apply(change);
        match &mut self.file {
            Some(file) if file.length() > SECRETS_SLACK + 4096 * self.secrets.len() as u64 => {
                file.replace(&self.secrets.as_changes())
            }
            _ => Ok(()),
        }
    }
}

impl MemoryStore {
    /// A store that is gone with the process.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A store in a folder, which is made if it is not there, for its owner alone. What is in it outlives this
    /// process, however it ends: events, leases and the queue are on the disk when a call returns. Logs outlive the
    /// process too; when the whole machine dies, their last seconds may be missing.
    ///
    /// Events and logs are read from their files, never held in memory; runs that are closed are not read at all
    /// until somebody asks for them. A folder belongs to one process at a time. Since the one before is gone when it
    /// is opened, leases of that time are void (their tokens still fence).
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`] when another process has it open, [`StoreError::Newer`] when a newer version wrote it,
    /// [`StoreError::Corrupt`] when something in it is damaged: then nothing in it is changed.
    pub fn journaled(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        let folder = Arc::new(Folder::open(dir.as_ref())?);
        let mut queue = Queue::default();
        let mut queue_file = ChangeFile::open(&folder, "queue", |change| queue.apply(change))?;
        if queue_file.length() > QUEUE_SLACK + 1024 * queue.len() as u64 {
            let changes = queue.as_changes();
            queue_file.replace(&changes)?;
        }
        let mut caches = Caches::default();
        let mut cache_file = ChangeFile::open(&folder, "caches", |change| caches.apply(change))?;
        if cache_file.length() > CACHES_SLACK + 1024 * caches.len() as u64 {
            cache_file.replace(&caches.as_changes())?;
        }
        let mut secrets = Secrets::default();
        let secret_file = ChangeFile::open(&folder, "secrets", |change| secrets.apply(change))?;
        let mut results = Results::default();
        let result_file = ChangeFile::open(&folder, "results", |change| results.apply(change))?;
        Ok(Self(Arc::new(Inner {
            runs: Mutex::new(Runs::open(&folder)?),
            queue: Mutex::new(JournaledQueue { queue, file: Some(queue_file) }),
            blobs: Blobs::Folder(BlobFolder::new(&folder)),
            caches: Mutex::new(JournaledCaches { caches, file: Some(cache_file) }),
            results: Mutex::new(JournaledResults::open(results, result_file)?),
            secrets: Mutex::new(JournaledSecrets { secrets, file: Some(secret_file) }),
            accounts: Mutex::new(JournaledAccounts::open(&folder)?),
            audit: Mutex::new(JournaledAudit::open(&folder)?),
            requests: Mutex::new(JournaledRequests::open(&folder)?),
            exports: Mutex::new(JournaledExports::open(&folder)?),
            schedules: Mutex::new(JournaledSchedules::open(&folder)?),
            notifications: Mutex::new(JournaledNotifications::open(&folder)?),
            #[cfg(feature = "engine")]
            asked: tokio::sync::Notify::new(),
            environments: Mutex::new(JournaledEnvironments::open(&folder)?),
            policies: Mutex::new(JournaledPolicies::open(&folder)?),
            repositories: Mutex::new(JournaledRepositories::open(&folder)?),
            deliveries: Mutex::new(JournaledDeliveries::open(&folder)?),
            statuses: Mutex::new(JournaledStatuses::open(&folder)?),
            folder: Some(folder),
        })))
    }

    pub(super) fn runs_locked(&self) -> MutexGuard<'_, Runs> {
        lock(&self.0.runs)
    }

    pub(super) fn queue_locked(&self) -> MutexGuard<'_, JournaledQueue> {
        lock(&self.0.queue)
    }

    pub(super) fn caches_locked(&self) -> MutexGuard<'_, JournaledCaches> {
        lock(&self.0.caches)
    }

    pub(super) fn results_locked(&self) -> MutexGuard<'_, JournaledResults> {
        lock(&self.0.results)
    }

    pub(super) fn secrets_locked(&self) -> MutexGuard<'_, JournaledSecrets> {
        lock(&self.0.secrets)
    }

    pub(super) fn accounts_locked(&self) -> MutexGuard<'_, JournaledAccounts> {
        lock(&self.0.accounts)
    }

    pub(super) fn audit_locked(&self) -> MutexGuard<'_, JournaledAudit> {
        lock(&self.0.audit)
    }

    pub(super) fn exports_locked(&self) -> MutexGuard<'_, JournaledExports> {
        lock(&self.0.exports)
    }

    pub(super) fn requests_locked(&self) -> MutexGuard<'_, JournaledRequests> {
        lock(&self.0.requests)
    }

    pub(super) fn schedules_locked(&self) -> MutexGuard<'_, JournaledSchedules> {
        lock(&self.0.schedules)
    }

    pub(super) fn notifications_locked(&self) -> MutexGuard<'_, JournaledNotifications> {
        lock(&self.0.notifications)
    }

    /// What is told when something is asked of a run.
    #[cfg(feature = "engine")]
    pub(super) fn asked(&self) -> &tokio::sync::Notify {
        &self.0.asked
    }

    pub(super) fn environments_locked(&self) -> MutexGuard<'_, JournaledEnvironments> {
        lock(&self.0.environments)
    }

    pub(super) fn policies_locked(&self) -> MutexGuard<'_, JournaledPolicies> {
        lock(&self.0.policies)
    }

    pub(super) fn repositories_locked(&self) -> MutexGuard<'_, JournaledRepositories> {
        lock(&self.0.repositories)
    }

    pub(super) fn deliveries_locked(&self) -> MutexGuard<'_, JournaledDeliveries> {
        lock(&self.0.deliveries)
    }

    pub(super) fn statuses_locked(&self) -> MutexGuard<'_, JournaledStatuses> {
        lock(&self.0.statuses)
    }

    pub(super) fn kept_blobs(&self) -> &Blobs {
        &self.0.blobs
    }

    pub(super) fn folder(&self) -> Option<&Arc<Folder>> {
        self.0.folder.as_ref()
    }

    pub(super) fn kept(&self, run: RunId) -> Result<Arc<KeptRun>, StoreError> {
        self.runs_locked().get(run)
    }

    /// The run, which somebody looks at.
    pub(super) fn looked_at(&self, run: RunId) -> Result<Arc<KeptRun>, StoreError> {
        let mut runs = self.runs_locked();
        let found = runs.get(run)?;
        let unused = runs.touch(run);
        drop(runs);
        if let Some(unused) = unused {
            unused.forget();
        }
        Ok(found)
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What panicked while it held the lock changed memory last, so the state is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
