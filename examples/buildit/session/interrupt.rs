//! Work that a signal breaks off.

use std::time::Duration;

use super::Signals;
use crate::exit::Failure;

/// How long work that was broken off may take to tidy up. What reads a pipe that nobody writes to never does, and is
/// left to the end of the process.
const PATIENCE: Duration = Duration::from_secs(2);

/// Does this work, and gives nothing when a signal came first. The work has a thread of its own, because some of it
/// waits for files: a thread of the runtime that does so keeps the signal from being seen.
pub(crate) async fn unless_signalled<T: Send + 'static>(
    signals: &mut Signals,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<Option<T>, Failure> {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let runtime = tokio::runtime::Handle::current();
    let mut thread = tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            tokio::select! {
                done = work => done.map(Some),
                _ = stopped => Ok(None),
            }
        })
    });
    tokio::select! {
        done = &mut thread => done.map_err(Failure::backend)?,
        _ = signals.next() => {
            drop(stop);
            let _ = tokio::time::timeout(PATIENCE, thread).await;
            Ok(None)
        }
    }
}
