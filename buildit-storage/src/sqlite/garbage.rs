//! What is referred to.

use std::collections::HashSet;

use async_trait::async_trait;
use buildit::id::Digest;
use buildit::store::{ReferenceStore, StoreError};

use super::SqliteStore;
use super::error::failed;
use crate::sql::{ASKED_AT_ONCE, digests, to_json};

#[async_trait]
impl ReferenceStore for SqliteStore {
    async fn referred(&self, asked: &[Digest]) -> Result<HashSet<Digest>, StoreError> {
        // Whatever keeps an address has a column here, with an index.
        let query = "SELECT digest FROM (SELECT value AS digest FROM json_each(?)) AS asked
             WHERE EXISTS (SELECT 1 FROM artifacts WHERE artifacts.digest = asked.digest)
                OR EXISTS (SELECT 1 FROM caches WHERE caches.digest = asked.digest)
                OR EXISTS (SELECT 1 FROM pipeline_runs WHERE source_digest = asked.digest)
                OR EXISTS (SELECT 1 FROM job_logs WHERE archive_digest = asked.digest)
                OR EXISTS (SELECT 1 FROM kept_result_blobs WHERE kept_result_blobs.digest = asked.digest)";
        let mut referred = HashSet::new();
        for some in asked.chunks(ASKED_AT_ONCE) {
            let some: Vec<String> = some.iter().map(Digest::to_hex).collect();
            let found =
                sqlx::query_scalar(query).bind(to_json(&some)?).fetch_all(self.reads()).await.map_err(failed)?;
            referred.extend(digests(found)?);
        }
        Ok(referred)
    }
}
