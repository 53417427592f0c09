//! The copies of repositories that this server keeps.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use buildit::id::RepositoryId;
use buildit::store::StoreError;
use buildit_executors::remote::{Mirror, RemoteAddress, RemoteError, ThisMachine};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::settings::Settings;
use crate::state::ServerState;

/// How long a call of `git` may take that fetches, and one that only asks whether somebody is there.
pub(crate) const PATIENCE: Duration = Duration::from_secs(900);
pub(crate) const SHORT_PATIENCE: Duration = Duration::from_secs(30);

/// How many repositories are fetched or checked out at once.
const AT_ONCE: usize = 8;

/// Copies, a folder each. Every server has its own; what a run is made of is in the blob store.
#[derive(Debug)]
pub(crate) struct Mirrors {
    folder: PathBuf,
    most_bytes: u64,
    here: ThisMachine,
    open: Mutex<HashMap<RepositoryId, Arc<Mirror>>>,
    turns: Semaphore,
}

impl Mirrors {
    pub(crate) fn new(settings: &Settings) -> Self {
        // `git` works in folders of its own, where a relative path means something else.
        let data = std::path::absolute(&settings.data).unwrap_or_else(|_| settings.data.clone());
        let here = if settings.local_repositories { ThisMachine::Allowed } else { ThisMachine::Refused };
        let most_bytes = settings.repository_mebibytes.saturating_mul(1024 * 1024);
        let turns = Semaphore::new(AT_ONCE);
        Self { folder: data.join("repositories"), most_bytes, here, open: Mutex::default(), turns }
    }

    /// The copy of a repository, which may not have been fetched yet.
    pub(crate) fn of(&self, id: RepositoryId) -> Arc<Mirror> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Mirror::new(self.folder.join(id.to_string()), self.most_bytes));
        Arc::clone(open.entry(id).or_insert_with(new))
    }

    /// An address that a repository of this server may have.
    pub(crate) fn address(&self, url: &str) -> Result<RemoteAddress, RemoteError> {
        RemoteAddress::parse(url, self.here)
    }

    pub(crate) fn here(&self) -> ThisMachine {
        self.here
    }

    /// A turn among those who fetch or check out.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.turns.acquire().await.ok()
    }

    /// Removes the copy of a repository that is gone. One that is being fetched is removed by the next start.
    pub(crate) fn forget(&self, id: RepositoryId) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Err(error) = fs::remove_dir_all(self.folder.join(id.to_string()))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, repository = %id, "the copy of a repository stays");
        }
    }
}

/// Removes copies of repositories that are gone: another server, or an earlier one, has removed them.
pub(crate) async fn sweep(state: &ServerState) -> Result<(), StoreError> {
    let Ok(entries) = fs::read_dir(&state.mirrors().folder) else { return Ok(()) };
    let ids: Vec<RepositoryId> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for id in ids {
        if state.store().repository(id).await?.is_none() {
            state.mirrors().forget(id);
        }
    }
    Ok(())
}
