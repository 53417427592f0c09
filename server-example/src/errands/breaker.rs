//! Whoever does not answer is asked less: a circuit breaker (M. Nygard, *Release It!*) for each of those that are asked.
//!
//! All errands share their places. One tenant's webhook that takes connections and never answers would take all of them, over
//! and over; once it has been seen to hang it gets a few, and all that its tenant sends gets half of the places. What finds
//! no place is held, and tried later. The first answer in time, whatever it says, is the end of that.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use buildit::id::TenantId;
use tokio::time::Instant;

use super::NotSent;

/// After how long a try was one that hung, whatever came of it.
const SLOW: Duration = Duration::from_secs(5);

/// How many are under way at once to one who hangs, and for a tenant of whom somebody hangs.
const TO_ONE: usize = 2;
const FOR_ONE: usize = super::AT_ONCE / 2;

/// How long it is known of whom that he hangs, if nobody asks him.
const KNOWN: Duration = Duration::from_secs(2 * 60 * 60);

/// Who is asked, for which tenants.
#[derive(Debug)]
pub(crate) struct Breaker<K: Eq + Hash>(Mutex<HashMap<(TenantId, K), Peer>>);

#[derive(Debug, Default)]
struct Peer {
    under_way: usize,
    hung_at: Option<Instant>,
}

/// One that is under way, until it is dropped.
struct UnderWay<'a, K: Eq + Hash> {
    breaker: &'a Breaker<K>,
    key: (TenantId, K),
}

impl<K: Eq + Hash> Default for Breaker<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone> Breaker<K> {
    /// Sends one for this tenant to whoever has this key, if there is a place for it and if that takes no longer than this.
    ///
    /// # Errors
    ///
    /// [`NotSent::Held`] at once when whoever is asked hangs, or somebody else of the tenant, and enough wait already;
    /// [`NotSent::Later`] after `longest`, and what `sending` failed with.
    pub(crate) async fn send(
        &self,
        tenant: TenantId,
        whom: K,
        longest: Duration,
        sending: impl Future<Output = Result<(), NotSent>>,
    ) -> Result<(), NotSent> {
        let place = self.enter((tenant, whom))?;
        let begun = Instant::now();
        let sent = super::in_time(longest, sending).await;
        let hung = begun.elapsed() >= SLOW;
        let mut peers = self.peers();
        if let Some(peer) = peers.get_mut(&place.key) {
            peer.hung_at = hung.then(Instant::now);
        }
        drop(peers);
        sent
    }

    fn enter(&self, key: (TenantId, K)) -> Result<UnderWay<'_, K>, NotSent> {
        let mut peers = self.peers();
        let of_tenant = || peers.iter().filter(|((tenant, _), _)| *tenant == key.0).map(|(_, peer)| peer);
        let to_one = peers.get(&key).filter(|peer| peer.hung_at.is_some()).map_or(0, |peer| peer.under_way);
        let hangs = of_tenant().any(|peer| peer.hung_at.is_some());
        let for_one: usize = of_tenant().map(|peer| peer.under_way).sum();
        if to_one >= TO_ONE || hangs && for_one >= FOR_ONE {
            return Err(NotSent::Held("others wait for an answer already, and have for long".into()));
        }
        peers.entry(key.clone()).or_default().under_way += 1;
        Ok(UnderWay { breaker: self, key })
    }
}

impl<K: Eq + Hash> Breaker<K> {
    fn peers(&self) -> MutexGuard<'_, HashMap<(TenantId, K), Peer>> {
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
    use futures_util::future::join_all;

    use super::*;

    const LONGEST: Duration = Duration::from_secs(12);

    async fn hang() -> Result<(), NotSent> {
        std::future::pending().await
    }

    fn is_held(sent: Option<Result<(), NotSent>>) -> bool {
        matches!(sent, Some(Err(NotSent::Held(_))))
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_hangs_gets_a_few_places_until_there_is_an_answer() {
        let (breaker, tenant, other) = (Breaker::default(), TenantId::new(), TenantId::new());
        let to = |whom, sending| breaker.send(tenant, whom, LONGEST, sending);
        // Nobody knows yet: all are let in.
        let first = join_all((0..16).map(|_| to("slow", hang().boxed()))).await;
        assert!(first.iter().all(|sent| matches!(sent, Err(NotSent::Later(error)) if error == "it took too long")));
        let (mut one, mut two) = (Box::pin(to("slow", hang().boxed())), Box::pin(to("slow", hang().boxed())));
        assert!(one.as_mut().now_or_never().is_none() && two.as_mut().now_or_never().is_none());
        assert!(is_held(to("slow", hang().boxed()).now_or_never()));
        assert!(to("quick", async { Ok(()) }.boxed()).await.is_ok(), "another one is not held up");
        let same = breaker.send(other, "slow", LONGEST, async { Ok(()) });
        assert!(same.await.is_ok(), "another tenant knows nothing of it");
        // Who gives up gives the place back.
        drop(one);
        let refused = to("slow", async { Err(NotSent::Never("no".into())) }.boxed()).await;
        assert!(matches!(refused, Err(NotSent::Never(_))));
        let many: Vec<_> = (0..16).map(|_| Box::pin(to("slow", hang().boxed()))).collect();
        let under_way = many.into_iter().filter_map(|mut sent| sent.as_mut().now_or_never().is_none().then_some(sent));
        assert_eq!(under_way.count(), 16, "an answer is an answer");
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_with_many_who_hang_leaves_half_of_the_places_and_is_forgotten() {
        let (breaker, tenant, other) = (Breaker::default(), TenantId::new(), TenantId::new());
        // An answer that comes late is none to wait for either.
        let late = async || {
            tokio::time::sleep(SLOW).await;
            Ok(())
        };
        join_all((0..100).map(|key| breaker.send(tenant, key, LONGEST, late()))).await;
        let mut waiting = Vec::new();
        for key in 0..200 {
            let mut sent = Box::pin(breaker.send(tenant, key, LONGEST, hang()));
            match sent.as_mut().now_or_never() {
                None => waiting.push(sent),
                held => assert!(is_held(held)),
            }
        }
        assert_eq!(waiting.len(), FOR_ONE);
        assert!(breaker.send(other, 0, LONGEST, async { Ok(()) }).await.is_ok());
        drop(waiting);
        tokio::time::advance(KNOWN).await;
        breaker.send(tenant, 1000, LONGEST, async { Ok(()) }).await.unwrap();
        assert!(breaker.peers().is_empty());
    }
}
