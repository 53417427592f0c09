//! Which runs are being started or taken up right now.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::id::RunId;

/// Runs that are kept and not driven yet. Without this an engine that is told twice to take up a run would drive it
/// twice: both times under its own lease.
#[derive(Debug, Default)]
pub(super) struct Claims {
    held: Mutex<HashSet<RunId>>,
    freed: Notify,
}

/// Nobody else of this engine takes the run up, as long as this lives.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    claims: &'a Claims,
    run: RunId,
}

impl Claims {
    /// Waits until nobody else of this engine is taking the run up.
    pub(super) async fn claim(&self, run: RunId) -> Claim<'_> {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Listens from here on, so that no claim that is freed after the look below is missed.
            freed.as_mut().enable();
            if self.lock().insert(run) {
                return Claim { claims: self, run };
            }
            freed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<RunId>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.claims.lock().remove(&self.run);
        self.claims.freed.notify_waiters();
    }
}
