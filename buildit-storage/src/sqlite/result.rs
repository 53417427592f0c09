//! Kept results of cacheable stages.

use async_trait::async_trait;
use buildit::cached::{Ingredient, KeptResult, ResultStore, Salt};
use buildit::id::{Digest, RunId, StageName};
use buildit::store::StoreError;
use jiff::Timestamp;

use super::SqliteStore;
use super::error::failed;
use super::run::run_id;
use super::transaction::Transaction;
use super::writer::Write;
use crate::sql::{ResultRow, from_json, in_order, number, salt, to_json, to_text};

#[async_trait]
impl ResultStore for SqliteStore {
    async fn result_salt(&self) -> Result<Salt, StoreError> {
        let query = sqlx::query_scalar("SELECT salt FROM result_salt");
        salt(query.fetch_one(self.reads()).await.map_err(failed)?)
    }

    async fn find_results(&self, scope: &str, keys: &[Digest]) -> Result<Vec<Option<KeptResult>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let query = "SELECT key, result FROM kept_results
             WHERE scope = ? AND key IN (SELECT value FROM json_each(?))";
        let found = sqlx::query_as(query).bind(scope).bind(to_json(&keys)?).fetch_all(self.reads()).await;
        let found: Vec<(String, String)> = found.map_err(failed)?;
        if !found.is_empty() {
            let used: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
            // Nobody waits for the disk: an eviction comes after it, and a crash loses no more than the order of a few.
            self.post(Used { scope: scope.to_owned(), keys: to_json(&used)?, at: now() }).await?;
        }
        in_order(keys, &found)
    }

    async fn keep_result(
        &self,
        scope: &str,
        result: &KeptResult,
        ingredients: &[Ingredient],
    ) -> Result<(), StoreError> {
        let row = ResultRow::new(result, ingredients)?;
        let job = &result.job;
        let (run, stage) = (job.run.to_string(), job.stage.to_string());
        self.write(Kept { scope: scope.to_owned(), row, run, stage, at: now() }).await
    }

    async fn last_ingredients(
        &self,
        scope: &str,
        stage: &StageName,
    ) -> Result<Option<(RunId, Vec<Ingredient>)>, StoreError> {
        let query = "SELECT pipeline_run_id, ingredients FROM kept_results
             WHERE scope = ? AND stage_name = ? ORDER BY place DESC LIMIT 1";
        let query = sqlx::query_as(query).bind(scope).bind(&**stage);
        let found: Option<(String, String)> = query.fetch_optional(self.reads()).await.map_err(failed)?;
        found.map(|(run, ingredients)| Ok((run_id(&run)?, from_json(&ingredients)?))).transpose()
    }

    async fn forget_result(&self, scope: &str, key: &Digest) -> Result<(), StoreError> {
        self.write(Forgotten { scope: scope.to_owned(), key: key.to_hex() }).await
    }

    async fn evict_results(&self, scope: &str, most: usize) -> Result<u64, StoreError> {
        self.write(Evicted { scope: scope.to_owned(), most: number(most as u64) }).await
    }
}

fn now() -> String {
    to_text(Timestamp::now())
}

/// When results were last found, for those that have to go.
#[derive(Debug)]
struct Used {
    scope: String,
    /// JSON: a list.
    keys: String,
    at: String,
}

#[async_trait]
impl Write for Used {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        let query = "UPDATE kept_results SET last_used_at = ?
             WHERE scope = ? AND key IN (SELECT value FROM json_each(?))";
        let query = sqlx::query(query).bind(&self.at).bind(&self.scope).bind(&self.keys);
        query.execute(to.connection().await?).await.map(drop).map_err(failed)
    }
}

#[derive(Debug)]
struct Kept {
    scope: String,
    row: ResultRow,
    run: String,
    stage: String,
    at: String,
}

#[async_trait]
impl Write for Kept {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        let connection = to.connection().await?;
        let insert = "INSERT INTO kept_results
                 (scope, key, pipeline_run_id, stage_name, result, ingredients, kept_at, last_used_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) ON CONFLICT (scope, key) DO NOTHING RETURNING place";
        let insert = sqlx::query_scalar(insert).bind(&self.scope).bind(&self.row.key).bind(&self.run);
        let insert = insert.bind(&self.stage).bind(&self.row.result).bind(&self.row.ingredients).bind(&self.at);
        let place: Option<i64> = insert.fetch_optional(&mut *connection).await.map_err(failed)?;
        let Some(place) = place.filter(|_| !self.row.blobs.is_empty()) else { return Ok(()) };
        let blobs = "INSERT INTO kept_result_blobs (place, digest) SELECT ?, value FROM json_each(?)";
        let blobs = sqlx::query(blobs).bind(place).bind(to_json(&self.row.blobs)?);
        blobs.execute(connection).await.map(drop).map_err(failed)
    }
}

#[derive(Debug)]
struct Forgotten {
    scope: String,
    key: String,
}

#[async_trait]
impl Write for Forgotten {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM kept_results WHERE scope = ? AND key = ?");
        let query = query.bind(&self.scope).bind(&self.key);
        query.execute(to.connection().await?).await.map(drop).map_err(failed)
    }
}

#[derive(Debug)]
struct Evicted {
    scope: String,
    most: i64,
}

#[async_trait]
impl Write for Evicted {
    type Answer = u64;

    async fn write(&self, to: &mut Transaction<'_>) -> Result<u64, StoreError> {
        let query = "DELETE FROM kept_results WHERE place IN (
                 SELECT place FROM kept_results WHERE scope = ? ORDER BY last_used_at DESC, place DESC
                 LIMIT -1 OFFSET ?
             )";
        let query = sqlx::query(query).bind(&self.scope).bind(self.most);
        query.execute(to.connection().await?).await.map(|gone| gone.rows_affected()).map_err(failed)
    }
}
