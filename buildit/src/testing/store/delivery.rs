//! Clauses about deliveries.

use std::sync::Arc;

use futures_util::future::join_all;

use super::Clause;
use super::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use super::samples::at;
use crate::id::{DeliveryId, RepositoryId};
use crate::store::{Delivery, DeliveryState, DeliveryStore, Forge, LONGEST_TEXT, StoreError};

pub(super) fn clauses() -> Vec<Clause<dyn DeliveryStore>> {
    clauses![
        a_delivery_is_kept_as_it_came,
        a_delivery_of_a_key_is_kept_once,
        deliveries_of_a_repository_are_listed_newest_first_and_in_pages,
        deliveries_are_taken_when_they_are_due,
        of_several_who_take_each_delivery_goes_to_one,
        who_was_overtaken_settles_nothing,
        old_deliveries_are_forgotten_unless_they_wait,
        texts_of_deliveries_that_no_store_keeps_are_refused,
    ]
}

fn sample(repository: RepositoryId, key: &str, second: i64) -> Delivery {
    Delivery {
        id: DeliveryId::new(),
        repository,
        key: key.to_owned(),
        forge: Forge::GitHub,
        event: "push".to_owned(),
        received_at: at(second),
        state: DeliveryState::Waiting,
        attempts: 0,
        due_at: at(second),
        outcome: String::new(),
    }
}

async fn keep(store: &Arc<dyn DeliveryStore>, delivery: &Delivery) -> Result<(), Broken> {
    ensure!(store.keep_delivery(delivery.clone(), b"{}".to_vec()).await?, "{} is not kept", delivery.key);
    Ok(())
}

async fn a_delivery_is_kept_as_it_came(store: Arc<dyn DeliveryStore>) -> Result<(), Broken> {
    let delivery = Delivery { event: "it's \u{fc}".into(), ..sample(RepositoryId::new(), "a \"1\"", 1) };
    ensure_eq!(store.delivery(delivery.id).await?, None, "what is in an empty store");
    ensure_eq!(store.delivery_body(delivery.id).await?, None, "the body of nothing");
    let body: Vec<u8> = (0..=255).collect();
    ensure!(store.keep_delivery(delivery.clone(), body.clone()).await?, "it is not kept");
    ensure_eq!(store.delivery(delivery.id).await?, Some(delivery.clone()), "what came");
    ensure_eq!(store.delivery_body(delivery.id).await?, Some(body), "what it brought");
    Ok(())
}

async fn a_delivery_of_a_key_is_kept_once(store: Arc<dyn DeliveryStore>) -> Result<(), Broken> {
    let (one, two) = (RepositoryId::new(), RepositoryId::new());
    let same: Vec<Delivery> = (0..4).map(|_| sample(one, "same", 1)).collect();
    let kept = join_all(same.iter().map(|one| store.keep_delivery(one.clone(), Vec::new()))).await;
    let kept = kept.into_iter().collect::<Result<Vec<bool>, _>>()?;
    ensure_eq!(kept.iter().filter(|kept| **kept).count(), 1, "how many of a key are kept");
    ensure_eq!(store.deliveries(one, None, 9).await?.len(), 1, "how many are listed");
    keep(&store, &sample(two, "same", 1)).await
}

async fn deliveries_of_a_repository_are_listed_newest_first_and_in_pages(
    store: Arc<dyn DeliveryStore>,
) -> Result<(), Broken> {
    let (one, two) = (RepositoryId::new(), RepositoryId::new());
    let mut wanted: Vec<Delivery> = (0..5).map(|number| sample(one, &format!("{number}"), number)).collect();
    for delivery in wanted.iter().rev() {
        keep(&store, delivery).await?;
    }
    keep(&store, &sample(two, "other", 1)).await?;
    wanted.reverse();
    let (mut listed, mut before): (Vec<Delivery>, _) = (Vec::new(), None);
    loop {
        let page = store.deliveries(one, before, 2).await?;
        ensure!(page.len() <= 2, "a page of {} deliveries", page.len());
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        listed.extend(page);
        ensure!(listed.len() <= wanted.len(), "it lists without an end");
    }
    ensure_eq!(listed, wanted, "all deliveries of the repository");
    Ok(())
}

