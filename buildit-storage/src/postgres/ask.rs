//! What is asked of runs.

use async_trait::async_trait;
use buildit::id::RunId;
use buildit::store::{Ask, AskStore, AskSubject, StoreError};
use uuid::Uuid;

use super::PostgresStore;
use super::error::failed;
use super::queue::LONGEST_WAIT;
use crate::records::{News, ask};
use crate::sql::{from_json, number};

#[async_trait]
impl AskStore for PostgresStore {
    async fn ask(&self, run: RunId, ask: Ask) -> Result<bool, StoreError> {
        ask::ask(self, run, ask).await
    }

    async fn asks(&self, runs: &[RunId], limit: usize) -> Result<Vec<(RunId, Ask)>, StoreError> {
        let query = "SELECT pipeline_run_id, body FROM run_asks WHERE pipeline_run_id = ANY ($1)
             ORDER BY place LIMIT $2";
        let query = sqlx::query_as(query).bind(runs.iter().map(RunId::as_uuid).collect::<Vec<_>>());
        let query = query.bind(number(limit as u64));
        let rows: Vec<(Uuid, String)> = query.fetch_all(&mut *self.reads().await?).await.map_err(failed)?;
        rows.into_iter().map(|(run, body)| Ok((run.into(), from_json(&body)?))).collect()
    }

    async fn settle(&self, run: RunId, subject: &AskSubject) -> Result<(), StoreError> {
        ask::settle(self, run, subject).await
    }

    /// As of [`queue_changed`](buildit::store::QueueStore::queue_changed).
    async fn asks_changed(&self) {
        let _ = tokio::time::timeout(LONGEST_WAIT, self.news().heard(News::Asks).notified()).await;
    }
}
