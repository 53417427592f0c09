//! What is due is said.

use std::time::Duration;

use buildit::store::{CommitStatus, Report, Settled, StoreError};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use url::Origin;

use crate::app::webhooks::reach;
use crate::errands::{Breaker, NotSent, in_time, outcome, settled, work_off};
use crate::forge::Saying;
use crate::state::ServerState;

/// How long one request may take, how long all of it, and how long nobody else takes it: longer than that, and no longer than
/// people wait who look at a commit whose server was killed.
const LONGEST: Duration = Duration::from_secs(12);
const WHOLE: Duration = Duration::from_secs(18);
const TAKEN: SignedDuration = SignedDuration::from_secs(20);

/// Says what is due, until it is told to stop; what is under way then is said.
pub(crate) async fn work(state: ServerState, stop: CancellationToken) {
    let take = |now: Timestamp, most| state.store().take_statuses(now, now + TAKEN, most);
    let breaker = Breaker::default();
    work_off("statuses of commits", &stop, take, |report| send(&state, &breaker, report)).await;
}

async fn send(state: &ServerState, breaker: &Breaker<Origin>, report: Report) -> Result<(), StoreError> {
    let Report { status, tries, .. } = &report;
    let how = settled(in_time(WHOLE, say(state, breaker, status)).await, *tries);
    let repository = status.repository;
    match &how {
        Settled::Sent { .. } => {}
        Settled::Later { error, .. } => tracing::debug!(%repository, error, "a commit's status is said again"),
        Settled::GivenUp { error, .. } => tracing::warn!(%repository, error, "a commit's status is given up"),
    }
    state.meters().count("buildit_statuses_total", &[("outcome", outcome(&how))], 1);
    state.store().settle_status(status.id, *tries, how).await.map(drop)
}

async fn say(state: &ServerState, breaker: &Breaker<Origin>, status: &CommitStatus) -> Result<(), NotSent> {
    let later = |error: StoreError| NotSent::Later(error.to_string());
    let repository = state.store().repository(status.repository).await.map_err(later)?;
    let repository = repository.ok_or_else(|| NotSent::Never("the repository is not connected any more".into()))?;
    let (place, token) = reach(state, &repository).await?;
    let saying = Saying {
        commit: &status.commit,
        reference: &status.reference,
        context: &status.context,
        state: status.state,
        description: &status.description,
        url: &status.url,
    };
    let telling = async { Ok(state.forges().say(&place, &token, &saying).await?) };
    breaker.send(repository.tenant, place.origin(), LONGEST, telling).await
}
