//! Lists of runs.

use std::time::Duration;

use buildit::id::{RunId, TenantId};
use buildit::store::{RunFilter, RunSummary, StoreError};
use jiff::Timestamp;
use jiff_sqlx::Timestamp as Column;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::column::{searched, shown};
use super::error::failed;
use super::run::Progress;
use crate::sql::{Scope, Wanted, count, from_json, is_listed_at_once, number, wanted};

/// The columns of a run's line.
pub(super) const LINE: &str = "SELECT r.place, r.pipeline AS pipeline_place, r.id, r.tenant_id,
         (SELECT name FROM pipelines p WHERE p.place = r.pipeline) AS pipeline, r.number, r.event, r.branch,
         r.commit_id, r.message, r.author, r.pull_request, r.created_at AS listed_at, r.progress, r.duration_ms";

/// A row of [`LINE`].
#[derive(Debug, FromRow)]
pub(super) struct LineRow {
    place: i64,
    pub(super) pipeline_place: i64,
    id: Uuid,
    tenant_id: Uuid,
    pipeline: String,
    number: i64,
    event: Option<String>,
    branch: Option<String>,
    commit_id: Option<String>,
    message: Option<String>,
    author: Option<String>,
    pull_request: Option<i64>,
    listed_at: Column,
    progress: String,
    duration_ms: Option<i64>,
}

impl LineRow {
    pub(super) fn summary(self) -> Result<RunSummary, StoreError> {
        let Progress { created_at, progress } = from_json(&self.progress)?;
        Ok(RunSummary {
            id: self.id.into(),
            tenant: self.tenant_id.into(),
            number: count(self.number)?,
            pipeline: self.pipeline,
            status: progress.status,
            event: self.event.unwrap_or_default(),
            branch: self.branch.unwrap_or_default(),
            commit: self.commit_id.unwrap_or_default(),
            message: self.message.unwrap_or_default(),
            author: self.author.unwrap_or_default(),
            pull_request: self.pull_request.map(count).transpose()?,
            created_at,
            started_at: progress.started_at,
            finished_at: progress.finished_at,
            duration: self.duration_ms.map(count).transpose()?.map(Duration::from_millis),
        })
    }

    fn in_order(&self) -> (Timestamp, i64) {
        (self.listed_at.to_jiff(), self.place)
    }
}

/// The run of this number.
pub(super) async fn numbered(
    from: &mut PgConnection,
    tenant: TenantId,
    pipeline: &str,
    wanted: u64,
) -> Result<RunSummary, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new(LINE);
    query.push(" FROM pipeline_runs r JOIN pipelines p ON p.place = r.pipeline WHERE p.tenant_id = ");
    query.push_bind(tenant.as_uuid()).push(" AND p.name = ").push_bind(searched(pipeline));
    query.push(" AND r.number = ").push_bind(number(wanted));
    let found: Option<LineRow> = query.build_query_as().fetch_optional(from).await.map_err(failed)?;
    let none = || StoreError::NoSuchNumber { pipeline: pipeline.to_owned(), number: wanted };
    found.ok_or_else(none)?.summary()
}

/// Those that the filter lets through.
pub(super) async fn runs(
    from: &mut PgConnection,
    filter: &RunFilter,
    limit: usize,
) -> Result<Vec<RunSummary>, StoreError> {
    let before = match filter.before {
        Some(run) => Some(place(&mut *from, run).await?),
        None => None,
    };
    let mut rows: Vec<LineRow> = Vec::new();
    for scope in scopes(&mut *from, filter).await? {
        let mut query = list(filter, &scope, before, limit);
        rows.extend(query.build_query_as::<LineRow>().fetch_all(&mut *from).await.map_err(failed)?);
    }
    // As they come, when they are of one scope.
    rows.sort_by_key(|row| std::cmp::Reverse(row.in_order()));
    rows.into_iter().take(limit).map(LineRow::summary).collect()
}

/// Where a run lies in the list.
async fn place(from: &mut PgConnection, run: RunId) -> Result<(Column, i64), StoreError> {
    let query = sqlx::query_as("SELECT created_at, place FROM pipeline_runs WHERE id = $1").bind(run.as_uuid());
    query.fetch_optional(from).await.map_err(failed)?.ok_or(StoreError::NoRun(run))
}

/// What is gone through, one after the other.
async fn scopes(from: &mut PgConnection, filter: &RunFilter) -> Result<Vec<Scope<Uuid>>, StoreError> {
    let tenant = filter.tenant.map(|tenant| tenant.as_uuid());
    let Some(name) = &filter.pipeline else {
        return match tenant {
            Some(tenant) => Ok(vec![Scope::Tenant(tenant)]),
            None if is_listed_at_once(filter) => Ok(vec![Scope::All]),
            None => {
                let tenants: Vec<Uuid> = sqlx::query_scalar(TENANTS).fetch_all(from).await.map_err(failed)?;
                Ok(tenants.into_iter().map(Scope::Tenant).collect())
            }
        };
    };
    let mut query = QueryBuilder::<Postgres>::new("SELECT place FROM pipelines WHERE name = ");
    query.push_bind(searched(name));
    if let Some(tenant) = tenant {
        query.push(" AND tenant_id = ").push_bind(tenant);
    }
    let places: Vec<i64> = query.build_query_scalar().fetch_all(from).await.map_err(failed)?;
    Ok(places.into_iter().map(Scope::Pipeline).collect())
}

/// The tenants that have runs: a look at the index for each.
const TENANTS: &str = "WITH RECURSIVE t AS (
         (SELECT tenant_id FROM pipeline_runs ORDER BY tenant_id LIMIT 1)
         UNION ALL SELECT (SELECT r.tenant_id FROM pipeline_runs r WHERE r.tenant_id > t.tenant_id
             ORDER BY r.tenant_id LIMIT 1) FROM t WHERE t.tenant_id IS NOT NULL)
     SELECT tenant_id FROM t WHERE tenant_id IS NOT NULL";

/// The list of a scope.
fn list(
    filter: &RunFilter,
    scope: &Scope<Uuid>,
    before: Option<(Column, i64)>,
    limit: usize,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::<Postgres>::new(LINE);
    query.push(" FROM pipeline_runs r WHERE true");
    match scope {
        Scope::Pipeline(place) => drop(query.push(" AND r.pipeline = ").push_bind(*place)),
        Scope::Tenant(tenant) => drop(query.push(" AND r.tenant_id = ").push_bind(*tenant)),
        Scope::All => {}
    }
    for (column, wanted) in wanted(filter) {
        query.push(" AND r.").push(column).push(" = ");
        match wanted {
            Wanted::Text(text) => query.push_bind(shown(text)),
            Wanted::Number(number) => query.push_bind(number),
        };
    }
    if let Some((created_at, place)) = before {
        query.push(" AND (r.created_at, r.place) < (").push_bind(created_at).push(", ").push_bind(place).push(")");
    }
    query.push(" ORDER BY r.created_at DESC, r.place DESC LIMIT ").push_bind(number(limit as u64));
    query
}
