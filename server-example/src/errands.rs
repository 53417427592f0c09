//! How what is to be sent is worked off, by whichever server: taken for a while, tried, and tried again later.

use std::future::Future;
use std::time::Duration;

use buildit::store::{Settled, StoreError};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

/// How often it is looked for what is due: nobody sees a second.
const LOOK: Duration = Duration::from_secs(1);

/// How many are sent at once.
pub(crate) const AT_ONCE: usize = 16;

/// After how long it is tried again the first time, and at most; each wait is four times the one before.
const FIRST: SignedDuration = SignedDuration::from_secs(2);
const CAP: SignedDuration = SignedDuration::from_hours(1);

/// How often it is tried: for some seven hours.
const TRIES: u32 = 13;

/// How much of what went wrong is kept.
const ERROR: usize = 500;

/// Something was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSent {
    /// It may be another time.
    #[error("{0}")]
    Later(String),
    /// It may be after this while, which whoever refused it has named.
    #[error("{1}")]
    After(SignedDuration, String),
    /// It would not be later either.
    #[error("{0}")]
    Never(String),
}

/// Sends what is due, as often as there may be something, until it is told to stop; what is under way then is sent.
pub(crate) async fn work_off<Sending>(
    what: &str,
    stop: &CancellationToken,
    send_due: impl Fn(Timestamp) -> Sending + Send + Sync,
) where
    Sending: Future<Output = Result<usize, StoreError>> + Send,
{
    loop {
        let sent = send_due(Timestamp::now()).await.unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "{what} cannot be looked for");
            0
        });
        // There may be more where that came from.
        let pause = if sent == AT_ONCE { Duration::ZERO } else { LOOK };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Sends one, if that takes no longer than this.
pub(crate) async fn in_time(
    longest: Duration,
    sending: impl Future<Output = Result<(), NotSent>>,
) -> Result<(), NotSent> {
    let sent = tokio::time::timeout(longest, sending).await;
    sent.unwrap_or_else(|_| Err(NotSent::Later("it took too long".into())))
}

/// What comes of so many tries, of which the last ended now like this.
pub(crate) fn settled(sent: Result<(), NotSent>, tries: u32) -> Settled {
    let at = Timestamp::now();
    match sent {
        Ok(()) => Settled::Sent { at },
        Err(NotSent::Later(error)) if tries < TRIES => Settled::Later { at: at + wait(tries), error: short(&error) },
        Err(NotSent::After(pause, error)) if tries < TRIES => {
            // However short that is, it is a try: waits grow all the same.
            Settled::Later { at: at + pause.max(wait(tries)).min(CAP), error: short(&error) }
        }
        Err(NotSent::Later(error) | NotSent::After(_, error) | NotSent::Never(error)) => {
            Settled::GivenUp { at, error: short(&error) }
        }
    }
}

/// The word for how a try went.
pub(crate) fn outcome(how: &Settled) -> &'static str {
    match how {
        Settled::Sent { .. } => "sent",
        Settled::Later { .. } => "later",
        Settled::GivenUp { .. } => "given_up",
    }
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
        assert_eq!(waits, [2, 8, 32, 128, 512, 2048, 3600, 3600, 3600, 3600, 3600, 3600]);
        assert_eq!(wait(u32::MAX), CAP);
    }

    #[test]
    fn whoever_names_a_while_is_left_alone_for_it() {
        let pause = |seconds| {
            let before = Timestamp::now();
            let how = settled(Err(NotSent::After(SignedDuration::from_secs(seconds), "busy".into())), 3);
            how.at().duration_since(before).as_secs()
        };
        assert_eq!([pause(-5), pause(90), pause(1 << 40)], [32, 90, 3600]);
        let last = settled(Err(NotSent::After(FIRST, "busy".into())), TRIES);
        assert_eq!(outcome(&last), "given_up");
    }
}
