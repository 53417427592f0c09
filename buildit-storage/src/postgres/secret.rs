//! Sealed secrets.

use async_trait::async_trait;
use buildit::store::{SealedSecret, SecretPlace, SecretStore, SecretSummary, StoreError};
use jiff::Timestamp;
use jiff_sqlx::Timestamp as Column;
use sqlx::{FromRow, PgConnection};

use super::PostgresStore;
use super::column::{down, is_name};
use super::error::{backend, failed};
use super::transaction::Write;
use crate::sql::{count, number};

#[async_trait]
impl SecretStore for PostgresStore {
    async fn put_secret(&self, place: &SecretPlace, sealed: SealedSecret, now: Timestamp) -> Result<(), StoreError> {
        if !is_name(&place.owner) || !is_name(&place.name) {
            return Err(backend("the name of a secret, or whose it is, is too long or holds a NUL"));
        }
        self.write(Put { place, sealed, now: down(now) }).await
    }

    async fn secret(&self, place: &SecretPlace) -> Result<Option<SealedSecret>, StoreError> {
        let query = "SELECT version, key_id, nonce, sealed FROM secrets WHERE scope = $1 AND owner = $2 AND name = $3";
        let query = sqlx::query_as(query).bind(place.scope.as_str()).bind(&place.owner).bind(&place.name);
        let found: Option<(i64, String, Vec<u8>, Vec<u8>)> =
            query.fetch_optional(&mut *self.reads().await?).await.map_err(failed)?;
        let sealed =
            |(version, key_id, nonce, sealed)| Ok(SealedSecret { version: count(version)?, key_id, nonce, sealed });
        found.map(sealed).transpose()
    }

    async fn secrets(&self, after: Option<&SecretPlace>, limit: usize) -> Result<Vec<SecretSummary>, StoreError> {
        // As bytes follow, whatever the language of the database is.
        let query = r#"SELECT scope, owner, name, version, key_id, created_at, updated_at FROM secrets
             WHERE (scope COLLATE "C", owner COLLATE "C", name COLLATE "C") > ($1, $2, $3)
             ORDER BY scope COLLATE "C", owner COLLATE "C", name COLLATE "C" LIMIT $4"#;
        let (scope, owner, name) =
            after.map_or(("", "", ""), |after| (after.scope.as_str(), after.owner.as_str(), after.name.as_str()));
        let query = sqlx::query_as(query).bind(scope).bind(owner).bind(name).bind(number(limit as u64));
        let rows: Vec<Row> = query.fetch_all(&mut *self.reads().await?).await.map_err(failed)?;
        rows.into_iter().map(Row::summary).collect()
    }

    async fn delete_secret(&self, place: &SecretPlace) -> Result<bool, StoreError> {
        self.write(Delete { place }).await
    }
}

#[derive(FromRow)]
struct Row {
    scope: String,
    owner: String,
    name: String,
    version: i64,
    key_id: String,
    created_at: Column,
    updated_at: Column,
}

impl Row {
    fn summary(self) -> Result<SecretSummary, StoreError> {
        Ok(SecretSummary {
            place: SecretPlace { scope: self.scope.parse()?, owner: self.owner, name: self.name },
            version: count(self.version)?,
            key_id: self.key_id,
            created_at: self.created_at.to_jiff(),
            updated_at: self.updated_at.to_jiff(),
        })
    }
}

#[derive(Debug)]
struct Put<'a> {
    place: &'a SecretPlace,
    sealed: SealedSecret,
    now: Column,
}

#[async_trait]
impl Write for Put<'_> {
    type Answer = ();

    async fn write(&self, to: &mut PgConnection) -> Result<(), StoreError> {
        let (SecretPlace { scope, owner, name }, sealed) = (self.place, &self.sealed);
        // One statement judges and writes: of two at once, the second one finds what the first has written.
        let put = if sealed.version == 1 {
            "INSERT INTO secrets (scope, owner, name, version, key_id, nonce, sealed, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT DO NOTHING"
        } else {
            "UPDATE secrets SET version = $4, key_id = $5, nonce = $6, sealed = $7, updated_at = $8
             WHERE scope = $1 AND owner = $2 AND name = $3 AND version = $4 - 1 AND version > 0"
        };
        let put = sqlx::query(put).bind(scope.as_str()).bind(owner).bind(name).bind(number(sealed.version));
        let put = put.bind(&sealed.key_id).bind(&sealed.nonce).bind(&sealed.sealed).bind(self.now);
        if put.execute(&mut *to).await.map_err(failed)?.rows_affected() > 0 {
            return Ok(());
        }
        let there = "SELECT version FROM secrets WHERE scope = $1 AND owner = $2 AND name = $3";
        let there = sqlx::query_scalar(there).bind(scope.as_str()).bind(owner).bind(name);
        let there: Option<i64> = there.fetch_optional(to).await.map_err(failed)?;
        let (expected, actual) = (sealed.version.saturating_sub(1), count(there.unwrap_or(0))?);
        Err(StoreError::Conflict { expected, actual })
    }
}

#[derive(Debug)]
struct Delete<'a> {
    place: &'a SecretPlace,
}

#[async_trait]
impl Write for Delete<'_> {
    type Answer = bool;

    async fn write(&self, to: &mut PgConnection) -> Result<bool, StoreError> {
        let SecretPlace { scope, owner, name } = self.place;
        let delete = sqlx::query("DELETE FROM secrets WHERE scope = $1 AND owner = $2 AND name = $3");
        let deleted = delete.bind(scope.as_str()).bind(owner).bind(name).execute(to).await.map_err(failed)?;
        Ok(deleted.rows_affected() > 0)
    }
}
