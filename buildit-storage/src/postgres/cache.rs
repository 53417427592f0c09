//! The index of caches.

use async_trait::async_trait;
use buildit::artifact::{BlobError, CacheHit, CacheQuota, CacheStore, EvictCaches, Evicted};
use buildit::id::Digest;
use buildit::store::StoreError;
use sqlx::PgConnection;

use super::PostgresStore;
use super::column::is_name;
use super::error::failed;
use super::transaction::Write;
use crate::sql::{count, number};

#[async_trait]
impl CacheStore for PostgresStore {
    async fn find_cache(&self, scope: &str, key: &str, restore_keys: &[String]) -> Result<Option<CacheHit>, BlobError> {
        let found = self.write(Find { scope, key, restore_keys }).await.map_err(broken)?;
        let hit = |(key, digest, exact): (String, String, bool)| {
            Ok(CacheHit { key, archive: digest.parse().map_err(broken)?, exact })
        };
        found.map(hit).transpose()
    }

    async fn save_cache(&self, scope: &str, key: &str, archive: Digest, bytes: u64) -> Result<(), BlobError> {
        if !is_name(scope) || !is_name(key) {
            tracing::debug!(scope, bytes = key.len(), "a cache whose key is too long, or holds a NUL, is not kept");
            return Ok(());
        }
        self.write(Save { scope, key, archive, bytes: number(bytes) }).await.map_err(broken)
    }
}

#[async_trait]
impl EvictCaches for PostgresStore {
    async fn evict_caches(&self, quota: CacheQuota) -> Result<Evicted, BlobError> {
        self.write(Evict(quota)).await.map_err(broken)
    }
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BlobError {
    BlobError::Backend { name: "postgres", source: error.into() }
}

#[derive(Debug)]
struct Find<'a> {
    scope: &'a str,
    key: &'a str,
    restore_keys: &'a [String],
}

#[async_trait]
impl Write for Find<'_> {
    type Answer = Option<(String, String, bool)>;

    /// Notes that the cache was used, too, for those that have to go.
    async fn write(&self, to: &mut PgConnection) -> Result<Self::Answer, StoreError> {
        if is_name(self.key) {
            let exact =
                "UPDATE caches SET last_used_at = now() WHERE scope = $1 AND key = $2 RETURNING key, digest, true";
            let exact = sqlx::query_as(exact).bind(self.scope).bind(self.key);
            let found = exact.fetch_optional(&mut *to).await.map_err(failed)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        for beginning in self.restore_keys.iter().filter(|beginning| is_name(beginning)) {
            let newest = "UPDATE caches SET last_used_at = now() WHERE place = (
                     SELECT place FROM caches WHERE scope = $1 AND starts_with(key, $2) ORDER BY place DESC LIMIT 1
                 ) RETURNING key, digest, false";
            let newest = sqlx::query_as(newest).bind(self.scope).bind(beginning);
            let found = newest.fetch_optional(&mut *to).await.map_err(failed)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

#[derive(Debug)]
struct Save<'a> {
    scope: &'a str,
    key: &'a str,
    archive: Digest,
    bytes: i64,
}

#[async_trait]
impl Write for Save<'_> {
    type Answer = ();

    async fn write(&self, to: &mut PgConnection) -> Result<(), StoreError> {
        let save = "INSERT INTO caches (scope, key, digest, bytes, saved_at, last_used_at)
             VALUES ($1, $2, $3, $4, now(), now())
             ON CONFLICT (scope, key) DO UPDATE SET last_used_at = excluded.last_used_at";
        let save = sqlx::query(save).bind(self.scope).bind(self.key).bind(self.archive.to_hex()).bind(self.bytes);
        save.execute(to).await.map(drop).map_err(failed)
    }
}

#[derive(Debug)]
struct Evict(CacheQuota);

#[async_trait]
impl Write for Evict {
    type Answer = Evicted;

    async fn write(&self, to: &mut PgConnection) -> Result<Evicted, StoreError> {
        let of_scope = "DELETE FROM caches WHERE place IN (
                 SELECT place FROM (SELECT place, bytes, sum(bytes) OVER (
                     PARTITION BY scope ORDER BY bytes IS NULL, last_used_at DESC, place DESC ROWS UNBOUNDED PRECEDING
                 ) AS sum FROM caches) AS all_of_them WHERE sum > $1 OR bytes IS NULL
             ) RETURNING bytes";
        let of_all = "DELETE FROM caches WHERE place IN (
                 SELECT place FROM (SELECT place, bytes, sum(bytes) OVER (
                     ORDER BY bytes IS NULL, last_used_at DESC, place DESC ROWS UNBOUNDED PRECEDING
                 ) AS sum FROM caches) AS all_of_them WHERE sum > $1 OR bytes IS NULL
             ) RETURNING bytes";
        let mut evicted = Evicted::default();
        for (statement, quota) in [(of_scope, self.0.scope_bytes), (of_all, self.0.total_bytes)] {
            let Some(quota) = quota else { continue };
            let delete = sqlx::query_scalar(statement).bind(number(quota));
            let gone: Vec<Option<i64>> = delete.fetch_all(&mut *to).await.map_err(failed)?;
            evicted.caches += gone.len() as u64;
            for bytes in gone.into_iter().flatten() {
                evicted.bytes = evicted.bytes.saturating_add(count(bytes)?);
            }
        }
        Ok(evicted)
    }
}
