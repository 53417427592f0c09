//! Stores that are broken in what they keep of deliveries, each of which some clause rejects.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::id::{DeliveryId, RepositoryId};
use crate::memory::MemoryStore;
use crate::store::{Delivery, DeliveryState, DeliveryStore, Forge, StoreError};
use crate::testing::store::{assert_clauses, check_clauses, delivery_clauses};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    CutsBodies,
    KeepsAll,
    OldestFirst,
    TakesTooEarly,
    SharesDeliveries,
    LastWins,
    SweepsAll,
    TakesAnyText,
}

const REJECTED: &[(Fault, &[&str])] = &[
    (Fault::CutsBodies, &["a_delivery_is_kept_as_it_came"]),
    (Fault::KeepsAll, &["a_delivery_of_a_key_is_kept_once"]),
    (Fault::OldestFirst, &["deliveries_of_a_repository_are_listed_newest_first_and_in_pages"]),
    (Fault::TakesTooEarly, &["deliveries_are_taken_when_they_are_due"]),
    (Fault::SharesDeliveries, &["of_several_who_take_each_delivery_goes_to_one"]),
    (Fault::LastWins, &["who_was_overtaken_settles_nothing"]),
    (Fault::SweepsAll, &["old_deliveries_are_forgotten_unless_they_wait"]),
    (Fault::TakesAnyText, &["texts_of_deliveries_that_no_store_keeps_are_refused"]),
];

#[derive(Debug)]
struct Broken {
    inner: MemoryStore,
    fault: Fault,
}

#[async_trait]
impl DeliveryStore for Broken {
    async fn keep_delivery(&self, mut delivery: Delivery, mut body: Vec<u8>) -> Result<bool, StoreError> {
        match self.fault {
            Fault::CutsBodies => body.truncate(99),
            Fault::KeepsAll => delivery.key = delivery.id.to_string(),
            Fault::TakesAnyText => {
                for text in [&mut delivery.key, &mut delivery.event] {
                    text.truncate(99);
                    *text = text.replace('\0', "") + "x";
                }
            }
            _ => {}
        }
        self.inner.keep_delivery(delivery, body).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        self.inner.delivery(id).await
    }

    async fn delivery_body(&self, id: DeliveryId) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.delivery_body(id).await
    }

    async fn deliveries(
        &self,
        repository: RepositoryId,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut listed = self.inner.deliveries(repository, before, limit).await?;
        if self.fault == Fault::OldestFirst {
            listed.reverse();
        }
        Ok(listed)
    }

    async fn take_deliveries(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        match self.fault {
            Fault::TakesTooEarly => self.inner.take_deliveries(Timestamp::MAX, until, limit).await,
            Fault::SharesDeliveries => self.inner.take_deliveries(now, now, limit).await,
            _ => self.inner.take_deliveries(now, until, limit).await,
        }
    }

    async fn settle_delivery(&self, mut delivery: Delivery) -> Result<bool, StoreError> {
        if self.fault == Fault::LastWins
            && let Some(there) = self.inner.delivery(delivery.id).await?
        {
            delivery.attempts = there.attempts;
        }
        self.inner.settle_delivery(delivery).await
    }

    async fn sweep_deliveries(&self, before: Timestamp) -> Result<u64, StoreError> {
        let before = if self.fault == Fault::SweepsAll { Timestamp::MAX } else { before };
        self.inner.sweep_deliveries(before).await
    }
}

#[tokio::test]
async fn the_memory_store_keeps_deliveries() {
    assert_clauses(delivery_clauses(), async || Arc::new(MemoryStore::new()) as _).await;
}

#[tokio::test]
async fn the_journaled_store_keeps_deliveries_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let (repository, time) = (RepositoryId::new(), Timestamp::UNIX_EPOCH);
    let delivery = |key: &str| Delivery {
        id: DeliveryId::new(),
        repository,
        key: key.into(),
        forge: Forge::GitLab,
        event: "Push Hook".into(),
        received_at: time,
        state: DeliveryState::Waiting,
        attempts: 0,
        due_at: time,
        outcome: String::new(),
    };
    let (one, two) = (delivery("a"), delivery("b"));
    let store = MemoryStore::journaled(folder.path()).unwrap();
    for kept in [&one, &two] {
        store.keep_delivery(kept.clone(), vec![1, 2]).await.unwrap();
    }
    let taken = store.take_deliveries(time, time, 1).await.unwrap().remove(0);
    let done = Delivery { state: DeliveryState::Done, ..taken };
    assert!(store.settle_delivery(done.clone()).await.unwrap());
    drop(store);
    let store = MemoryStore::journaled(folder.path()).unwrap();
    assert_eq!(store.deliveries(repository, None, 9).await.unwrap(), [two.clone(), done]);
    assert_eq!(store.delivery_body(two.id).await.unwrap(), Some(vec![1, 2]));
    assert!(!store.keep_delivery(delivery("a"), Vec::new()).await.unwrap(), "its key is known");
}

#[tokio::test]
async fn every_broken_store_of_deliveries_is_rejected() {
    for (fault, clauses) in REJECTED {
        let make = async || Arc::new(Broken { inner: MemoryStore::new(), fault: *fault }) as _;
        let violations = check_clauses(delivery_clauses(), make).await;
        let violated: BTreeSet<&str> = violations.iter().map(|violation| violation.clause).collect();
        for clause in *clauses {
            assert!(violated.contains(clause), "{fault:?} passes {clause}; it violates {violated:?}");
        }
    }
    let rejecting: BTreeSet<&str> = REJECTED.iter().flat_map(|(_, clauses)| clauses.iter().copied()).collect();
    assert_eq!(rejecting, delivery_clauses().iter().map(|clause| clause.name()).collect());
}
