//! Removes what runs have left whose process was killed. They had no journal, so nobody can ever take them up: their
//! jobs are ended, and their records go.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use buildit::backend::Backend;
use buildit::id::RunId;
use buildit::memory::MemoryStore;
use buildit::plan::Plan;
use buildit::store::{RunStore, StoreError};
use buildit_executors::docker::{DockerBackend, DockerOptions};
use buildit_executors::local::LocalBackend;

use super::executors::needs_containers;
use super::keep::{PREFIX, exclusively};

/// Removes all that dead processes have left in this state folder. What a living one holds has a lock, and what
/// belongs to a journal is named in none of the records that are looked at here. What cannot be removed now is left to
/// the next time: it must keep nobody from a run of their own.
pub(crate) async fn sweep(state: &Path) {
    let found = {
        let state = state.to_owned();
        tokio::task::spawn_blocking(move || dead(&state)).await
    };
    let Ok(Ok(found)) = found else { return };
    for record in found {
        let folder = record.folder.clone();
        if let Err(error) = record.bury(state).await {
            tracing::warn!(folder = %folder.display(), "what a killed run left cannot be removed: {error:#}");
        }
    }
}

/// The record of a run whose process is gone.
struct Dead {
    folder: PathBuf,
    /// Holds the record's lock, so that no other process buries it at the same time; `None` for a record that cannot
    /// be read.
    store: Option<MemoryStore>,
}

/// The records that nobody holds.
fn dead(state: &Path) -> io::Result<Vec<Dead>> {
    let mut dead = Vec::new();
    if !state.is_dir() {
        return Ok(dead);
    }
    // A record is made and locked under this lock: one without a lock is not about to get one.
    let _making = exclusively(state)?;
    for entry in fs::read_dir(state)? {
        let folder = entry?.path();
        if !folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes())) {
            continue;
        }
        match File::options().read(true).write(true).open(folder.join("LOCK")).map(|lock| lock.try_lock()) {
            Ok(Err(TryLockError::WouldBlock)) => continue,
            Ok(Ok(())) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(Err(TryLockError::Error(_))) | Err(_) => continue,
        }
        match MemoryStore::journaled(&folder) {
            Ok(store) => dead.push(Dead { folder, store: Some(store) }),
            Err(StoreError::InUse { .. } | StoreError::Newer { .. }) => {}
            Err(_) => dead.push(Dead { folder, store: None }),
        }
    }
    Ok(dead)
}

impl Dead {
    /// Ends the jobs of its runs, removes what is left of them, and the record last: what fails is tried again.
    async fn bury(self, state: &Path) -> anyhow::Result<()> {
        let local = LocalBackend::new(state);
        for run in self.runs() {
            local.reap(run).await?;
        }
        if let Some(store) = &self.store {
            let mut docker = None;
            for run in store.open_runs().await? {
                if !in_containers(store, run).await? {
                    continue;
                }
                let docker = match &mut docker {
                    Some(docker) => docker,
                    None => docker.insert(DockerBackend::connect(DockerOptions::new()).await?),
                };
                docker.reap(run).await?;
            }
        }
        let folder = self.folder;
        tokio::task::spawn_blocking(move || fs::remove_dir_all(folder)).await?.context("cannot remove its record")
    }

    /// The runs in it, by the names of their files: also of a record that cannot be read.
    fn runs(&self) -> Vec<RunId> {
        let files = fs::read_dir(self.folder.join("runs")).into_iter().flatten().flatten();
        files.filter_map(|file| file.file_name().to_str()?.parse().ok()).collect()
    }
}

async fn in_containers(store: &MemoryStore, run: RunId) -> anyhow::Result<bool> {
    let run = store.run(run).await?.run;
    let plan = Plan::restore(run.plan)?;
    Ok(match &run.executor {
        Some(executor) => *executor == "docker",
        None => needs_containers(&plan, &run.context.only),
    })
}
