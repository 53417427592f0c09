//! Lists of runs.

use std::cmp::Reverse;
use std::time::Duration;

use buildit::id::{RunId, TenantId};
use buildit::store::{RunFilter, RunSummary, StoreError};
use sqlx::{FromRow, QueryBuilder, Sqlite, SqlitePool};

use super::error::failed;
use super::pipeline::{tenant_of, tenant_text};
use super::run::run_id;
use crate::sql::{Scope, Wanted, count, from_text, is_listed_at_once, number, run_status, wanted};

/// A run's line. The pipeline is looked up by itself, so that the runs are what is gone through.
pub(super) const LINE: &str = "SELECT r.place, r.pipeline AS pipeline_place, r.id, r.tenant_id,
         (SELECT name FROM pipelines WHERE place = r.pipeline) AS pipeline, r.number, r.status, r.event, r.branch,
         r.commit_id, r.message, r.author, r.pull_request, r.created_at, r.started_at, r.finished_at, r.duration_ms
     FROM pipeline_runs r";

/// A row of [`LINE`].
#[derive(Debug, FromRow)]
pub(super) struct LineRow {
    place: i64,
    pub(super) pipeline_place: i64,
    id: String,
    tenant_id: String,
    pipeline: String,
    number: i64,
    status: String,
    event: Option<String>,
    branch: Option<String>,
    commit_id: Option<String>,
    message: Option<String>,
    author: Option<String>,
    pull_request: Option<i64>,
    created_at: String,
    started_at: Option<String>,
    finished_at: Option<String>,
    duration_ms: Option<i64>,
}

impl LineRow {
    pub(super) fn summary(self) -> Result<RunSummary, StoreError> {
        Ok(RunSummary {
            id: run_id(&self.id)?,
            tenant: tenant_of(&self.tenant_id)?,
            number: count(self.number)?,
            pipeline: self.pipeline,
            status: run_status(&self.status)?,
            event: self.event.unwrap_or_default(),
            branch: self.branch.unwrap_or_default(),
            commit: self.commit_id.unwrap_or_default(),
            message: self.message.unwrap_or_default(),
            author: self.author.unwrap_or_default(),
            pull_request: self.pull_request.map(count).transpose()?,
            created_at: from_text(&self.created_at)?,
            started_at: self.started_at.as_deref().map(from_text).transpose()?,
            finished_at: self.finished_at.as_deref().map(from_text).transpose()?,
            duration: self.duration_ms.map(count).transpose()?.map(Duration::from_millis),
        })
    }
}

/// The run of this number.
pub(super) async fn numbered(
    from: &SqlitePool,
    tenant: TenantId,
    pipeline: &str,
    wanted: u64,
) -> Result<RunSummary, StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new(LINE);
    query.push(" WHERE r.pipeline = (SELECT place FROM pipelines WHERE tenant_id = ").push_bind(tenant_text(tenant));
    query.push(" AND name = ").push_bind(pipeline).push(") AND r.number = ").push_bind(number(wanted));
    let found: Option<LineRow> = query.build_query_as().fetch_optional(from).await.map_err(failed)?;
    let none = || StoreError::NoSuchNumber { pipeline: pipeline.to_owned(), number: wanted };
    found.ok_or_else(none)?.summary()
}

/// Those that the filter lets through.
pub(super) async fn runs(from: &SqlitePool, filter: &RunFilter, limit: usize) -> Result<Vec<RunSummary>, StoreError> {
    let before = match filter.before {
        Some(run) => Some(place(from, run).await?),
        None => None,
    };
    let mut rows = Vec::new();
    for scope in scopes(from, filter).await? {
        let mut query = list(filter, &scope, before.as_ref(), limit);
        rows.extend(query.build_query_as::<LineRow>().fetch_all(from).await.map_err(failed)?);
    }
    // As they come, when they are of one scope.
    rows.sort_by(|one, two| {
        (Reverse(&one.created_at), Reverse(one.place)).cmp(&(Reverse(&two.created_at), Reverse(two.place)))
    });
    rows.into_iter().take(limit).map(LineRow::summary).collect()
}

/// Where a run lies in the list.
async fn place(from: &SqlitePool, run: RunId) -> Result<(String, i64), StoreError> {
    let query = sqlx::query_as("SELECT created_at, place FROM pipeline_runs WHERE id = ?").bind(run.to_string());
    query.fetch_optional(from).await.map_err(failed)?.ok_or(StoreError::NoRun(run))
}

/// What is gone through, one after the other.
async fn scopes(from: &SqlitePool, filter: &RunFilter) -> Result<Vec<Scope<String>>, StoreError> {
    let tenant = filter.tenant.map(tenant_text);
    let Some(name) = &filter.pipeline else {
        return match tenant {
            Some(tenant) => Ok(vec![Scope::Tenant(tenant)]),
            None if is_listed_at_once(filter) => Ok(vec![Scope::All]),
            None => {
                let tenants: Vec<String> = sqlx::query_scalar(TENANTS).fetch_all(from).await.map_err(failed)?;
                Ok(tenants.into_iter().map(Scope::Tenant).collect())
            }
        };
    };
    let mut query = QueryBuilder::<Sqlite>::new("SELECT place FROM pipelines WHERE name = ");
    query.push_bind(name);
    if let Some(tenant) = tenant {
        query.push(" AND tenant_id = ").push_bind(tenant);
    }
    let places: Vec<i64> = query.build_query_scalar().fetch_all(from).await.map_err(failed)?;
    Ok(places.into_iter().map(Scope::Pipeline).collect())
}

