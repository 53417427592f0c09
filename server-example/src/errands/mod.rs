//! How what is to be sent is worked off, by whichever server: taken for a while, tried, and tried again later.

mod breaker;

use std::future::Future;
use std::time::Duration;

use buildit::store::{Settled, StoreError};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

pub(crate) use breaker::Breaker;

/// How often it is looked for what is due: nobody sees a second.
const LOOK: Duration = Duration::from_secs(1);

/// How many are sent at once.
const AT_ONCE: usize = 16;

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
    /// It was not tried, for others wait already: that is no try that failed.
    #[error("{0}")]
    Held(String),
    /// It would not be later either.
    #[error("{0}")]
    Never(String),
}

/// Takes what is due, as often as there may be something, and sends it, so many at once: one that hangs takes the place of one
/// and holds nobody else up. When it is told to stop, what is under way is sent.
pub(crate) async fn work_off<T, Taking, Sending>(
    what: &str,
    stop: &CancellationToken,
    take: impl Fn(Timestamp, usize) -> Taking + Send + Sync,
    send: impl Fn(T) -> Sending + Send + Sync,
) where
    T: Send,
    Taking: Future<Output = Result<Vec<T>, StoreError>> + Send,
    Sending: Future<Output = Result<(), StoreError>> + Send,
{
    let complain = |error: StoreError| tracing::warn!(error = &error as &dyn std::error::Error, "{what} are held up");
    let mut under_way = FuturesUnordered::<Sending>::new();
    'open: loop {
        let free = AT_ONCE - under_way.len();
        let mut due = Vec::new();
        if free > 0 {
            let taking = take(Timestamp::now(), free);
            tokio::pin!(taking);
            // What is under way may hold what this waits for, such as a connection: it goes on meanwhile.
            loop {
                tokio::select! {
                    taken = &mut taking => {
                        due = taken.unwrap_or_else(|error| {
                            complain(error);
                            Vec::new()
                        });
                        break;
                    }
                    Some(sent) = under_way.next(), if !under_way.is_empty() => sent.unwrap_or_else(complain),
                }
            }
        }
        // There may be more where that came from.
        let is_full = due.len() == free;
        under_way.extend(due.into_iter().map(&send));
        let look = tokio::time::sleep(LOOK);
        tokio::pin!(look);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break 'open,
                Some(sent) = under_way.next(), if !under_way.is_empty() => {
                    sent.unwrap_or_else(complain);
                    if is_full {
                        break;
                    }
                }
                () = &mut look => break,
            }
        }
    }
    while let Some(sent) = under_way.next().await {
        sent.unwrap_or_else(complain);
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
        Err(NotSent::Held(error)) => Settled::Later { at: at + wait(tries), error: short(&error) },
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
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn one_that_hangs_holds_nobody_up_and_is_sent_before_the_end() {
        let (due, sent) = (Mutex::new((0..100).collect::<VecDeque<u64>>()), Mutex::new(Vec::new()));
        let (stop, freed) = (CancellationToken::new(), CancellationToken::new());
        let take = async |_, free: usize| {
            let mut due = due.lock().unwrap();
            let free = free.min(due.len());
            Ok(due.drain(..free).collect())
        };
        let send = async |number: u64| {
            if number == 0 {
                freed.cancelled().await;
            }
            let count = {
                let mut sent = sent.lock().unwrap();
                sent.push(number);
                sent.len()
            };
            if count == 99 {
                stop.cancel();
                freed.cancel();
            }
            if number == 50 { Err(StoreError::NoRun(buildit::id::RunId::new())) } else { Ok(()) }
        };
        // Held up, it would wait for ever.
        tokio::time::timeout(Duration::from_secs(600), work_off("errands", &stop, take, send)).await.unwrap();
        let sent = sent.into_inner().unwrap();
        assert_eq!((sent.len(), sent[99]), (100, 0));
    }

    #[tokio::test]
    async fn who_waits_for_what_others_hold_lets_them_go_on() {
        // A pool of one connection.
        let pool = tokio::sync::Semaphore::new(1);
        let (stop, sent) = (CancellationToken::new(), Mutex::new(0));
        let take = async |_, free: usize| {
            let _connection = pool.acquire().await.unwrap();
            tokio::task::yield_now().await;
            Ok(vec![(); free])
        };
        let send = async |()| {
            let _connection = pool.acquire().await.unwrap();
            tokio::task::yield_now().await;
            *sent.lock().unwrap() += 1;
            if *sent.lock().unwrap() >= 100 {
                stop.cancel();
            }
            Ok(())
        };
        tokio::time::timeout(Duration::from_secs(600), work_off("errands", &stop, take, send)).await.unwrap();
    }

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
        let held = settled(Err(NotSent::Held("busy".into())), TRIES + 1);
        assert_eq!(outcome(&held), "later", "it was not tried");
    }
}
