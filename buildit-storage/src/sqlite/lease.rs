//! Leases on runs, and what is read of a run to go on with it.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use buildit::id::{FencingToken, RunId};
use buildit::store::{Lease, StoreError, TakenRun};
use jiff::Timestamp;

use super::SqliteStore;
use super::error::failed;
use super::run::run_id;
use super::session::Session;
use super::transaction::Transaction;
use super::writer::Write;
use crate::sql::{Stored, count, number, to_json, to_text, token_of};

#[derive(Debug)]
struct TakeLeases {
    runs: Vec<RunId>,
    lease: Lease,
    now: Timestamp,
    session: Arc<Session>,
}

/// The token of each run that is there, or why there is none.
type Leased = HashMap<RunId, Result<FencingToken, StoreError>>;

#[async_trait]
impl Write for TakeLeases {
    type Answer = Leased;

    async fn write(&self, to: &mut Transaction<'_>) -> Result<Leased, StoreError> {
        let connection = to.connection().await?;
        let held = "SELECT id, fencing_token, locked_by, locked_until, locked_session FROM pipeline_runs
             WHERE id IN (SELECT value FROM json_each(?))";
        let held = sqlx::query_as(held).bind(list(&self.runs)?).fetch_all(&mut *connection).await.map_err(failed)?;
        let held: Vec<(String, i64, Option<String>, Option<String>, Option<String>)> = held;
        let mut leased = Leased::new();
        let mut tokens = Vec::new();
        let now = to_text(self.now);
        for (id, seen, holder, until, session) in held {
            let is_over = || session.as_deref().is_none_or(|session| self.session.is_over(session));
            let is_held = until.is_some_and(|until| until > now) && !is_over();
            let token = match token_of(&self.lease.worker, holder.as_deref().filter(|_| is_held), seen) {
                Ok(token) => {
                    let counted = count(token)?;
                    tokens.push((id.clone(), token));
                    Ok(FencingToken(counted))
                }
                Err(refused) => Err(refused),
            };
            leased.insert(run_id(&id)?, token);
        }
        if !tokens.is_empty() {
            let take = "UPDATE pipeline_runs SET fencing_token = t.value ->> 1, locked_by = ?, locked_until = ?,
                 locked_session = ? FROM json_each(?) AS t WHERE pipeline_runs.id = t.value ->> 0";
            let take = sqlx::query(take).bind(self.lease.worker.as_str()).bind(to_text(self.lease.until));
            let take = take.bind(self.session.id()).bind(to_json(&tokens)?);
            take.execute(connection).await.map_err(failed)?;
        }
        leased.keys().for_each(|run| to.note(*run, None));
        Ok(leased)
    }
}

/// Each run with its first events, as a list that lacks only its brackets: a row for each event would have to change
/// threads by itself.
const READ: &str = "SELECT r.id, r.definition, r.number, r.status, r.last_seq, coalesce((
         SELECT group_concat(body, ',' ORDER BY seq) FROM (
             SELECT seq, body FROM run_events WHERE pipeline_run_id = r.id ORDER BY seq LIMIT ?2
         )
     ), '') FROM pipeline_runs r WHERE r.id IN (SELECT value FROM json_each(?1))";

type Row = (String, String, i64, String, i64, String);

impl SqliteStore {
    pub(super) async fn lease_runs(&self, runs: &[RunId], lease: Lease, now: Timestamp) -> Result<Leased, StoreError> {
        let session = Arc::clone(self.session());
        self.write(TakeLeases { runs: runs.to_vec(), lease, now, session }).await
    }

    /// These runs, those that are leased, in their order.
    pub(super) async fn taken(
        &self,
        runs: &[RunId],
        tokens: &HashMap<RunId, FencingToken>,
    ) -> Result<Vec<TakenRun>, StoreError> {
        let leased: Vec<RunId> = tokens.keys().copied().collect();
        let rows = sqlx::query_as(READ).bind(list(&leased)?).bind(number(TakenRun::EVENTS as u64));
        let rows: Vec<Row> = rows.fetch_all(self.reads()).await.map_err(failed)?;
        let rows = rows.into_iter().map(|row| Ok((run_id(&row.0)?, row)));
        let mut rows: HashMap<RunId, Row> = rows.collect::<Result<_, StoreError>>()?;
        let taken = runs.iter().filter_map(|run| Some((*tokens.get(run)?, rows.remove(run)?)));
        taken
            .map(|(token, (_, definition, number, status, last_seq, events))| {
                Stored { definition, number, status, last_seq, events }.taken(token, self.definitions())
            })
            .collect()
    }
}

/// Runs as a statement takes them.
fn list(runs: &[RunId]) -> Result<String, StoreError> {
    to_json(&runs.iter().map(ToString::to_string).collect::<Vec<_>>())
}
