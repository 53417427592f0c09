//! Webhooks that forges have delivered.

use async_trait::async_trait;
use buildit::id::{DeliveryId, RepositoryId};
use buildit::store::{Delivery, StoreError, check_delivery};
use jiff::Timestamp;
use uuid::Uuid;

use super::{Change, Records, Row, Statements, all, first, fit, sql};
use crate::sql::{count, number};

/// How many are forgotten at once.
const SWEPT: i64 = 500;

fn read_delivery(row: &mut Row) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        id: row.take()?,
        repository: row.take()?,
        key: row.take()?,
        forge: row.take()?,
        event: row.take()?,
        received_at: row.take()?,
        state: row.take()?,
        attempts: u32::try_from(count(row.take()?)?).unwrap_or(u32::MAX),
        due_at: row.take()?,
        outcome: row.take()?,
    })
}

pub(crate) async fn keep_delivery(store: &impl Records, delivery: Delivery, body: Vec<u8>) -> Result<bool, StoreError> {
    check_delivery(&delivery)?;
    let keep = sql("INSERT INTO webhook_deliveries (id, repository_id, delivery_key, forge, event, received_at, state,
             attempts, due_at, outcome, body)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (repository_id, delivery_key) DO NOTHING");
    let keep = keep.bind(delivery.id).bind(delivery.repository).bind(delivery.key).bind(delivery.forge);
    let keep = keep.bind(delivery.event).bind(delivery.received_at).bind(delivery.state);
    let keep = keep.bind(i64::from(delivery.attempts)).bind(delivery.due_at).bind(fit(delivery.outcome)).bind(body);
    Ok(store.run(keep).await? > 0)
}

pub(crate) async fn delivery(store: &impl Records, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
    let query =
        sql("SELECT id, repository_id, delivery_key, forge, event, received_at, state, attempts, due_at, outcome
         FROM webhook_deliveries WHERE id = $1");
    first(store.read(query.bind(id)).await?, read_delivery)
}

pub(crate) async fn delivery_body(store: &impl Records, id: DeliveryId) -> Result<Option<Vec<u8>>, StoreError> {
    let query = sql("SELECT body FROM webhook_deliveries WHERE id = $1");
    first(store.read(query.bind(id)).await?, Row::take)
}

pub(crate) async fn deliveries(
    store: &impl Records,
    repository: RepositoryId,
    before: Option<DeliveryId>,
    limit: usize,
) -> Result<Vec<Delivery>, StoreError> {
    let query =
        sql("SELECT id, repository_id, delivery_key, forge, event, received_at, state, attempts, due_at, outcome
         FROM webhook_deliveries WHERE repository_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    let before = before.unwrap_or_else(|| Uuid::max().into());
    all(store.read(query.bind(repository).bind(before).bind(number(limit as u64))).await?, read_delivery)
}

/// Each is taken by a statement that goes by what it was: of two who found the same, one changes nothing.
#[derive(Debug)]
struct Take {
    now: Timestamp,
    until: Timestamp,
    limit: usize,
}

#[async_trait]
impl Change for Take {
    type Answer = Vec<Delivery>;

    async fn change(&self, to: &mut dyn Statements) -> Result<Vec<Delivery>, StoreError> {
        let due =
            sql("SELECT id, repository_id, delivery_key, forge, event, received_at, state, attempts, due_at, outcome
             FROM webhook_deliveries WHERE state = 'waiting' AND due_at <= $1 ORDER BY due_at, id LIMIT $2");
        let due = all(to.rows(due.bind(self.now).bind(number(self.limit as u64))).await?, read_delivery)?;
        let mut taken = Vec::with_capacity(due.len());
        for known in due {
            let take = sql("UPDATE webhook_deliveries SET attempts = attempts + 1, due_at = $1
                 WHERE id = $2 AND state = 'waiting' AND attempts = $3");
            let take = take.bind(self.until).bind(known.id).bind(i64::from(known.attempts));
            if to.run(take).await? > 0 {
                taken.push(Delivery { attempts: known.attempts + 1, due_at: self.until, ..known });
            }
        }
        Ok(taken)
    }
}

pub(crate) async fn take_deliveries(
    store: &impl Records,
    now: Timestamp,
    until: Timestamp,
    limit: usize,
) -> Result<Vec<Delivery>, StoreError> {
    store.change(Take { now, until, limit }).await
}

pub(crate) async fn settle_delivery(store: &impl Records, delivery: Delivery) -> Result<bool, StoreError> {
    let settle = sql("UPDATE webhook_deliveries SET state = $1, due_at = $2, outcome = $3
         WHERE id = $4 AND attempts = $5");
    let settle = settle.bind(delivery.state).bind(delivery.due_at).bind(fit(delivery.outcome));
    Ok(store.run(settle.bind(delivery.id).bind(i64::from(delivery.attempts))).await? > 0)
}

pub(crate) async fn sweep_deliveries(store: &impl Records, before: Timestamp) -> Result<u64, StoreError> {
    let sweep = sql("DELETE FROM webhook_deliveries WHERE id IN
         (SELECT id FROM webhook_deliveries WHERE received_at < $1 AND state <> 'waiting' ORDER BY received_at LIMIT $2)");
    store.run(sweep.bind(before).bind(SWEPT)).await
}
