//! Policies of tenants, and turns.

use std::time::Duration;

use async_trait::async_trait;
use buildit::id::TenantId;
use buildit::store::{LogRetention, Retention, RetentionPolicy, StoreError, check_text};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Change, Records, Row, Statements, all, first, sql};
use crate::sql::{count, from_json, number, to_json};

/// What its column holds.
#[derive(Debug, Serialize, Deserialize)]
struct Config {
    runs: Retention,
    logs: LogRetention,
}

fn read_policy(row: &mut Row) -> Result<RetentionPolicy, StoreError> {
    let tenant = row.take()?;
    let Config { runs, logs } = from_json(&row.take::<String>()?)?;
    Ok(RetentionPolicy { tenant, runs, logs, version: count(row.take()?)?, updated_at: row.take()? })
}

/// Of two at once one finds another version.
#[derive(Debug)]
struct Put {
    policy: RetentionPolicy,
    config: String,
}

#[async_trait]
impl Change for Put {
    type Answer = ();

    async fn change(&self, to: &mut dyn Statements) -> Result<(), StoreError> {
        let RetentionPolicy { tenant, version, updated_at, .. } = self.policy;
        let expected = version.saturating_sub(1);
        let put = match version {
            1 => sql("INSERT INTO retention_policies (tenant_id, config, version, updated_at) VALUES ($1, $2, 1, $3)
                 ON CONFLICT (tenant_id) DO NOTHING")
            .bind(tenant)
            .bind(self.config.clone())
            .bind(updated_at),
            _ => sql("UPDATE retention_policies SET config = $3, version = version + 1, updated_at = $4
                 WHERE tenant_id = $1 AND version = $2 AND version > 0")
            .bind(tenant)
            .bind(number(expected))
            .bind(self.config.clone())
            .bind(updated_at),
        };
        if to.run(put).await? > 0 {
            return Ok(());
        }
        let there = sql("SELECT version FROM retention_policies WHERE tenant_id = $1").bind(tenant);
        let there = first(to.rows(there).await?, Row::take::<i64>)?;
        Err(StoreError::Conflict { expected, actual: there.map_or(Ok(0), count)? })
    }
}

pub(crate) async fn put_policy(store: &impl Records, policy: RetentionPolicy) -> Result<(), StoreError> {
    let config = to_json(&Config { runs: policy.runs, logs: policy.logs })?;
    store.change(Put { policy, config }).await
}

pub(crate) async fn policy(store: &impl Records, tenant: TenantId) -> Result<Option<RetentionPolicy>, StoreError> {
    let query = sql("SELECT tenant_id, config, version, updated_at FROM retention_policies WHERE tenant_id = $1");
    first(store.read(query.bind(tenant)).await?, read_policy)
}

pub(crate) async fn policies(
    store: &impl Records,
    after: Option<TenantId>,
    limit: usize,
) -> Result<Vec<RetentionPolicy>, StoreError> {
    let limit = number(limit as u64);
    let query = match after {
        None => {
            sql("SELECT tenant_id, config, version, updated_at FROM retention_policies ORDER BY tenant_id LIMIT $1")
                .bind(limit)
        }
        Some(after) => sql("SELECT tenant_id, config, version, updated_at FROM retention_policies
                 WHERE tenant_id > $1 ORDER BY tenant_id LIMIT $2")
        .bind(after)
        .bind(limit),
    };
    all(store.read(query).await?, read_policy)
}

pub(crate) async fn take_turn(
    store: &impl Records,
    work: &str,
    now: Timestamp,
    every: Duration,
) -> Result<bool, StoreError> {
    check_text("the name of the work", work)?;
    let every = SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX);
    let since = now.checked_sub(every).unwrap_or(Timestamp::MIN);
    let take = sql("INSERT INTO upkeep_turns AS t (work, taken_at) VALUES ($1, $2)
         ON CONFLICT (work) DO UPDATE SET taken_at = $2 WHERE t.taken_at <= $3 OR t.taken_at > $2");
    Ok(store.run(take.bind(work.to_owned()).bind(now).bind(since)).await? > 0)
}
