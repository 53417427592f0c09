//! Its logs of closed runs.

use async_trait::async_trait;

use super::broken::Broken;
use super::faults::Fault;
use crate::id::RunId;
use crate::store::{KeptLogs, LogHits, LogQuery, LogSearch, LogUpkeep, SearchPlace, StoreError};

#[async_trait]
impl LogUpkeep for Broken {
    async fn archive_logs(&self) -> Result<u64, StoreError> {
        *self.is_archived.lock().unwrap() = true;
        self.inner.archive_logs().await
    }

    async fn kept_logs(&self, before: u64, limit: usize) -> Result<Vec<KeptLogs>, StoreError> {
        let before = if self.has(Fault::OneListOfLogs) { u64::MAX } else { before };
        self.inner.kept_logs(before, limit).await
    }

    async fn remove_logs(&self, runs: &[RunId]) -> Result<(), StoreError> {
        match self.fault {
            Fault::KeepsLogs => Ok(()),
            Fault::RemovesAnyLogs => {
                self.removed.lock().unwrap().extend(runs);
                self.inner.remove_logs(runs).await
            }
            _ => self.inner.remove_logs(runs).await,
        }
    }
}

#[async_trait]
impl LogSearch for Broken {
    async fn index_logs(&self) -> Result<u64, StoreError> {
        self.inner.index_logs().await
    }

    async fn search_logs(
        &self,
        query: &LogQuery,
        before: Option<SearchPlace>,
        limit: usize,
    ) -> Result<LogHits, StoreError> {
        if self.has(Fault::ParsesQueries) && format!("{query:?}").contains("\\\"") {
            return Err(StoreError::backend("broken", "syntax error near \""));
        }
        if self.has(Fault::SearchesChunks) && *self.is_archived.lock().unwrap() {
            return Ok(LogHits::default());
        }
        let anywhere = || LogQuery::new("same").map_err(|error| StoreError::backend("broken", error));
        let query = if self.has(Fault::SearchesEverywhere) { &anywhere()? } else { query };
        let mut page = self.inner.search_logs(query, before, limit).await?;
        match self.fault {
            Fault::FindsOldestFirst => page.hits.reverse(),
            Fault::OnePage => page.next = None,
            _ => {}
        }
        Ok(page)
    }
}
