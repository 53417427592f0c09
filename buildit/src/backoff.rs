//! How long to wait before the same call is made again.

use std::time::Duration;

/// Waits that double up to a cap, each shortened by up to a half so that many callers do not come back at once.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    cap: Duration,
    left: u32,
    seed: u64,
}

impl Backoff {
    /// At most `tries` waits that begin with `first`. `who` tells callers apart.
    pub(crate) fn new(tries: u32, first: Duration, cap: Duration, who: &impl std::hash::Hash) -> Self {
        let seed = std::hash::BuildHasher::hash_one(&foldhash::fast::FixedState::default(), who);
        Self { next: first, cap, left: tries, seed }
    }

    /// For a backend that stumbled: six calls within about four seconds.
    pub(crate) fn brief(who: &impl std::hash::Hash) -> Self {
        Self::new(5, Duration::from_millis(100), Duration::from_secs(2), who)
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        // A multiplicative step of a linear congruential generator is all the randomness that jitter needs.
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = 0.5 + (self.seed >> 11) as f64 / (1_u64 << 53) as f64 / 2.0;
        let wait = self.next.mul_f64(share);
        self.next = (self.next * 2).min(self.cap);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_bounded_grow_and_differ_between_callers() {
        let waits: Vec<_> = Backoff::new(20, Duration::from_millis(100), Duration::from_secs(5), &"a").collect();
        assert_eq!(waits.len(), 20);
        assert!(waits.iter().all(|wait| (Duration::from_millis(50)..=Duration::from_secs(5)).contains(wait)));
        assert!(waits[19] > waits[0]);
        assert_ne!(
            waits,
            Backoff::new(20, Duration::from_millis(100), Duration::from_secs(5), &"b").collect::<Vec<_>>()
        );
    }
}
