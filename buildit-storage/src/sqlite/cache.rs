//! The index of caches.

use async_trait::async_trait;
use buildit::artifact::{BlobError, CacheHit, CacheQuota, CacheStore, EvictCaches, Evicted};
use buildit::id::Digest;
use buildit::store::StoreError;
use jiff::Timestamp;

use super::SqliteStore;
use super::error::failed;
use super::transaction::Transaction;
use super::writer::Write;
use crate::sql::{count, number, to_text};

#[async_trait]
impl CacheStore for SqliteStore {
    async fn find_cache(&self, scope: &str, key: &str, restore_keys: &[String]) -> Result<Option<CacheHit>, BlobError> {
        let exact = "SELECT key, digest FROM caches WHERE scope = ? AND key = ?";
        let found: Option<(String, String)> =
            sqlx::query_as(exact).bind(scope).bind(key).fetch_optional(self.reads()).await.map_err(broken)?;
        if let Some(found) = found {
            return self.hit(scope, found, true).await.map(Some);
        }
        for beginning in restore_keys {
            // Not LIKE: a key may hold what is a pattern there.
            let newest = "SELECT key, digest FROM caches WHERE scope = ?1 AND substr(key, 1, length(?2)) = ?2
                 ORDER BY place DESC LIMIT 1";
            let found = sqlx::query_as(newest).bind(scope).bind(beginning).fetch_optional(self.reads()).await;
            if let Some(found) = found.map_err(broken)? {
                return self.hit(scope, found, false).await.map(Some);
            }
        }
        Ok(None)
    }

    async fn save_cache(&self, scope: &str, key: &str, archive: Digest, bytes: u64) -> Result<(), BlobError> {
        let (scope, key, digest) = (scope.to_owned(), key.to_owned(), archive.to_hex());
        let saved = Saved { scope, key, digest, bytes: number(bytes), at: now() };
        self.write(saved).await.map_err(broken)
    }
}

#[async_trait]
impl EvictCaches for SqliteStore {
    async fn evict_caches(&self, quota: CacheQuota) -> Result<Evicted, BlobError> {
        self.write(Evict(quota)).await.map_err(broken)
    }
}

impl SqliteStore {
    async fn hit(&self, scope: &str, found: (String, String), exact: bool) -> Result<CacheHit, BlobError> {
        let (key, digest) = found;
        let archive = digest.parse().map_err(broken)?;
        self.write(Used { scope: scope.to_owned(), key: key.clone(), at: now() }).await.map_err(broken)?;
        Ok(CacheHit { key, archive, exact })
    }
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BlobError {
    BlobError::Backend { name: "sqlite", source: error.into() }
}

fn now() -> String {
    to_text(Timestamp::now())
}

#[derive(Debug)]
struct Saved {
    scope: String,
    key: String,
    digest: String,
    bytes: i64,
    at: String,
}

#[async_trait]
impl Write for Saved {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        let statement = "INSERT INTO caches (scope, key, digest, bytes, saved_at, last_used_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5)
             ON CONFLICT (scope, key) DO UPDATE SET last_used_at = excluded.last_used_at";
        let query =
            sqlx::query(statement).bind(&self.scope).bind(&self.key).bind(&self.digest).bind(self.bytes).bind(&self.at);
        query.execute(to.connection().await?).await.map(drop).map_err(failed)
    }
}

/// When a cache was last found, for those that have to go.
#[derive(Debug)]
struct Used {
    scope: String,
    key: String,
    at: String,
}

#[async_trait]
impl Write for Used {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE caches SET last_used_at = ? WHERE scope = ? AND key = ?");
        query
            .bind(&self.at)
            .bind(&self.scope)
            .bind(&self.key)
            .execute(to.connection().await?)
            .await
            .map(drop)
            .map_err(failed)
    }
}

#[derive(Debug)]
struct Evict(CacheQuota);

#[async_trait]
impl Write for Evict {
    type Answer = Evicted;

    async fn write(&self, to: &mut Transaction<'_>) -> Result<Evicted, StoreError> {
        // In floating point, which no sum of sizes overflows.
        let of_scope = "DELETE FROM caches WHERE place IN (
                 SELECT place FROM (SELECT place, bytes, total(bytes) OVER (
                     PARTITION BY scope ORDER BY bytes IS NULL, last_used_at DESC, place DESC ROWS UNBOUNDED PRECEDING
                 ) AS sum FROM caches) WHERE sum > ? OR bytes IS NULL
             ) RETURNING bytes";
        let of_all = "DELETE FROM caches WHERE place IN (
                 SELECT place FROM (SELECT place, bytes, total(bytes) OVER (
                     ORDER BY bytes IS NULL, last_used_at DESC, place DESC ROWS UNBOUNDED PRECEDING
                 ) AS sum FROM caches) WHERE sum > ? OR bytes IS NULL
             ) RETURNING bytes";
        let mut evicted = Evicted::default();
        for (statement, quota) in [(of_scope, self.0.scope_bytes), (of_all, self.0.total_bytes)] {
            let Some(quota) = quota else { continue };
            let delete = sqlx::query_scalar(statement).bind(number(quota));
            let gone: Vec<Option<i64>> = delete.fetch_all(to.connection().await?).await.map_err(failed)?;
            evicted.caches += gone.len() as u64;
            for bytes in gone.into_iter().flatten() {
                evicted.bytes = evicted.bytes.saturating_add(count(bytes)?);
            }
        }
        Ok(evicted)
    }
}
