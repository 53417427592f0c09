//! Sealed secrets.

use async_trait::async_trait;
use buildit::store::{SealedSecret, SecretPlace, SecretStore, SecretSummary, StoreError};
use jiff::Timestamp;
use sqlx::FromRow;

use super::SqliteStore;
use super::error::failed;
use super::transaction::Transaction;
use super::writer::Write;
use crate::sql::{count, from_text, number, to_text};

#[async_trait]
impl SecretStore for SqliteStore {
    async fn put_secret(&self, place: &SecretPlace, sealed: SealedSecret, now: Timestamp) -> Result<(), StoreError> {
        self.write(Put { place: place.clone(), sealed, now: to_text(now) }).await
    }

    async fn secret(&self, place: &SecretPlace) -> Result<Option<SealedSecret>, StoreError> {
        let query = "SELECT version, key_id, nonce, sealed FROM secrets WHERE scope = ? AND owner = ? AND name = ?";
        let query = sqlx::query_as(query).bind(place.scope.as_str()).bind(&place.owner).bind(&place.name);
        let found: Option<(i64, String, Vec<u8>, Vec<u8>)> =
            query.fetch_optional(self.reads()).await.map_err(failed)?;
        let sealed =
            |(version, key_id, nonce, sealed)| Ok(SealedSecret { version: count(version)?, key_id, nonce, sealed });
        found.map(sealed).transpose()
    }

    async fn secrets(&self, after: Option<&SecretPlace>, limit: usize) -> Result<Vec<SecretSummary>, StoreError> {
        let query = "SELECT scope, owner, name, version, key_id, created_at, updated_at FROM secrets
             WHERE (scope, owner, name) > (?, ?, ?) ORDER BY scope, owner, name LIMIT ?";
        let (scope, owner, name) =
            after.map_or(("", "", ""), |after| (after.scope.as_str(), after.owner.as_str(), after.name.as_str()));
        let query = sqlx::query_as(query).bind(scope).bind(owner).bind(name).bind(number(limit as u64));
        let rows: Vec<Row> = query.fetch_all(self.reads()).await.map_err(failed)?;
        rows.into_iter().map(Row::summary).collect()
    }

    async fn delete_secret(&self, place: &SecretPlace) -> Result<bool, StoreError> {
        self.write(Delete { place: place.clone() }).await
    }
}

#[derive(FromRow)]
struct Row {
    scope: String,
    owner: String,
    name: String,
    version: i64,
    key_id: String,
    created_at: String,
    updated_at: String,
}

impl Row {
    fn summary(self) -> Result<SecretSummary, StoreError> {
        Ok(SecretSummary {
            place: SecretPlace { scope: self.scope.parse()?, owner: self.owner, name: self.name },
            version: count(self.version)?,
            key_id: self.key_id,
            created_at: from_text(&self.created_at)?,
            updated_at: from_text(&self.updated_at)?,
        })
    }
}

#[derive(Debug)]
struct Put {
    place: SecretPlace,
    sealed: SealedSecret,
    now: String,
}

#[async_trait]
impl Write for Put {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        let Self { place, sealed, now } = self;
        let connection = to.connection().await?;
        let there = "SELECT version FROM secrets WHERE scope = ? AND owner = ? AND name = ?";
        let there = sqlx::query_scalar(there).bind(place.scope.as_str()).bind(&place.owner).bind(&place.name);
        let there: Option<i64> = there.fetch_optional(&mut *connection).await.map_err(failed)?;
        let (expected, actual) = (sealed.version.saturating_sub(1), count(there.unwrap_or(0))?);
        if sealed.version == 0 || expected != actual {
            return Err(StoreError::Conflict { expected, actual });
        }
        let put = "INSERT INTO secrets (scope, owner, name, version, key_id, nonce, sealed, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
             ON CONFLICT (scope, owner, name) DO UPDATE SET version = excluded.version, key_id = excluded.key_id,
                 nonce = excluded.nonce, sealed = excluded.sealed, updated_at = excluded.updated_at";
        let put = sqlx::query(put).bind(place.scope.as_str()).bind(&place.owner).bind(&place.name);
        let put = put.bind(number(sealed.version)).bind(&sealed.key_id).bind(&sealed.nonce).bind(&sealed.sealed);
        put.bind(now).execute(connection).await.map(drop).map_err(failed)
    }
}

#[derive(Debug)]
struct Delete {
    place: SecretPlace,
}

#[async_trait]
impl Write for Delete {
    type Answer = bool;

    async fn write(&self, to: &mut Transaction<'_>) -> Result<bool, StoreError> {
        let SecretPlace { scope, owner, name } = &self.place;
        let delete = sqlx::query("DELETE FROM secrets WHERE scope = ? AND owner = ? AND name = ?");
        let delete = delete.bind(scope.as_str()).bind(owner).bind(name).execute(to.connection().await?).await;
        Ok(delete.map_err(failed)?.rows_affected() > 0)
    }
}
