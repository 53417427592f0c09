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
use crate::sql::{Wanted, count, from_json, number, wanted};

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
    for pipeline in pipelines(&mut *from, filter).await? {
        let mut query = list(filter, pipeline, before, limit);
        rows.extend(query.build_query_as::<LineRow>().fetch_all(&mut *from).await.map_err(failed)?);
    }
    // As they come, when they are of one pipeline or of all.
    rows.sort_by_key(|row| std::cmp::Reverse(row.in_order()));
    rows.into_iter().take(limit).map(LineRow::summary).collect()
}

/// Where a run lies in the list.
async fn place(from: &mut PgConnection, run: RunId) -> Result<(Column, i64), StoreError> {
    let query = sqlx::query_as("SELECT created_at, place FROM pipeline_runs WHERE id = $1").bind(run.as_uuid());
    query.fetch_optional(from).await.map_err(failed)?.ok_or(StoreError::NoRun(run))
}

/// The places of the pipelines that are meant, each of which is asked for its runs; `None` for whatever pipeline.
async fn pipelines(from: &mut PgConnection, filter: &RunFilter) -> Result<Vec<Option<i64>>, StoreError> {
    let Some(name) = &filter.pipeline else { return Ok(vec![None]) };
    let mut query = QueryBuilder::<Postgres>::new("SELECT place FROM pipelines WHERE name = ");
    query.push_bind(searched(name));
    if let Some(tenant) = filter.tenant {
        query.push(" AND tenant_id = ").push_bind(tenant.as_uuid());
    }
    query.build_query_scalar().fetch_all(from).await.map_err(failed)
}

/// The list of a pipeline, or of all.
fn list(
    filter: &RunFilter,
    pipeline: Option<i64>,
    before: Option<(Column, i64)>,
    limit: usize,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::<Postgres>::new(LINE);
    query.push(" FROM pipeline_runs r WHERE true");
    match (pipeline, filter.tenant) {
        (Some(pipeline), _) => drop(query.push(" AND r.pipeline = ").push_bind(pipeline)),
        (None, Some(tenant)) => drop(query.push(" AND r.tenant_id = ").push_bind(tenant.as_uuid())),
        (None, None) => {}
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
