//! Removals that go on while the run does: nobody has to wait for them but the end of the run.

use std::collections::HashMap;
use std::sync::Mutex;

use buildit::id::RunId;
use tokio::task::JoinHandle;

use super::lock::lock;

/// The removals under way, by run.
#[derive(Debug, Default)]
pub(super) struct Removals(Mutex<HashMap<RunId, Vec<JoinHandle<()>>>>);

impl Removals {
    pub(super) fn add(&self, run: RunId, removal: JoinHandle<()>) {
        let mut all = lock(&self.0);
        let of_run = all.entry(run).or_default();
        of_run.retain(|removal| !removal.is_finished());
        of_run.push(removal);
    }

    pub(super) async fn finish(&self, run: RunId) {
        let removals = lock(&self.0).remove(&run).unwrap_or_default();
        for removal in removals {
            // One that panicked has removed nothing, which shows in what is found next.
            let _ = removal.await;
        }
    }
}
