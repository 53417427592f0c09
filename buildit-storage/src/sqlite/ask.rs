//! What is asked of runs.

use async_trait::async_trait;
use buildit::id::RunId;
use buildit::store::{Ask, AskStore, AskSubject, StoreError};

use super::SqliteStore;
use super::error::failed;
use super::run::run_id;
use super::tenant::list;
use crate::records::ask;
use crate::sql::{from_json, number};

#[async_trait]
impl AskStore for SqliteStore {
    async fn ask(&self, run: RunId, ask: Ask) -> Result<bool, StoreError> {
        ask::ask(self, run, ask).await
    }

    async fn asks(&self, runs: &[RunId], limit: usize) -> Result<Vec<(RunId, Ask)>, StoreError> {
        let query = "SELECT pipeline_run_id, body FROM run_asks
             WHERE pipeline_run_id IN (SELECT value FROM json_each(?)) ORDER BY place LIMIT ?";
        let runs: Vec<String> = runs.iter().map(ToString::to_string).collect();
        let query = sqlx::query_as(query).bind(list(&runs)).bind(number(limit as u64));
        let rows: Vec<(String, String)> = query.fetch_all(self.reads()).await.map_err(failed)?;
        rows.into_iter().map(|(run, body)| Ok((run_id(&run)?, from_json(&body)?))).collect()
    }

    async fn settle(&self, run: RunId, subject: &AskSubject) -> Result<(), StoreError> {
        ask::settle(self, run, subject).await
    }

    async fn asks_changed(&self) {
        self.asked().notified().await;
    }
}
