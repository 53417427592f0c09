//! The index of caches.

use async_trait::async_trait;
use buildit::artifact::{BlobError, CacheHit, CacheStore};
use buildit::id::Digest;
use buildit::store::StoreError;
use jiff::Timestamp;

use super::SqliteStore;
use super::error::failed;
use super::transaction::Transaction;
use super::writer::Write;
use crate::sql::to_text;

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

    async fn save_cache(&self, scope: &str, key: &str, archive: Digest) -> Result<(), BlobError> {
        let saved = Saved { scope: scope.to_owned(), key: key.to_owned(), digest: archive.to_hex(), at: now() };
        self.write(saved).await.map_err(broken)
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
    at: String,
}

#[async_trait]
impl Write for Saved {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        let statement = "INSERT INTO caches (scope, key, digest, saved_at, last_used_at) VALUES (?1, ?2, ?3, ?4, ?4)
             ON CONFLICT (scope, key) DO UPDATE SET last_used_at = excluded.last_used_at";
        let query = sqlx::query(statement).bind(&self.scope).bind(&self.key).bind(&self.digest).bind(&self.at);
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
