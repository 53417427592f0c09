//! Who holds a run, and until when.

use std::time::Duration;

use buildit::id::FencingToken;
#[cfg(feature = "sqlite")]
use buildit::id::WorkerId;
use buildit::store::StoreError;
use jiff::Timestamp;

use super::count;

/// Longer leases are cut: a run whose engine died would wait so long for the next one.
const MAX_LEASE: Duration = Duration::from_secs(60);

/// When a claim of this length ends.
pub(crate) fn claimed_until(now: Timestamp, lease: Duration) -> Timestamp {
    now.saturating_add(lease.min(MAX_LEASE)).unwrap_or(Timestamp::MAX)
}

/// Refuses a writer whose lease was taken over. Whether the token is larger than any that was `seen` and has to be
/// noted.
pub(crate) fn is_larger(token: FencingToken, seen: i64) -> Result<bool, StoreError> {
    let seen = FencingToken(count(seen)?);
    if token < seen { Err(StoreError::Fenced) } else { Ok(token > seen) }
}

/// The token of a worker that asks for a run whose lease `holder` has now, or nobody.
#[cfg(feature = "sqlite")]
pub(crate) fn token_of(worker: &WorkerId, holder: Option<&str>, seen: i64) -> Result<i64, StoreError> {
    match holder {
        Some(holder) if holder == worker.as_str() => Ok(seen),
        Some(_) => Err(StoreError::Fenced),
        None => Ok(seen + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "sqlite")]
    #[test]
    fn a_new_holder_gets_a_larger_token_and_the_old_one_keeps_its_own() {
        let worker = WorkerId::from("one");
        assert_eq!(token_of(&worker, None, 3).unwrap(), 4);
        assert_eq!(token_of(&worker, Some("one"), 3).unwrap(), 3);
        assert!(matches!(token_of(&worker, Some("two"), 3), Err(StoreError::Fenced)));
    }

    #[test]
    fn a_smaller_token_than_any_before_is_refused() {
        assert!(matches!(is_larger(FencingToken(2), 3), Err(StoreError::Fenced)));
        assert!(!is_larger(FencingToken(3), 3).unwrap());
        assert!(is_larger(FencingToken(4), 3).unwrap());
        assert!(matches!(is_larger(FencingToken(4), -1), Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn a_claim_is_cut_to_a_minute() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(claimed_until(now, Duration::from_secs(30)), Timestamp::constant(30, 0));
        assert_eq!(claimed_until(now, Duration::MAX), Timestamp::constant(60, 0));
        assert_eq!(claimed_until(Timestamp::MAX, Duration::from_secs(30)), Timestamp::MAX);
    }
}
