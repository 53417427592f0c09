//! Environments of tenants.

use async_trait::async_trait;
use buildit::id::TenantId;
use buildit::store::{Environment, StoreError, check_text, is_fit};
use uuid::Uuid;

use super::{Change, Records, Row, Statements, all, first, sql};
use crate::sql::{count, from_json, number, to_json};

fn read_environment(row: &mut Row) -> Result<Environment, StoreError> {
    Ok(Environment {
        tenant: row.take()?,
        name: row.take()?,
        spec: from_json(&row.take::<String>()?)?,
        version: count(row.take()?)?,
        created_at: row.take()?,
        updated_at: row.take()?,
    })
}

/// Of two at once one finds another version.
#[derive(Debug)]
struct Put {
    environment: Environment,
    spec: String,
}

#[async_trait]
impl Change for Put {
    type Answer = ();

    async fn change(&self, to: &mut dyn Statements) -> Result<(), StoreError> {
        let Environment { tenant, name, version, created_at, updated_at, .. } = &self.environment;
        let expected = version.saturating_sub(1);
        let put = match version {
            1 => sql("INSERT INTO environments (id, tenant_id, name, config, version, created_at, updated_at)
                 VALUES ($1, $2, $3, $4, 1, $5, $6) ON CONFLICT (tenant_id, name) DO NOTHING")
            .bind(Uuid::now_v7())
            .bind(*tenant)
            .bind(name.clone())
            .bind(self.spec.clone())
            .bind(*created_at)
            .bind(*updated_at),
            _ => sql("UPDATE environments SET config = $4, version = version + 1, updated_at = $5
                 WHERE tenant_id = $1 AND name = $2 AND version = $3 AND version > 0")
            .bind(*tenant)
            .bind(name.clone())
            .bind(number(expected))
            .bind(self.spec.clone())
            .bind(*updated_at),
        };
        if to.run(put).await? > 0 {
            return Ok(());
        }
        let there = sql("SELECT version FROM environments WHERE tenant_id = $1 AND name = $2");
        let there = first(to.rows(there.bind(*tenant).bind(name.clone())).await?, Row::take::<i64>)?;
        Err(StoreError::Conflict { expected, actual: there.map_or(Ok(0), count)? })
    }
}

pub(crate) async fn put_environment(store: &impl Records, environment: Environment) -> Result<(), StoreError> {
    check_text("the name of an environment", &environment.name)?;
    let spec = to_json(&environment.spec)?;
    store.change(Put { environment, spec }).await
}

pub(crate) async fn environment(
    store: &impl Records,
    tenant: TenantId,
    name: &str,
) -> Result<Option<Environment>, StoreError> {
    // No column holds such a name.
    if !is_fit(name) {
        return Ok(None);
    }
    let query = sql("SELECT tenant_id, name, config, version, created_at, updated_at FROM environments
         WHERE tenant_id = $1 AND name = $2");
    first(store.read(query.bind(tenant).bind(name.to_owned())).await?, read_environment)
}

pub(crate) async fn environments(
    store: &impl Records,
    tenant: TenantId,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Environment>, StoreError> {
    let after = after.unwrap_or_default().replace('\0', "");
    let query = sql("SELECT tenant_id, name, config, version, created_at, updated_at FROM environments
         WHERE tenant_id = $1 AND name > $2 ORDER BY name LIMIT $3");
    all(store.read(query.bind(tenant).bind(after).bind(number(limit as u64))).await?, read_environment)
}

pub(crate) async fn delete_environment(store: &impl Records, tenant: TenantId, name: &str) -> Result<bool, StoreError> {
    if !is_fit(name) {
        return Ok(false);
    }
    let delete = sql("DELETE FROM environments WHERE tenant_id = $1 AND name = $2");
    Ok(store.run(delete.bind(tenant).bind(name.to_owned())).await? > 0)
}
