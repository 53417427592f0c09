//! What is due is sent.

use std::time::Duration;

use buildit::store::{Dispatch, Settled, StoreError};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::send::NotSent;
use crate::state::ServerState;

/// How often it is looked for what is due: nobody sees a second.
const LOOK: Duration = Duration::from_secs(1);

/// How many are sent at once.
const AT_ONCE: usize = 16;

/// How long one may take, and how long nobody else takes it: longer than that.
const LONGEST: Duration = Duration::from_secs(30);
const TAKEN: SignedDuration = SignedDuration::from_secs(60);

/// After how long it is tried again the first time, and at most; each wait is four times the one before.
const FIRST: SignedDuration = SignedDuration::from_secs(2);
const CAP: SignedDuration = SignedDuration::from_hours(1);

/// How often it is tried: for some seven hours.
const TRIES: u32 = 12;

/// How much of what went wrong is kept.
const ERROR: usize = 500;

/// How often it is looked for stages that wait and that nobody was told of.
const OVERLOOKED: Duration = Duration::from_secs(60);

/// Sends what is due, until it is told to stop; what is under way then is sent.
pub(crate) async fn work(state: ServerState, stop: CancellationToken) {
    let overlooked = tokio::spawn(tell_of_what_was_overlooked(state.clone()));
    loop {
        let sent = send_due(&state, Timestamp::now()).await.unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "notifications cannot be looked for");
            0
        });
        // There may be more where that came from.
        let pause = if sent == AT_ONCE { Duration::ZERO } else { LOOK };
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
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

/// Sends what is due by now; how many that was.
pub(crate) async fn send_due(state: &ServerState, now: Timestamp) -> Result<usize, StoreError> {
    let due = state.store().take_notifications(now, now + TAKEN, AT_ONCE).await?;
    let count = due.len();
    for sent in join_all(due.into_iter().map(|dispatch| send(state, dispatch))).await {
        sent?;
    }
    Ok(count)
}

async fn send(state: &ServerState, dispatch: Dispatch) -> Result<(), StoreError> {
    let Dispatch { notification, tries, .. } = dispatch;
    // One that was deleted meanwhile took its notifications along.
    let Some(channel) = state.store().channel(notification.channel).await? else { return Ok(()) };
    let told = tokio::time::timeout(LONGEST, state.courier().tell(state, &channel, &notification)).await;
    let told = told.unwrap_or_else(|_| Err(NotSent::Later("it took too long".into())));
    let at = Timestamp::now();
    let how = match told {
        Ok(()) => Settled::Sent { at },
        Err(NotSent::Later(error)) if tries < TRIES => Settled::Later { at: at + wait(tries), error: short(&error) },
        Err(NotSent::Later(error) | NotSent::Never(error)) => Settled::GivenUp { at, error: short(&error) },
    };
    let outcome = match &how {
        Settled::Sent { .. } => "sent",
        Settled::Later { error, .. } => {
            tracing::debug!(channel = %channel.id, error, "a notification is tried again");
            "later"
        }
        Settled::GivenUp { error, .. } => {
            tracing::warn!(channel = %channel.id, error, "a notification is given up");
            "given_up"
        }
    };
    state.meters().count("buildit_notifications_total", &[("kind", channel.kind.as_str()), ("outcome", outcome)], 1);
    state.store().settle_notification(notification.id, tries, how).await.map(drop)
}

/// How long to wait after this many tries.
fn wait(tries: u32) -> SignedDuration {
    let times = 4_i32.saturating_pow(tries.saturating_sub(1).min(12));
    FIRST.saturating_mul(times).min(CAP)
}

/// As much of it as is kept: no store keeps a NUL.
fn short(error: &str) -> String {
    error.chars().filter(|character| !character.is_control()).take(ERROR).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_an_hour() {
        let waits: Vec<i64> = (1..TRIES).map(|tries| wait(tries).as_secs()).collect();
        assert_eq!(waits, [2, 8, 32, 128, 512, 2048, 3600, 3600, 3600, 3600, 3600]);
        assert_eq!(wait(u32::MAX), CAP);
    }
}
