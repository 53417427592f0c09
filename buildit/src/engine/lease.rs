//! Keeping the lease on a run.

use std::sync::Arc;

use super::bus::RunBus;
use super::clock::later;
use super::core::Core;
use super::error::RunError;
use super::message::Message;
use crate::store::StoreError;

/// Renews the lease at a third of its time, until it is lost: then it tells the driver, and ends.
pub(super) async fn keep(core: Arc<Core>, bus: Arc<RunBus>) {
    let mut until = later(core.clock.now(), core.lease);
    let lost = loop {
        core.clock.sleep_until(later(core.clock.now(), core.lease / 3)).await;
        let now = core.clock.now();
        match renew(&core, &bus).await {
            Ok(true) => until = later(now, core.lease),
            Ok(false) => break RunError::LeaseLost,
            Err(error) if now < until => tracing::warn!(run = %bus.info.id, %error, "the lease is not renewed yet"),
            Err(error) => {
                tracing::error!(run = %bus.info.id, %error, "the lease could not be renewed in time");
                break RunError::LeaseEnded(Arc::new(error));
            }
        }
    };
    let _ = bus.sender.send(Message::LeaseLost(lost));
}

/// Renews the lease, or takes it again: whether this engine drives the run.
///
/// A lease that had ended, as after the sleep of a laptop, and that nobody holds now can be taken again if nothing was
/// added to the run's record: nobody has driven the run meanwhile, and what an engine with a smaller token does is
/// refused from now on.
pub(super) async fn renew(core: &Core, bus: &RunBus) -> Result<bool, StoreError> {
    let run = bus.info.id;
    let token = match core.store.lease_run(run, core.lease_from_now(), core.clock.now()).await {
        Ok(token) => token,
        Err(StoreError::Fenced | StoreError::NoRun(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    if token == bus.token() {
        return Ok(true);
    }
    let known = *bus.seq.borrow();
    if core.store.run(run).await?.last_seq != known {
        return Ok(false);
    }
    tracing::info!(%run, "the lease had ended, and was taken again");
    bus.set_token(token);
    Ok(true)
}