/// The tenants that have runs: a look at the index for each.
const TENANTS: &str = "WITH RECURSIVE t(id) AS (
         SELECT min(tenant_id) FROM pipeline_runs
         UNION ALL SELECT (SELECT min(tenant_id) FROM pipeline_runs WHERE tenant_id > t.id) FROM t WHERE id IS NOT NULL)
     SELECT id FROM t WHERE id IS NOT NULL";

/// The list of a scope. Each column has a `+` before it that the index need not hold: with it that index is taken whose order
/// is that of the list.
fn list(
    filter: &RunFilter,
    scope: &Scope<String>,
    before: Option<&(String, i64)>,
    limit: usize,
) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::<Sqlite>::new(LINE);
    query.push(" WHERE 1");
    match scope {
        Scope::Pipeline(place) => drop(query.push(" AND r.pipeline = ").push_bind(*place)),
        Scope::Tenant(tenant) => drop(query.push(" AND r.tenant_id = ").push_bind(tenant.clone())),
        Scope::All => {}
    }
    let mut leads = true;
    for (column, wanted) in wanted(filter) {
        query.push(if leads { " AND r." } else { " AND +r." }).push(column).push(" = ");
        match wanted {
            Wanted::Text(text) => query.push_bind(text.to_owned()),
            Wanted::Number(number) => query.push_bind(number),
        };
        leads = false;
    }
    if let Some((created_at, place)) = before {
        query
            .push(" AND (r.created_at, r.place) < (")
            .push_bind(created_at.clone())
            .push(", ")
            .push_bind(*place)
            .push(")");
    }
    query.push(" ORDER BY r.created_at DESC, r.place DESC LIMIT ").push_bind(number(limit as u64));
    query
}

#[cfg(test)]
mod tests {
    use buildit::event::RunStatus;
    use sqlx::Row;

    use super::super::SqliteStore;
    use super::*;

    /// How the database goes about a list.
    async fn plan(store: &SqliteStore, filter: &RunFilter, before: Option<&(String, i64)>) -> Vec<String> {
        let scope = match (&filter.pipeline, filter.tenant) {
            (Some(_), _) => Scope::Pipeline(1),
            (None, None) if is_listed_at_once(filter) => Scope::All,
            (None, tenant) => Scope::Tenant(tenant_text(tenant.unwrap_or(TenantId::NONE))),
        };
        let text = list(filter, &scope, before, 50).into_string();
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
        let rows = sqlx::query(explain).fetch_all(store.reads()).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>("detail")).collect()
    }

    #[tokio::test]
    async fn no_list_grows_with_the_table() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("runs.db")).await.unwrap();
        let all = RunFilter::default;
        let narrowed = [
            ("", all()),
            ("_by_status", RunFilter { status: Some(RunStatus::Failed), ..all() }),
            ("_by_branch", RunFilter { branch: Some("main".into()), ..all() }),
            ("_by_commit", RunFilter { commit: Some("0123".into()), ..all() }),
            ("_by_author", RunFilter { author: Some("ada".into()), ..all() }),
            ("_by_pull_request", RunFilter { pull_request: Some(7), ..all() }),
            ("_by_event", RunFilter { event: Some("push".into()), ..all() }),
        ];
        let tenant = Some(TenantId::new());
        let pipeline = Some("shop".to_owned());
        for (by, filter) in narrowed {
            let of = |name: &str| format!("pipeline_runs{name}{by}");
            let of_all = match by {
                "" => "pipeline_runs_by_time".to_owned(),
                "_by_status" => of(""),
                _ => of("_of_tenant"),
            };
            let cases = [
                (of_all, filter.clone()),
                (of("_of_pipeline"), RunFilter { pipeline: pipeline.clone(), ..filter.clone() }),
                (of("_of_pipeline"), RunFilter { tenant, pipeline: pipeline.clone(), ..filter.clone() }),
                (of("_of_tenant"), RunFilter { tenant, ..filter }),
            ];
            for (index, filter) in cases {
                for before in [None, Some(("2026".to_owned(), 1))] {
                    let plan = plan(&store, &filter, before.as_ref()).await;
                    let uses = format!(" {index} ");
                    assert!(
                        plan.iter().any(|step| format!("{step} ").contains(&uses)),
                        "{filter:?}: {plan:#?} instead of {index}"
                    );
                    assert!(plan.iter().all(|step| !step.contains("TEMP B-TREE")), "{filter:?}: {plan:#?}");
                }
            }
        }
    }
}
