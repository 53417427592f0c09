//! What is due is sent.

use std::time::Duration;

use buildit::store::{Dispatch, Settled, StoreError};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::errands::{Breaker, outcome, settled, work_off};
use crate::state::ServerState;

/// How long one may take, and how long nobody else takes it: longer than that.
const LONGEST: Duration = Duration::from_secs(30);
const TAKEN: SignedDuration = SignedDuration::from_secs(60);

/// How often it is looked for stages that wait and that nobody was told of.
const OVERLOOKED: Duration = Duration::from_secs(60);

/// Sends what is due, until it is told to stop; what is under way then is sent.
pub(crate) async fn work(state: ServerState, stop: CancellationToken) {
    let overlooked = tokio::spawn(tell_of_what_was_overlooked(state.clone()));
    let take = |now: Timestamp, most| state.store().take_notifications(now, now + TAKEN, most);
    let breaker = Breaker::default();
    work_off("notifications", &stop, take, |dispatch| send(&state, &breaker, dispatch)).await;
    overlooked.abort();
}

async fn tell_of_what_was_overlooked(state: ServerState) {
    loop {
        if let Err(error) = state.outbox().overlooked().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "stages that wait cannot be looked for");
        }
        tokio::time::sleep(OVERLOOKED).await;
    }
}

/// Who is told is known by the host, or the addresses, of a channel.
async fn send(state: &ServerState, breaker: &Breaker<String>, dispatch: Dispatch) -> Result<(), StoreError> {
    let Dispatch { notification, tries, .. } = dispatch;
    // One that was deleted meanwhile took its notifications along.
    let Some(channel) = state.store().channel(notification.channel).await? else { return Ok(()) };
    let telling = state.courier().tell(state, &channel, &notification);
    let sent = breaker.send(channel.tenant, channel.target.clone(), LONGEST, telling).await;
    let how = settled(sent, tries);
    match &how {
        Settled::Sent { .. } => {}
        Settled::Later { error, .. } => tracing::debug!(channel = %channel.id, error, "a notification is tried again"),
        Settled::GivenUp { error, .. } => tracing::warn!(channel = %channel.id, error, "a notification is given up"),
    }
    let labels = [("kind", channel.kind.as_str()), ("outcome", outcome(&how))];
    state.meters().count("buildit_notifications_total", &labels, 1);
    state.store().settle_notification(notification.id, tries, how).await.map(drop)
}
