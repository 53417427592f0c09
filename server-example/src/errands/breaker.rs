//! Whoever does not answer is asked less: a circuit breaker (M. Nygard, *Release It!*) for each of those that are asked.
//!
//! All errands share their places. One tenant's webhook that takes connections and never answers would take all of them, over
//! and over; once it has been seen to hang it gets a few, and so do all of those together. What finds no place is tried
//! later. The first answer in time, whatever it says, is the end of that.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::NotSent;

/// After how long a try that fails was one that hung.
const SLOW: Duration = Duration::from_secs(5);

/// How many are under way at once to one who hangs, and to all of those: half of the places of [`super::work_off`].
const TO_ONE: usize = 2;
const TO_ALL: usize = super::AT_ONCE / 2;

/// How long it is known of whom that he hangs, if nobody asks him.
const KNOWN: Duration = Duration::from_secs(2 * 60 * 60);

/// Who is asked by whom, under keys that tell them apart.
#[derive(Debug)]
pub(crate) struct Breaker<K: Eq + Hash>(Mutex<HashMap<K, Peer>>);

#[derive(Debug, Default)]
struct Peer {
    under_way: usize,
    hung_at: Option<Instant>,
}

/// One that is under way, until it is dropped.
struct UnderWay<'a, K: Eq + Hash> {
    breaker: &'a Breaker<K>,
    key: K,
}

impl<K: Eq + Hash> Default for Breaker<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone> Breaker<K> {
    /// Sends one, if there is a place for it and if that takes no longer than this.
    ///
    /// # Errors
    ///
    /// [`NotSent::Later`] at once when whoever is asked hangs and enough wait for him already, after `longest` when this one
    /// hung, and what `sending` failed with.
    pub(crate) async fn send(
        &self,
        key: K,
        longest: Duration,
        sending: impl Future<Output = Result<(), NotSent>>,
    ) -> Result<(), NotSent> {
        let place = self.enter(key)?;
        let begun = Instant::now();
        let sent = super::in_time(longest, sending).await;
        let hung = sent.is_err() && begun.elapsed() >= SLOW;
        let mut peers = self.peers();
        if let Some(peer) = peers.get_mut(&place.key) {
            peer.hung_at = hung.then(Instant::now);
        }
        drop(peers);
        sent
    }

    fn enter(&self, key: K) -> Result<UnderWay<'_, K>, NotSent> {
        let mut peers = self.peers();
        if peers.get(&key).is_some_and(|peer| peer.hung_at.is_some()) {
            let to_one = peers.get(&key).map_or(0, |peer| peer.under_way);
            let to_all: usize = peers.values().filter(|peer| peer.hung_at.is_some()).map(|peer| peer.under_way).sum();
            if to_one >= TO_ONE || to_all >= TO_ALL {
                return Err(NotSent::Later("there was no answer to the last one, and others wait already".into()));
            }
        }
        peers.entry(key.clone()).or_default().under_way += 1;
        Ok(UnderWay { breaker: self, key })
    }
}

impl<K: Eq + Hash> Breaker<K> {
    fn peers(&self) -> MutexGuard<'_, HashMap<K, Peer>> {
        // Counts are whole whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for UnderWay<'_, K> {
    fn drop(&mut self) {
        let mut peers = self.breaker.peers();
        if let Some(peer) = peers.get_mut(&self.key) {
            peer.under_way -= 1;
        }
        peers.retain(|_, peer| peer.under_way > 0 || peer.hung_at.is_some_and(|at| at.elapsed() < KNOWN));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const LONGEST: Duration = Duration::from_secs(12);

    async fn hang() -> Result<(), NotSent> {
        std::future::pending().await
    }

    fn is_refused(sent: Option<Result<(), NotSent>>) -> bool {
        matches!(sent, Some(Err(NotSent::Later(error))) if error.contains("others wait"))
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_hangs_gets_a_few_places_until_there_is_an_answer() {
        let breaker = Breaker::default();
        // Nobody knows yet: all are let in.
        let first = futures_util::future::join_all((0..16).map(|_| breaker.send("slow", LONGEST, hang()))).await;
        assert!(first.iter().all(|sent| matches!(sent, Err(NotSent::Later(error)) if error == "it took too long")));
        let (mut one, mut two) =
            (Box::pin(breaker.send("slow", LONGEST, hang())), Box::pin(breaker.send("slow", LONGEST, hang())));
        assert!(one.as_mut().now_or_never().is_none() && two.as_mut().now_or_never().is_none());
        assert!(is_refused(breaker.send("slow", LONGEST, hang()).now_or_never()));
        assert!(breaker.send("quick", LONGEST, async { Ok(()) }).await.is_ok(), "others are not held up");
        // Who gives up gives the place back.
        drop(one);
        let refused = breaker.send("slow", LONGEST, async { Err(NotSent::Never("no".into())) }).await;
        assert!(matches!(refused, Err(NotSent::Never(_))));
        let many: Vec<_> = (0..16).map(|_| Box::pin(breaker.send("slow", LONGEST, hang()))).collect();
        let under_way = many.into_iter().filter_map(|mut sent| sent.as_mut().now_or_never().is_none().then_some(sent));
        assert_eq!(under_way.count(), 16, "an answer is an answer");
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_hang_leave_half_of_the_places_and_are_forgotten() {
        let breaker = Breaker::default();
        futures_util::future::join_all((0..100).map(|key| breaker.send(key, LONGEST, hang()))).await;
        let mut waiting = Vec::new();
        for key in 0..100 {
            let mut sent = Box::pin(breaker.send(key, LONGEST, hang()));
            match sent.as_mut().now_or_never() {
                None => waiting.push(sent),
                refused => assert!(is_refused(refused)),
            }
        }
        assert_eq!(waiting.len(), TO_ALL);
        drop(waiting);
        tokio::time::advance(KNOWN).await;
        breaker.send(1000, LONGEST, async { Ok(()) }).await.unwrap();
        assert!(breaker.peers().is_empty());
    }
}
