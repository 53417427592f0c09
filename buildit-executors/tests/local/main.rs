//! Real processes under `LocalBackend`.
#![cfg(all(feature = "local", target_os = "linux"))]
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::allow_attributes)]

mod ahead;
mod cached;
mod cgroup;
mod host;
mod outcome;
mod processes;
mod products;
mod recovery;
mod spool;

use std::path::Path;
use std::sync::Arc;

use buildit::durable::Durable;
use buildit::executor::Executor;
use buildit::job::{JobOutcome, JobSpec};
use buildit_executors::local::LocalBackend;
use host::{Blobs, Host, context};
use tempfile::TempDir;

/// An executor with a state folder of its own.
struct World {
    state: TempDir,
    executor: Durable<LocalBackend>,
    host: Arc<Host>,
    blobs: Arc<Blobs>,
}

impl World {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let executor = Self::executor(&state);
        Self { state, executor, host: Arc::default(), blobs: Arc::default() }
    }

    /// A further engine's executor over the same state.
    fn executor(state: &TempDir) -> Durable<LocalBackend> {
        Durable::new(LocalBackend::new(state.path()))
    }

    async fn run(&self, job: &JobSpec) -> JobOutcome {
        let ctx = context(&self.host, &self.blobs).build();
        self.executor.run(job, ctx).await.unwrap()
    }

    /// Removes the job and sees to it that nothing of it is left.
    async fn leaves_nothing(&self, job: &JobSpec) {
        self.executor.release(&job.id).await.unwrap();
        self.executor.reap(job.id.run).await.unwrap();
        assert!(is_empty(&self.state.path().join("jobs")));
        assert_eq!(processes_of(&job.id.backend_name()), Vec::<String>::new());
    }
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// The processes that carry a job's mark, zombies included, with their states.
fn processes_of(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let mark = format!("BUILDIT_JOB_ID={name}");
        if environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes()) {
            found.push(std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default());
        }
    }
    found
}
