//! Those who take runs off the queue: this server among them.

use std::num::NonZeroU32;
use std::time::Duration;

use buildit::id::WorkerId;
use buildit::store::{Intake, Worker};
use jiff::{SignedDuration, Timestamp};

use super::audit;
use crate::access::Access;
use crate::problem::Problem;
use crate::state::ServerState;

/// How often a server says that it is there.
const NOTED: Duration = Duration::from_secs(10);

/// How long it counts as there: it may miss the time twice.
const SEEN: SignedDuration = SignedDuration::from_secs(35);

/// Says that this server is there, from time to time.
pub(crate) async fn note(state: ServerState) {
    loop {
        if let Err(error) = state.store().note_worker(this(&state)).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the worker cannot say that it is there");
        }
        tokio::time::sleep(NOTED).await;
    }
}

fn this(state: &ServerState) -> Worker {
    let (settings, now) = (state.settings(), Timestamp::now());
    Worker {
        id: state.engine().worker().clone(),
        name: format!("{}:{}", host(), settings.listen.port()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        since: state.since(),
        runs: NonZeroU32::new(u32::try_from(settings.runs).unwrap_or(u32::MAX)),
        seen_until: now + SEEN,
        intake: Intake::Open,
    }
}

/// The name of this machine, where the system tells it as a file.
fn host() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    if host.is_empty() { "server".to_owned() } else { host.to_owned() }
}

/// Says that this server is gone.
pub(crate) async fn leave(state: &ServerState) {
    if let Err(error) = state.store().forget_worker(state.engine().worker()).await {
        tracing::debug!(%error, "the worker will count as lost");
    }
}

/// Has a worker finish what it has and take nothing, or take runs again.
pub(crate) async fn set(
    state: &ServerState,
    access: &Access,
    worker: &WorkerId,
    intake: Intake,
) -> Result<(), Problem> {
    state.store().set_worker_intake(worker, intake).await?;
    let action = if intake.is_paused() { "worker.drain" } else { "worker.resume" };
    audit::of_tenant(state, access, action, worker.to_string(), &[]).await;
    Ok(())
}

/// How a worker is: `working`, `draining` or `lost`.
pub(crate) fn state_of(worker: &Worker, now: Timestamp) -> &'static str {
    match worker.intake {
        _ if worker.seen_until <= now => "lost",
        Intake::Paused => "draining",
        Intake::Open => "working",
    }
}
