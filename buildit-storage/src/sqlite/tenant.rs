//! Tenants in the queue: their shares, and whose turn it is.

use buildit::id::TenantId;
use buildit::store::{Intake, Line, Share, StoreError};
use sqlx::{FromRow, SqliteConnection};

use super::error::failed;
use crate::sql::{count, number, share};

/// A tenant that may have something to take.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) tenant: String,
    pub(super) line: Line,
}

#[derive(FromRow)]
struct Row {
    tenant_id: String,
    turn: i64,
    weight: i64,
    max_running: Option<i64>,
    running: i64,
}

/// Those that are ready, by their turns, but for these; at most so many.
pub(super) async fn ready(from: &mut SqliteConnection, but: &[String], limit: usize) -> Result<Vec<Ready>, StoreError> {
    let query = "WITH line AS (
             SELECT t.tenant_id, t.turn, iif(o.id IS NULL, t.weight, o.weight) AS weight,
                 iif(o.id IS NULL, t.max_running, o.max_running) AS max_running
             FROM queue_tenants t LEFT JOIN tenants o ON o.id = t.tenant_id
             WHERE t.is_ready = 1 AND t.tenant_id NOT IN (SELECT value FROM json_each(?1))
             ORDER BY t.turn LIMIT ?2
         )
         SELECT tenant_id, turn, weight, max_running, iif(max_running IS NULL, 0, (
             SELECT count(*) FROM job_queue q WHERE q.tenant_id = line.tenant_id AND q.status = 'taken'
         )) AS running FROM line ORDER BY turn, tenant_id";
    let query = sqlx::query_as(query).bind(list(but)).bind(number(limit as u64));
    let rows: Vec<Row> = query.fetch_all(from).await.map_err(failed)?;
    let ready = |row: Row| {
        let share = share(row.weight, row.max_running)?;
        let line = Line { turn: count(row.turn)?, share, running: count(row.running)? };
        Ok(Ready { tenant: row.tenant_id, line })
    };
    rows.into_iter().map(ready).collect()
}

/// Whether this worker is given anything, and whether anything new is taken.
pub(super) async fn intakes(from: &mut SqliteConnection, worker: &str) -> Result<(Intake, Intake), StoreError> {
    let query = "SELECT coalesce((SELECT paused FROM workers WHERE id = ?), 0), queue_paused FROM installation";
    let (own, all): (bool, bool) = sqlx::query_as(query).bind(worker).fetch_one(from).await.map_err(failed)?;
    Ok((Intake::paused(own), Intake::paused(all)))
}

/// A tenant may have something to take from now on, unless it is paused. One that had not comes in where the others are, as
/// [`come_in`](buildit::store::come_in) says.
pub(super) async fn wake(to: &mut SqliteConnection, tenant: &str) -> Result<(), StoreError> {
    sqlx::query(WAKE).bind(tenant).execute(to).await.map(drop).map_err(failed)
}

/// The statement that [wakes](wake) a tenant.
pub(super) const WAKE: &str = "INSERT INTO queue_tenants (tenant_id, turn, is_ready)
     VALUES (?, coalesce((SELECT min(turn) FROM queue_tenants WHERE is_ready = 1),
         (SELECT max(turn) FROM queue_tenants), 0), 1)
     ON CONFLICT (tenant_id) DO UPDATE SET turn = max(turn, excluded.turn), is_ready = 1
         WHERE is_ready = 0 AND paused = 0";

/// Nothing more can be taken of a tenant. It is not looked at again until it is woken, unless it has runs that wait for
/// something else; then it keeps up with the others, who got as far as this.
pub(super) async fn rest(to: &mut SqliteConnection, tenant: &str, latest: u64) -> Result<(), StoreError> {
    let rest = "UPDATE queue_tenants SET turn = max(turn, ?2),
             is_ready = EXISTS (SELECT 1 FROM job_queue q WHERE q.tenant_id = ?1 AND q.status = 'waiting')
                 AND coalesce((SELECT count(*) FROM job_queue q WHERE q.tenant_id = ?1 AND q.status = 'taken') < (
                     SELECT iif(o.id IS NULL, queue_tenants.max_running, o.max_running)
                     FROM (SELECT 1) LEFT JOIN tenants o ON o.id = ?1
                 ), true)
         WHERE tenant_id = ?1";
    sqlx::query(rest).bind(tenant).bind(number(latest)).execute(to).await.map(drop).map_err(failed)
}

/// So many runs of a tenant were taken.
pub(super) async fn took(to: &mut SqliteConnection, tenant: &Ready, runs: usize) -> Result<(), StoreError> {
    let by = tenant.line.share.stride().saturating_mul(runs as u64);
    let took = sqlx::query("UPDATE queue_tenants SET turn = turn + ? WHERE tenant_id = ?");
    took.bind(number(by)).bind(&tenant.tenant).execute(to).await.map(drop).map_err(failed)
}

pub(super) async fn set_share(to: &mut SqliteConnection, tenant: TenantId, share: Share) -> Result<(), StoreError> {
    let id = tenant.to_string();
    let (weight, most) = (share.weight.get(), share.max_running.map(std::num::NonZeroU32::get));
    wake(&mut *to, &id).await?;
    for set in [
        "UPDATE tenants SET weight = ?, max_running = ? WHERE id = ?",
        "UPDATE queue_tenants SET weight = ?, max_running = ? WHERE tenant_id = ?",
    ] {
        sqlx::query(set).bind(weight).bind(most).bind(&id).execute(&mut *to).await.map_err(failed)?;
    }
    Ok(())
}

/// Texts as one value, for `json_each`.
pub(super) fn list(texts: &[String]) -> String {
    serde_json::Value::from(texts).to_string()
}