async fn deliveries_are_taken_when_they_are_due(store: Arc<dyn DeliveryStore>) -> Result<(), Broken> {
    let repository = RepositoryId::new();
    let (late, early) = (sample(repository, "late", 20), sample(repository, "early", 10));
    let refused = Delivery { state: DeliveryState::Refused, ..sample(repository, "refused", 1) };
    for delivery in [&late, &early, &refused] {
        keep(&store, delivery).await?;
    }
    ensure_eq!(store.take_deliveries(at(9), at(99), 9).await?, [], "what is due before any is");
    let taken = |known: &Delivery, attempts, until| Delivery { attempts, due_at: at(until), ..known.clone() };
    ensure_eq!(store.take_deliveries(at(30), at(60), 1).await?, [taken(&early, 1, 60)], "what is due of one");
    ensure_eq!(store.take_deliveries(at(30), at(70), 9).await?, [taken(&late, 1, 70)], "what is due then");
    ensure_eq!(store.take_deliveries(at(59), at(99), 9).await?, [], "what is due while others have it");
    let again = taken(&early, 2, 99);
    ensure_eq!(
        store.take_deliveries(at(60), at(99), 9).await?,
        std::slice::from_ref(&again),
        "what nobody has settled"
    );
    ensure_eq!(store.delivery(early.id).await?, Some(again), "what is kept of it");
    Ok(())
}

async fn of_several_who_take_each_delivery_goes_to_one(store: Arc<dyn DeliveryStore>) -> Result<(), Broken> {
    let repository = RepositoryId::new();
    for number in 0..12 {
        keep(&store, &sample(repository, &format!("{number}"), 1)).await?;
    }
    let taking = (0..4).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.take_deliveries(at(5), at(50), 12).await })
    });
    let mut all = Vec::new();
    for taken in join_all(taking).await {
        all.extend(taken.map_err(|_| Broken("a call panicked".into()))??.into_iter().map(|delivery| delivery.id));
    }
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    ensure_eq!((all.len(), count), (12, 12), "how many were taken, and how often");
    Ok(())
}

async fn who_was_overtaken_settles_nothing(store: Arc<dyn DeliveryStore>) -> Result<(), Broken> {
    let delivery = sample(RepositoryId::new(), "a", 1);
    ensure!(!store.settle_delivery(delivery.clone()).await?, "what is not there is settled");
    keep(&store, &delivery).await?;
    let slow = store.take_deliveries(at(2), at(3), 9).await?;
    let quick = store.take_deliveries(at(4), at(9), 9).await?;
    let (Some(slow), Some(quick)) = (slow.first(), quick.first()) else {
        return Err(Broken("it was not taken twice".into()));
    };
    let ended =
        |known: &Delivery| Delivery { state: DeliveryState::Done, outcome: "it's done \u{fc}".into(), ..known.clone() };
    ensure!(!store.settle_delivery(ended(slow)).await?, "who was overtaken settles it");
    ensure_eq!(store.delivery(delivery.id).await?, Some(quick.clone()), "what it is after that");
    ensure!(store.settle_delivery(ended(quick)).await?, "who has it does not settle it");
    ensure_eq!(store.delivery(delivery.id).await?, Some(ended(quick)), "what has become of it");
    ensure_eq!(store.take_deliveries(at(99), at(100), 9).await?, [], "what is due then");
    Ok(())
}

async fn old_deliveries_are_forgotten_unless_they_wait(store: Arc<dyn DeliveryStore>) -> Result<(), Broken> {
    let repository = RepositoryId::new();
    let done = |key: &str, second| Delivery { state: DeliveryState::Done, ..sample(repository, key, second) };
    let (old, new, waiting) = (done("old", 1), done("new", 9), sample(repository, "waiting", 1));
    for delivery in [&old, &new, &waiting] {
        keep(&store, delivery).await?;
    }
    ensure_eq!(store.sweep_deliveries(at(9)).await?, 1, "how many are forgotten");
    ensure_eq!(store.delivery(old.id).await?, None, "the old one");
    ensure_eq!(store.delivery_body(old.id).await?, None, "its body");
    ensure_eq!(store.deliveries(repository, None, 9).await?, [waiting, new], "what is left");
    keep(&store, &done("old", 1)).await
}

async fn texts_of_deliveries_that_no_store_keeps_are_refused(store: Arc<dyn DeliveryStore>) -> Result<(), Broken> {
    let repository = RepositoryId::new();
    for text in [String::new(), "a\0b".into(), "a".repeat(LONGEST_TEXT + 1)] {
        let shown = text.get(..9).unwrap_or(&text).to_owned();
        let keyed = store.keep_delivery(sample(repository, &text, 1), Vec::new()).await;
        ensure_refused!(keyed, StoreError::Unfit(_), format!("the key {shown:?}"));
        let named = Delivery { event: text, ..sample(repository, "a", 1) };
        let named = store.keep_delivery(named, Vec::new()).await;
        ensure_refused!(named, StoreError::Unfit(_), format!("the event {shown:?}"));
    }
    ensure_eq!(store.deliveries(repository, None, 9).await?, [], "what is kept of it");
    Ok(())
}
