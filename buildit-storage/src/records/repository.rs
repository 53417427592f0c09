//! Repositories of tenants.

use async_trait::async_trait;
use buildit::id::{RepositoryId, TenantId};
use buildit::store::{Fetch, Repository, StoreError, Webhook, check_repository, is_fit};
use jiff::Timestamp;

use super::{Change, Records, Row, Statements, all, first, fit, sql};
use crate::sql::{count, from_json, number, to_json};

fn read_repository(row: &mut Row) -> Result<Repository, StoreError> {
    Ok(Repository {
        id: row.take()?,
        tenant: row.take()?,
        name: row.take()?,
        url: row.take()?,
        settings: from_json(&row.take::<String>()?)?,
        last_fetch: {
            let (at, error) = (row.take::<Option<Timestamp>>()?, row.take()?);
            at.map(|at| Fetch { at, error })
        },
        webhook: row.take::<Option<String>>()?.as_deref().map(from_json).transpose()?,
        version: count(row.take()?)?,
        created_at: row.take()?,
        updated_at: row.take()?,
    })
}

/// Of two at once one finds another version.
#[derive(Debug)]
struct Put {
    repository: Repository,
    settings: String,
}

#[async_trait]
impl Change for Put {
    type Answer = ();

    async fn change(&self, to: &mut dyn Statements) -> Result<(), StoreError> {
        let Repository { id, tenant, name, url, version, created_at, updated_at, .. } = &self.repository;
        let expected = version.saturating_sub(1);
        let put = match version {
            1 => sql("INSERT INTO repositories (id, tenant_id, name, url, settings, version, created_at, updated_at)
                 VALUES ($1, $2, $3, $4, $5, 1, $6, $7) ON CONFLICT (id) DO NOTHING")
            .bind(*id)
            .bind(*tenant)
            .bind(name.clone())
            .bind(url.clone())
            .bind(self.settings.clone())
            .bind(*created_at)
            .bind(*updated_at),
            _ => {
                sql("UPDATE repositories SET name = $3, url = $4, settings = $5, version = version + 1, updated_at = $6
                 WHERE id = $1 AND version = $2 AND version > 0")
                .bind(*id)
                .bind(number(expected))
                .bind(name.clone())
                .bind(url.clone())
                .bind(self.settings.clone())
                .bind(*updated_at)
            }
        };
        if to.run(put.or_taken("the name or the address of the repository".into())).await? > 0 {
            return Ok(());
        }
        let there = to.rows(sql("SELECT version FROM repositories WHERE id = $1").bind(*id)).await?;
        let there = first(there, Row::take::<i64>)?;
        Err(StoreError::Conflict { expected, actual: there.map_or(Ok(0), count)? })
    }
}

pub(crate) async fn put_repository(store: &impl Records, repository: Repository) -> Result<(), StoreError> {
    check_repository(&repository)?;
    let settings = to_json(&repository.settings)?;
    store.change(Put { repository, settings }).await
}

pub(crate) async fn repository(store: &impl Records, id: RepositoryId) -> Result<Option<Repository>, StoreError> {
    let query = sql(
        "SELECT id, tenant_id, name, url, settings, fetched_at, fetch_error, webhook, version, created_at, updated_at
         FROM repositories WHERE id = $1",
    );
    first(store.read(query.bind(id)).await?, read_repository)
}

pub(crate) async fn repository_at(
    store: &impl Records,
    tenant: TenantId,
    url: &str,
) -> Result<Option<Repository>, StoreError> {
    // No column holds such an address.
    if !is_fit(url) {
        return Ok(None);
    }
    let query = sql(
        "SELECT id, tenant_id, name, url, settings, fetched_at, fetch_error, webhook, version, created_at, updated_at
         FROM repositories WHERE tenant_id = $1 AND url = $2",
    );
    first(store.read(query.bind(tenant).bind(url.to_owned())).await?, read_repository)
}

pub(crate) async fn repositories(
    store: &impl Records,
    tenant: TenantId,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Repository>, StoreError> {
    let after = after.unwrap_or_default().replace('\0', "");
    let query = sql(
        "SELECT id, tenant_id, name, url, settings, fetched_at, fetch_error, webhook, version, created_at, updated_at
         FROM repositories WHERE tenant_id = $1 AND name > $2 ORDER BY name LIMIT $3",
    );
    all(store.read(query.bind(tenant).bind(after).bind(number(limit as u64))).await?, read_repository)
}

pub(crate) async fn note_fetch(store: &impl Records, id: RepositoryId, fetch: Fetch) -> Result<(), StoreError> {
    let note = sql("UPDATE repositories SET fetched_at = $2, fetch_error = $3 WHERE id = $1");
    store.run(note.bind(id).bind(fetch.at).bind(fetch.error.map(fit))).await.map(drop)
}

pub(crate) async fn note_webhook(
    store: &impl Records,
    id: RepositoryId,
    webhook: Option<Webhook>,
) -> Result<(), StoreError> {
    // In JSON a NUL is an escape.
    let webhook = webhook.as_ref().map(to_json).transpose()?;
    let note = sql("UPDATE repositories SET webhook = $2 WHERE id = $1");
    store.run(note.bind(id).bind(webhook)).await.map(drop)
}

pub(crate) async fn delete_repository(store: &impl Records, id: RepositoryId) -> Result<bool, StoreError> {
    Ok(store.run(sql("DELETE FROM repositories WHERE id = $1").bind(id)).await? > 0)
}
