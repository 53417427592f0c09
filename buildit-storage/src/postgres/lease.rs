//! Leases on runs, and what is read of a run to go on with it.

use std::collections::HashMap;

use async_trait::async_trait;
use buildit::id::{FencingToken, RunId, WorkerId};
use buildit::store::{Lease, StoreError, TakenRun};
use jiff::Timestamp;
use jiff_sqlx::Timestamp as Column;
use sqlx::PgConnection;
use uuid::Uuid;

use super::PostgresStore;
use super::column::down;
use super::error::failed;
use super::transaction::Write;
use crate::sql::{Stored, count, number};

/// The runs are locked in one order. A holder that renews keeps its token.
const LEASE: &str = "WITH asked AS MATERIALIZED (
         SELECT id FROM pipeline_runs WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE
     )
     UPDATE pipeline_runs r SET locked_by = $2, locked_until = $4,
         fencing_token = CASE WHEN r.locked_by = $2 AND r.locked_until > $3 THEN r.fencing_token
             ELSE r.fencing_token + 1 END
     WHERE r.id = ANY (ARRAY(SELECT id FROM asked))
         AND (r.locked_by IS NULL OR r.locked_by = $2 OR r.locked_until IS NULL OR r.locked_until <= $3)
     RETURNING r.id, r.fencing_token";

#[derive(Debug)]
struct TakeLeases<'a> {
    runs: Vec<Uuid>,
    worker: &'a WorkerId,
    now: Column,
    until: Column,
}

#[async_trait]
impl Write for TakeLeases<'_> {
    type Answer = HashMap<RunId, FencingToken>;

    async fn write(&self, to: &mut PgConnection) -> Result<Self::Answer, StoreError> {
        let take = sqlx::query_as(LEASE).bind(&self.runs).bind(self.worker.as_str()).bind(self.now).bind(self.until);
        let taken: Vec<(Uuid, i64)> = take.fetch_all(to).await.map_err(failed)?;
        taken.into_iter().map(|(run, token)| Ok((run.into(), FencingToken(count(token)?)))).collect()
    }
}

/// Each run with its first events, as a list that lacks only its brackets.
const READ: &str = "SELECT r.id, r.definition, r.number, r.status, r.last_seq, coalesce(e.bodies, '')
     FROM pipeline_runs r LEFT JOIN LATERAL (
         SELECT string_agg(body, ',' ORDER BY seq) AS bodies FROM (
             SELECT seq, body FROM run_events WHERE pipeline_run_id = r.id ORDER BY seq LIMIT $2
         ) e
     ) e ON true WHERE r.id = ANY ($1)";

type Row = (Uuid, String, i64, String, i64, String);

impl PostgresStore {
    /// The tokens of those of these runs that the worker can have.
    pub(super) async fn lease_runs(
        &self,
        runs: &[RunId],
        lease: &Lease,
        now: Timestamp,
    ) -> Result<HashMap<RunId, FencingToken>, StoreError> {
        let shift = self.shift().await?;
        let (now, until) = (down(shift.apply(now)), down(shift.apply(lease.until)));
        let runs = runs.iter().map(RunId::as_uuid).collect();
        self.write_at_once(TakeLeases { runs, worker: &lease.worker, now, until }).await
    }

    /// These runs, those that are leased, in their order.
    pub(super) async fn taken(
        &self,
        runs: &[RunId],
        tokens: &HashMap<RunId, FencingToken>,
    ) -> Result<Vec<TakenRun>, StoreError> {
        let leased: Vec<Uuid> = tokens.keys().map(RunId::as_uuid).collect();
        let rows = sqlx::query_as(READ).bind(leased).bind(number(TakenRun::EVENTS as u64));
        let rows: Vec<Row> = rows.fetch_all(&mut *self.reads().await?).await.map_err(failed)?;
        let mut rows: HashMap<RunId, Row> = rows.into_iter().map(|row| (row.0.into(), row)).collect();
        let taken = runs.iter().filter_map(|run| Some((*tokens.get(run)?, rows.remove(run)?)));
        taken
            .map(|(token, (_, definition, number, status, last_seq, events))| {
                Stored { definition, number, status, last_seq, events }.taken(token, self.definitions())
            })
            .collect()
    }

    /// # Errors
    ///
    /// [`StoreError::NoRun`] when there is no such run.
    pub(super) async fn run_exists(&self, run: RunId) -> Result<(), StoreError> {
        let found = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pipeline_runs WHERE id = $1)").bind(run.as_uuid());
        match found.fetch_one(&mut *self.reads().await?).await.map_err(failed)? {
            true => Ok(()),
            false => Err(StoreError::NoRun(run)),
        }
    }
}
