//! Kept results of cacheable stages.

use async_trait::async_trait;
use buildit::cached::{Ingredient, KeptResult, ResultStore, Salt};
use buildit::id::{Digest, RunId, StageName};
use buildit::store::StoreError;
use sqlx::PgConnection;
use uuid::Uuid;

use super::PostgresStore;
use super::column::is_name;
use super::error::failed;
use super::transaction::Write;
use crate::sql::{ResultRow, from_json, in_order, number, salt};

#[async_trait]
impl ResultStore for PostgresStore {
    async fn result_salt(&self) -> Result<Salt, StoreError> {
        let query = sqlx::query_scalar("SELECT salt FROM result_salt");
        salt(query.fetch_one(&mut *self.reads().await?).await.map_err(failed)?)
    }

    async fn find_results(&self, scope: &str, keys: &[Digest]) -> Result<Vec<Option<KeptResult>>, StoreError> {
        if keys.is_empty() || !is_name(scope) {
            return Ok(vec![None; keys.len()]);
        }
        let hex = keys.iter().map(Digest::to_hex).collect();
        let found = self.write(Find { scope, keys: hex }).await?;
        in_order(keys, &found)
    }

    async fn keep_result(
        &self,
        scope: &str,
        result: &KeptResult,
        ingredients: &[Ingredient],
    ) -> Result<(), StoreError> {
        if !is_name(scope) || !is_name(&result.job.stage) {
            tracing::debug!(scope, "a result of a stage whose name is too long, or holds a NUL, is not kept");
            return Ok(());
        }
        let row = ResultRow::new(result, ingredients)?;
        self.write(Keep { scope, row, run: result.job.run, stage: &result.job.stage }).await
    }

    async fn last_ingredients(
        &self,
        scope: &str,
        stage: &StageName,
    ) -> Result<Option<(RunId, Vec<Ingredient>)>, StoreError> {
        if !is_name(scope) || !is_name(stage) {
            return Ok(None);
        }
        let query = "SELECT pipeline_run_id, ingredients FROM kept_results
             WHERE scope = $1 AND stage_name = $2 ORDER BY place DESC LIMIT 1";
        let query = sqlx::query_as(query).bind(scope).bind(&**stage);
        let found: Option<(Uuid, String)> = query.fetch_optional(&mut *self.reads().await?).await.map_err(failed)?;
        found.map(|(run, ingredients)| Ok((RunId::from(run), from_json(&ingredients)?))).transpose()
    }

    async fn forget_result(&self, scope: &str, key: &Digest) -> Result<(), StoreError> {
        match is_name(scope) {
            true => self.write(Forget { scope, key: key.to_hex() }).await,
            false => Ok(()),
        }
    }

    async fn evict_results(&self, scope: &str, most: usize) -> Result<u64, StoreError> {
        match is_name(scope) {
            true => self.write(Evict { scope, most: number(most as u64) }).await,
            false => Ok(0),
        }
    }
}

#[derive(Debug)]
struct Find<'a> {
    scope: &'a str,
    keys: Vec<String>,
}

#[async_trait]
impl Write for Find<'_> {
    type Answer = Vec<(String, String)>;

    /// Notes that they were used, too, for those that have to go. Rows are locked in the order of their places, so that
    /// two runs that look for the same do not wait for each other in a circle.
    async fn write(&self, to: &mut PgConnection) -> Result<Self::Answer, StoreError> {
        let find = "WITH found AS (
                 SELECT place FROM kept_results WHERE scope = $1 AND key = ANY ($2) ORDER BY place FOR UPDATE
             )
             UPDATE kept_results SET last_used_at = now() FROM found WHERE kept_results.place = found.place
             RETURNING key, result";
        sqlx::query_as(find).bind(self.scope).bind(&self.keys).fetch_all(to).await.map_err(failed)
    }
}

#[derive(Debug)]
struct Keep<'a> {
    scope: &'a str,
    row: ResultRow,
    run: RunId,
    stage: &'a StageName,
}

#[async_trait]
impl Write for Keep<'_> {
    type Answer = ();

    async fn write(&self, to: &mut PgConnection) -> Result<(), StoreError> {
        let insert = "INSERT INTO kept_results
                 (scope, key, pipeline_run_id, stage_name, result, ingredients, kept_at, last_used_at)
             VALUES ($1, $2, $3, $4, $5, $6, now(), now()) ON CONFLICT (scope, key) DO NOTHING RETURNING place";
        let insert = sqlx::query_scalar(insert).bind(self.scope).bind(&self.row.key).bind(self.run.as_uuid());
        let insert = insert.bind(&**self.stage).bind(&self.row.result).bind(&self.row.ingredients);
        let place: Option<i64> = insert.fetch_optional(&mut *to).await.map_err(failed)?;
        let Some(place) = place.filter(|_| !self.row.blobs.is_empty()) else { return Ok(()) };
        let blobs = "INSERT INTO kept_result_blobs (place, digest) SELECT $1, * FROM unnest($2::TEXT[])";
        sqlx::query(blobs).bind(place).bind(&self.row.blobs).execute(to).await.map(drop).map_err(failed)
    }
}

#[derive(Debug)]
struct Forget<'a> {
    scope: &'a str,
    key: String,
}

#[async_trait]
impl Write for Forget<'_> {
    type Answer = ();

    async fn write(&self, to: &mut PgConnection) -> Result<(), StoreError> {
        let forget = sqlx::query("DELETE FROM kept_results WHERE scope = $1 AND key = $2");
        forget.bind(self.scope).bind(&self.key).execute(to).await.map(drop).map_err(failed)
    }
}

#[derive(Debug)]
struct Evict<'a> {
    scope: &'a str,
    most: i64,
}

#[async_trait]
impl Write for Evict<'_> {
    type Answer = u64;

    async fn write(&self, to: &mut PgConnection) -> Result<u64, StoreError> {
        // What somebody else takes just now is in use, and stays.
        let evict = "DELETE FROM kept_results WHERE place IN (
                 SELECT place FROM kept_results WHERE scope = $1 ORDER BY last_used_at DESC, place DESC
                 OFFSET $2 FOR UPDATE SKIP LOCKED
             )";
        let evict = sqlx::query(evict).bind(self.scope).bind(self.most);
        evict.execute(to).await.map(|gone| gone.rows_affected()).map_err(failed)
    }
}
