//! Tenants in the queue: their shares, and whose turn it is.
//!
//! Who makes a run ready to be taken, or a tenant's limit free, *wakes* the tenant in the same transaction; as the last
//! thing, for a claim holds runs and waits for tenants. A tenant that is awake is only locked against being put to *rest*
//! at the same time (`FOR KEY SHARE`), so nobody is held up by it.

use async_trait::async_trait;
use buildit::id::TenantId;
use buildit::store::{Share, StoreError};
use sqlx::PgConnection;
use uuid::Uuid;

use super::error::failed;
use super::transaction::Write;
use crate::sql::number;

/// The end of a list of `WITH` queries: the tenants of this query may have something to take from now on, unless they are
/// paused. Those that had not come in where the others are, as [`come_in`](buildit::store::come_in) says.
macro_rules! wake {
    ($tenants:literal) => {
        concat!(
            "ready AS (",
            $tenants,
            "), known AS (
                 SELECT t.tenant_id FROM queue_tenants t JOIN ready ON ready.tenant_id = t.tenant_id WHERE t.is_ready
                 ORDER BY t.tenant_id FOR KEY SHARE OF t
             ), woken AS (
                 INSERT INTO queue_tenants AS t (tenant_id, turn, is_ready)
                 SELECT tenant_id, coalesce((SELECT min(turn) FROM queue_tenants WHERE is_ready),
                     (SELECT max(turn) FROM queue_tenants), 0), true
                 FROM ready WHERE tenant_id NOT IN (SELECT tenant_id FROM known) ORDER BY tenant_id
                 ON CONFLICT (tenant_id) DO UPDATE SET turn = greatest(t.turn, excluded.turn), is_ready = true
                     WHERE NOT t.is_ready AND NOT t.paused
                 RETURNING tenant_id
             ) "
        )
    };
}
pub(super) use wake;

const WAKE_ONE: &str =
    concat!("WITH ", wake!("SELECT $1::uuid AS tenant_id"), "SELECT pg_notify('buildit_queue', '')::text");

/// A run of this tenant has left the queue.
pub(super) async fn wake_one(to: &mut PgConnection, tenant: Uuid) -> Result<(), StoreError> {
    sqlx::query(WAKE_ONE).bind(tenant).execute(to).await.map(drop).map_err(failed)
}

/// Nothing more can be taken of these tenants. They are not looked at again until they are woken, but for those that
/// have runs which wait for something else; these keep up with the others, who got as far as `latest`.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) tenants: Vec<Uuid>,
    pub(super) latest: u64,
}

/// What woke them is committed by now, and seen by the next statement. An engine that is stopped between the two holds
/// nobody up for longer than a second.
const LOCK: &str = "SELECT tenant_id, set_config('idle_in_transaction_session_timeout', '1s', true) FROM queue_tenants
     WHERE tenant_id = ANY ($1) AND is_ready ORDER BY tenant_id FOR UPDATE SKIP LOCKED";

const REST: &str = "UPDATE queue_tenants t SET turn = greatest(t.turn, $2),
         is_ready = EXISTS (SELECT FROM job_queue q WHERE q.tenant_id = t.tenant_id AND q.status = 'waiting')
             AND coalesce(
                 (SELECT count(*) FROM job_queue q WHERE q.tenant_id = t.tenant_id AND q.status = 'taken') < (
                     SELECT CASE WHEN o.id IS NULL THEN t.max_running ELSE o.max_running END
                     FROM (SELECT) one LEFT JOIN tenants o ON o.id = t.tenant_id
                 ), true)
     WHERE t.tenant_id = ANY ($1)";

#[async_trait]
impl Write for Rest {
    type Answer = ();

    async fn write(&self, to: &mut PgConnection) -> Result<(), StoreError> {
        let locked = sqlx::query_as(LOCK).bind(&self.tenants).fetch_all(&mut *to).await;
        let locked: Vec<(Uuid, String)> = locked.map_err(failed)?;
        let locked: Vec<Uuid> = locked.into_iter().map(|(tenant, _)| tenant).collect();
        if locked.is_empty() {
            return Ok(());
        }
        sqlx::query(REST).bind(locked).bind(number(self.latest)).execute(to).await.map(drop).map_err(failed)
    }
}

#[derive(Debug)]
pub(super) struct SetShare {
    pub(super) tenant: TenantId,
    pub(super) share: Share,
}

const SET_SHARE: &str = "WITH owned AS (
         UPDATE tenants SET weight = $2, max_running = $3 WHERE id = $1
     ), said AS (
         SELECT pg_notify('buildit_queue', '')::text AS said
     )
     INSERT INTO queue_tenants AS t (tenant_id, weight, max_running, turn, is_ready)
     SELECT $1, $2, $3, coalesce((SELECT min(turn) FROM queue_tenants WHERE is_ready),
         (SELECT max(turn) FROM queue_tenants), 0), said.said IS NOT NULL FROM said
     ON CONFLICT (tenant_id) DO UPDATE SET weight = excluded.weight, max_running = excluded.max_running,
         turn = CASE WHEN t.is_ready THEN t.turn ELSE greatest(t.turn, excluded.turn) END, is_ready = NOT t.paused";

#[async_trait]
impl Write for SetShare {
    type Answer = ();

    async fn write(&self, to: &mut PgConnection) -> Result<(), StoreError> {
        let Share { weight, max_running } = self.share;
        let set = sqlx::query(SET_SHARE).bind(self.tenant.as_uuid()).bind(i64::from(weight.get()));
        let set = set.bind(max_running.map(|most| i64::from(most.get())));
        set.execute(to).await.map(drop).map_err(failed)
    }
}
