//! Who takes runs off the queue.

use std::num::NonZeroU32;

use buildit::id::WorkerId;
use buildit::store::{Intake, StoreError, Worker};
use jiff::Timestamp;

use super::{News, Records, Row, all, found, sql};
use crate::sql::number;

fn read_worker(row: &mut Row) -> Result<Worker, StoreError> {
    Ok(Worker {
        id: row.take()?,
        name: row.take()?,
        version: row.take()?,
        since: row.take()?,
        runs: row.take::<Option<i64>>()?.map(|runs| u32::try_from(runs).unwrap_or(u32::MAX)).and_then(NonZeroU32::new),
        seen_until: row.take()?,
        intake: row.take()?,
    })
}

pub(crate) async fn note(store: &impl Records, worker: Worker) -> Result<(), StoreError> {
    let note = sql("INSERT INTO workers (id, name, version, since, runs, seen_until, paused)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version, since = excluded.since,
             runs = excluded.runs, seen_until = excluded.seen_until");
    let note = note.bind(worker.id).bind(worker.name).bind(worker.version).bind(worker.since);
    let note = note.bind(worker.runs.map(|runs| i64::from(runs.get()))).bind(worker.seen_until).bind(worker.intake);
    store.run(note).await.map(drop)
}

pub(crate) async fn list(
    store: &impl Records,
    after: Option<&WorkerId>,
    limit: usize,
) -> Result<Vec<Worker>, StoreError> {
    let workers = sql("SELECT id, name, version, since, runs, seen_until, paused FROM workers
         WHERE id > $1 ORDER BY id LIMIT $2");
    let after = after.map_or_else(String::new, |after| after.as_str().to_owned());
    all(store.read(workers.bind(after).bind(number(limit as u64))).await?, read_worker)
}

pub(crate) async fn set_intake(store: &impl Records, worker: &WorkerId, intake: Intake) -> Result<(), StoreError> {
    let set = sql("UPDATE workers SET paused = $2 WHERE id = $1").bind(worker.clone()).bind(intake);
    found(store.run(set).await?, || format!("worker {worker}"))?;
    store.announce(News::Queue).await;
    Ok(())
}

pub(crate) async fn forget(store: &impl Records, worker: &WorkerId) -> Result<(), StoreError> {
    store.run(sql("DELETE FROM workers WHERE id = $1").bind(worker.clone())).await.map(drop)
}

pub(crate) async fn sweep(store: &impl Records, before: Timestamp) -> Result<u64, StoreError> {
    store.run(sql("DELETE FROM workers WHERE seen_until < $1").bind(before)).await
}
