//! Storing a batch of events, through what goes wrong for a while.

use std::sync::Arc;
use std::time::Duration;

use super::bus::RunBus;
use super::core::Core;
use super::error::RunError;
use super::lease;
use super::notices::{Waiting, described};
use super::patience::Patience;
use crate::backoff::Backoff;
use crate::event::Event;
use crate::store::StoreError;

/// Appends the events after number `expected`. A store that fails is asked again for about a minute, or for as long as
/// a stop allows: jobs go on meanwhile, and nothing new starts. What was told to the driver meanwhile waits, so nothing
/// is carried out that is not durable.
pub(super) async fn append(
    core: &Core,
    bus: &Arc<RunBus>,
    expected: u64,
    events: &Arc<[Event]>,
) -> Result<(), RunError> {
    let run = bus.info.id;
    let waits = Backoff::new(16, Duration::from_millis(100), Duration::from_secs(8), &run);
    let mut patience = Patience::new(waits);
    let mut waiting = None;
    let mut tried = false;
    loop {
        let token = bus.token();
        let error = match core.store.append(run, expected, token, Arc::clone(events)).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match error {
            StoreError::Fenced => {
                let ours = lease::renew(core, bus).await.unwrap_or(false);
                if !ours || bus.token() == token {
                    return Err(RunError::LeaseLost);
                }
            }
            // The answer to an earlier try may have been lost, and not the events.
            StoreError::Conflict { .. } if tried && is_stored(core, bus, expected, events).await => return Ok(()),
            StoreError::Conflict { .. } => return Err(RunError::LeaseLost),
            StoreError::Backend { .. } => {
                tracing::warn!(%run, %error, "events cannot be stored");
                waiting.get_or_insert_with(|| {
                    Waiting::tell(bus, || format!("events cannot be stored: {}; trying again", described(&error)))
                });
                if !patience.wait(core, &[&bus.stop]).await {
                    return Err(RunError::Store(Arc::new(error)));
                }
            }
            error => return Err(RunError::Store(Arc::new(error))),
        }
        tried = true;
    }
}

async fn is_stored(core: &Core, bus: &RunBus, expected: u64, events: &[Event]) -> bool {
    let page = core.store.events(bus.info.id, expected, events.len()).await;
    page.is_ok_and(|page| page.events == *events)
}
