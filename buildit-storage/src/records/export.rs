//! Runs that somebody elsewhere is to be told of.

use buildit::id::RunId;
use buildit::store::{Export, StoreError};
use jiff::Timestamp;

use super::{Records, Row, all, sql};
use crate::sql::number;

fn read_export(row: &mut Row) -> Result<Export, StoreError> {
    Ok(Export { run: row.take()?, tries: u32::try_from(row.take::<i64>()?).unwrap_or(u32::MAX) })
}

pub(crate) async fn export(store: &impl Records, run: RunId, now: Timestamp) -> Result<(), StoreError> {
    let insert = sql("INSERT INTO run_exports (run_id, next_at) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    store.run(insert.bind(run).bind(now)).await.map(drop)
}

/// One after the other: each is taken by whoever changes it first.
pub(crate) async fn take(
    store: &impl Records,
    now: Timestamp,
    until: Timestamp,
    limit: usize,
) -> Result<Vec<Export>, StoreError> {
    let due = sql("SELECT run_id, tries FROM run_exports WHERE next_at <= $1 ORDER BY next_at, run_id LIMIT $2");
    let due = all(store.read(due.bind(now).bind(number(limit as u64))).await?, read_export)?;
    let mut taken = Vec::with_capacity(due.len());
    for Export { run, tries } in due {
        let take = sql("UPDATE run_exports SET tries = tries + 1, next_at = $3
             WHERE run_id = $1 AND tries = $2 AND next_at <= $4");
        if store.run(take.bind(run).bind(i64::from(tries)).bind(until).bind(now)).await? > 0 {
            taken.push(Export { run, tries: tries + 1 });
        }
    }
    Ok(taken)
}

pub(crate) async fn settle(store: &impl Records, export: Export, again: Option<Timestamp>) -> Result<bool, StoreError> {
    let settle = match again {
        Some(at) => sql("UPDATE run_exports SET next_at = $3 WHERE run_id = $1 AND tries = $2")
            .bind(export.run)
            .bind(i64::from(export.tries))
            .bind(at),
        None => sql("DELETE FROM run_exports WHERE run_id = $1 AND tries = $2")
            .bind(export.run)
            .bind(i64::from(export.tries)),
    };
    Ok(store.run(settle).await? > 0)
}
