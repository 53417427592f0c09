//! Workspaces laid out ahead: while a job runs, that of the next one is filled with the run's source, beside it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buildit::artifact::BlobStore;
use buildit::executor::JobInputs;
use buildit::id::{Digest, RunId};
use tokio::task::JoinHandle;

use super::spool::Spool;
use crate::workspace::lay_out_source;

/// The largest archive that is laid out on a guess, in bytes: a larger one would take disk and cache from the jobs that
/// run, and a few of its files less change nothing.
const LARGEST: u64 = 256 * 1024 * 1024;

/// Removes a half-made job, also when the future that makes it is dropped.
#[derive(Debug)]
pub(super) struct Unfinished(pub(super) Spool);

impl Unfinished {
    /// Makes its folder with the outputs in it.
    pub(super) fn draft(&self) -> io::Result<()> {
        self.0.make()?;
        [self.0.stdout(), self.0.stderr()].iter().try_for_each(|file| Spool::write(file, b""))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.0.exists() {
            let _ = self.0.remove(false);
        }
    }
}

/// At most one half-made job of each run, whose workspace holds the source and nothing else. It is inert and nobody's
/// until a job takes it; what nobody takes goes with its run, or with this engine.
#[derive(Debug, Default)]
pub(super) struct Ahead(Mutex<HashMap<RunId, Laid>>);

#[derive(Debug)]
struct Laid {
    source: Digest,
    task: JoinHandle<Option<Unfinished>>,
}

impl Ahead {
    /// Begins with one in this folder, unless the run has one.
    pub(super) fn begin(&self, run: RunId, source: Digest, blobs: &Arc<dyn BlobStore>, folder: Spool) {
        let mut all = self.lock();
        if all.contains_key(&run) || blobs.local_path(&source).is_some_and(|archive| is_large(&archive)) {
            return;
        }
        let blobs = Arc::clone(blobs);
        let task = tokio::spawn(async move {
            let fresh = Unfinished(folder);
            fresh.draft().and_then(|()| fs::create_dir(fresh.0.workspace())).ok()?;
            // Whoever needs it finds out what is wrong, and says so.
            let inputs = JobInputs { source: Some(source), ..JobInputs::default() };
            lay_out_source(&inputs, &blobs, &fresh.0.workspace()).await.ok()?;
            Some(fresh)
        });
        all.insert(run, Laid { source, task });
    }

    /// The one with this source, if there is one; waits until it is whole.
    pub(super) async fn take(&self, run: RunId, source: &Digest) -> Option<Unfinished> {
        let laid = {
            let mut all = self.lock();
            if all.get(&run)?.source != *source {
                return None;
            }
            all.remove(&run)?
        };
        laid.task.await.ok().flatten()
    }

    /// The one of this run, which nobody will take any more.
    pub(super) async fn give_up(&self, run: RunId) -> Option<Unfinished> {
        let laid = self.lock().remove(&run)?;
        laid.task.await.ok().flatten()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Laid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_large(archive: &Path) -> bool {
    fs::metadata(archive).is_ok_and(|found| found.len() > LARGEST)
}
