//! Pipelines.

use std::collections::HashMap;

use async_trait::async_trait;
use buildit::id::{Digest, PipelineId, RunId, TenantId};
use buildit::pipeline::PipelineSpec;
use buildit::store::{
    NewPipeline, PipelineChange, PipelineFilter, PipelineLine, PipelineStage, PipelineStore, RunStore, RunSummary,
    StoreError, StoredPipeline,
};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use sqlx::{FromRow, QueryBuilder, Sqlite, SqliteConnection};

use super::SqliteStore;
use super::error::failed;
use super::line::{LINE, LineRow};
use super::run::run_id;
use super::transaction::Transaction;
use super::writer::Write;
use crate::sql::{count, from_json, from_text, number, to_json, to_text};

/// How many runs of a pipeline that is deleted go in one transaction.
const PIECE: i64 = 16;

const PIPELINE: &str = "SELECT place, id, tenant_id, name, source, version, settings, created_at, updated_at
     FROM pipelines WHERE id IS NOT NULL";

#[async_trait]
impl PipelineStore for SqliteStore {
    async fn create_pipeline(&self, new: NewPipeline) -> Result<StoredPipeline, StoreError> {
        let pipeline = StoredPipeline::of_new(new, PipelineId::new());
        self.write(Create(pipeline.clone())).await?;
        Ok(pipeline)
    }

    async fn pipeline(&self, id: PipelineId) -> Result<StoredPipeline, StoreError> {
        self.known(id).await?.pipeline()
    }

    async fn pipeline_named(&self, tenant: TenantId, name: &str) -> Result<StoredPipeline, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(PIPELINE);
        query.push(" AND tenant_id = ").push_bind(tenant_text(tenant)).push(" AND name = ").push_bind(name);
        let row: Option<Row> = query.build_query_as().fetch_optional(self.reads()).await.map_err(failed)?;
        row.ok_or_else(|| StoreError::NotFound(format!("pipeline `{name}`")))?.pipeline()
    }

    async fn update_pipeline(
        &self,
        id: PipelineId,
        expected_version: u64,
        change: PipelineChange,
        now: Timestamp,
    ) -> Result<StoredPipeline, StoreError> {
        self.write(Update { id, expected_version, change, now }).await
    }

    async fn pipelines(&self, filter: &PipelineFilter, limit: usize) -> Result<Vec<PipelineLine>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(PIPELINE);
        query.push(" AND tenant_id = ").push_bind(tenant_text(filter.tenant));
        if let Some(after) = &filter.after {
            query.push(" AND name > ").push_bind(after);
        }
        if let Some(search) = &filter.search {
            query.push(" AND instr(folded, ").push_bind(search.to_lowercase()).push(") > 0");
        }
        if let Some(repository) = filter.repository {
            query.push(" AND repository_id = ").push_bind(repository.to_string());
        }
        query.push(" ORDER BY name LIMIT ").push_bind(number(limit as u64));
        let rows: Vec<Row> = query.build_query_as().fetch_all(self.reads()).await.map_err(failed)?;
        let mut last = self.last_runs(&rows).await?;
        let line = |row: Row| {
            let last_run = last.remove(&row.place);
            Ok(PipelineLine { pipeline: row.pipeline()?, last_run })
        };
        rows.into_iter().map(line).collect()
    }

    async fn delete_pipeline(&self, id: PipelineId) -> Result<(), StoreError> {
        loop {
            let place = self.known(id).await?.place;
            let open = sqlx::query_scalar("SELECT id FROM pipeline_runs WHERE pipeline = ? AND closed = 0 LIMIT 1");
            let open: Option<String> = open.bind(place).fetch_optional(self.reads()).await.map_err(failed)?;
            if let Some(open) = open {
                return Err(StoreError::NotEnded(run_id(&open)?));
            }
            let piece = sqlx::query_scalar("SELECT id FROM pipeline_runs WHERE pipeline = ? LIMIT ?");
            let piece: Vec<String> = piece.bind(place).bind(PIECE).fetch_all(self.reads()).await.map_err(failed)?;
            if piece.is_empty() {
                if self.write(Forget { place }).await? {
                    return Ok(());
                }
                continue;
            }
            let piece: Vec<RunId> = piece.iter().map(|run| run_id(run)).collect::<Result<_, _>>()?;
            try_join_all(piece.into_iter().map(|run| self.delete_if_there(run))).await?;
        }
    }

    async fn pipeline_stages(
        &self,
        id: PipelineId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<PipelineStage>, StoreError> {
        let place = self.known(id).await?.place;
        let query = "SELECT stage_name, position, needs FROM pipeline_stages
             WHERE pipeline = ? AND position > ? ORDER BY position LIMIT ?";
        let query = sqlx::query_as(query).bind(place).bind(after.map_or(-1, number)).bind(number(limit as u64));
        let rows: Vec<(String, i64, String)> = query.fetch_all(self.reads()).await.map_err(failed)?;
        let stage = |(name, position, needs): (String, i64, String)| {
            Ok(PipelineStage { name: name.into(), position: count(position)?, needs: from_json(&needs)? })
        };
        rows.into_iter().map(stage).collect()
    }
}

impl SqliteStore {
    async fn known(&self, id: PipelineId) -> Result<Row, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(PIPELINE);
        query.push(" AND id = ").push_bind(id.to_string());
        let row = query.build_query_as().fetch_optional(self.reads()).await.map_err(failed)?;
        row.ok_or_else(|| StoreError::NotFound(format!("pipeline {id}")))
    }

    /// The latest runs of these pipelines, by their places.
    async fn last_runs(&self, of: &[Row]) -> Result<HashMap<i64, RunSummary>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(LINE);
        query.push(
            " WHERE r.place IN (SELECT (SELECT place FROM pipeline_runs WHERE pipeline = j.value
             ORDER BY created_at DESC, place DESC LIMIT 1) FROM json_each(",
        );
        query.push_bind(to_json(&of.iter().map(|row| row.place).collect::<Vec<_>>())?).push(") j)");
        let rows: Vec<LineRow> = query.build_query_as().fetch_all(self.reads()).await.map_err(failed)?;
        rows.into_iter().map(|row| Ok((row.pipeline_place, row.summary()?))).collect()
    }

    async fn delete_if_there(&self, run: RunId) -> Result<(), StoreError> {
        match self.delete_run(run).await {
            // Somebody else was quicker.
            Err(StoreError::NoRun(_)) => Ok(()),
            deleted => deleted,
        }
    }
}

#[derive(Debug, FromRow)]
struct Row {
    place: i64,
    id: String,
    tenant_id: String,
    name: String,
    source: String,
    version: i64,
    settings: String,
    created_at: String,
    updated_at: String,
}

impl Row {
    fn pipeline(self) -> Result<StoredPipeline, StoreError> {
        let id = self.id.parse().map_err(|_| StoreError::Corrupt(format!("`{}` is no id of a pipeline", self.id)))?;
        Ok(StoredPipeline {
            id,
            tenant: tenant_of(&self.tenant_id)?,
            name: self.name,
            source: from_json(&self.source)?,
            version: count(self.version)?,
            settings: from_json(&self.settings)?,
            created_at: from_text(&self.created_at)?,
            updated_at: from_text(&self.updated_at)?,
        })
    }
}

/// A tenant in the tables of pipelines and runs, where nobody is empty.
pub(super) fn tenant_text(tenant: TenantId) -> String {
    if tenant.is_none() { String::new() } else { tenant.to_string() }
}

/// A tenant out of them.
pub(super) fn tenant_of(text: &str) -> Result<TenantId, StoreError> {
    match text {
        "" => Ok(TenantId::NONE),
        text => text.parse().map_err(|_| StoreError::Corrupt(format!("`{text}` is no id of a tenant"))),
    }
}

#[derive(Debug)]
struct Create(StoredPipeline);

#[async_trait]
impl Write for Create {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        let new = &self.0;
        let create =
            "INSERT INTO pipelines (id, tenant_id, name, folded, version, source, settings, created_at, updated_at,
                 repository_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9)
             ON CONFLICT (tenant_id, name) DO UPDATE SET id = excluded.id, folded = excluded.folded,
                 version = excluded.version, source = excluded.source, settings = excluded.settings,
                 created_at = excluded.created_at, updated_at = excluded.updated_at,
                 repository_id = excluded.repository_id
             WHERE pipelines.id IS NULL";
        let create = sqlx::query(create).bind(new.id.to_string()).bind(tenant_text(new.tenant)).bind(&new.name);
        let create = create.bind(new.name.to_lowercase()).bind(number(new.version)).bind(to_json(&new.source)?);
        let create = create.bind(to_json(&new.settings)?).bind(to_text(new.created_at));
        let create = create.bind(new.source.repository().map(|repository| repository.to_string()));
        let created = create.execute(to.connection().await?).await.map_err(failed)?;
        if created.rows_affected() == 0 { Err(StoreError::Taken(format!("the name `{}`", new.name))) } else { Ok(()) }
    }
}

#[derive(Debug)]
struct Update {
    id: PipelineId,
    expected_version: u64,
    change: PipelineChange,
    now: Timestamp,
}

#[async_trait]
impl Write for Update {
    type Answer = StoredPipeline;

    async fn write(&self, to: &mut Transaction<'_>) -> Result<StoredPipeline, StoreError> {
        let connection = to.connection().await?;
        let mut known = QueryBuilder::<Sqlite>::new(PIPELINE);
        known.push(" AND id = ").push_bind(self.id.to_string());
        let known: Option<Row> = known.build_query_as().fetch_optional(&mut *connection).await.map_err(failed)?;
        let known = known.ok_or_else(|| StoreError::NotFound(format!("pipeline {}", self.id)))?;
        let place = known.place;
        let new = known.pipeline()?.changed(self.expected_version, self.change.clone(), self.now)?;
        let other = sqlx::query_scalar("SELECT place FROM pipelines WHERE tenant_id = ? AND name = ? AND place <> ?");
        let other = other.bind(tenant_text(new.tenant)).bind(&new.name).bind(place);
        let other: Option<i64> = other.fetch_optional(&mut *connection).await.map_err(failed)?;
        if other.is_some() {
            return Err(StoreError::Taken(format!("the name `{}`", new.name)));
        }
        let update = "UPDATE pipelines SET name = ?, folded = ?, version = ?, source = ?, settings = ?, updated_at = ?,
                 repository_id = ? WHERE place = ?";
        let update = sqlx::query(update).bind(&new.name).bind(new.name.to_lowercase()).bind(number(new.version));
        let update = update.bind(to_json(&new.source)?).bind(to_json(&new.settings)?).bind(to_text(new.updated_at));
        let update = update.bind(new.source.repository().map(|repository| repository.to_string()));
        update.bind(place).execute(connection).await.map_err(failed)?;
        Ok(new)
    }
}

#[derive(Debug)]
struct Forget {
    place: i64,
}

#[async_trait]
impl Write for Forget {
    /// Whether it had no runs.
    type Answer = bool;

    async fn write(&self, to: &mut Transaction<'_>) -> Result<bool, StoreError> {
        let forget = "DELETE FROM pipelines
             WHERE place = ?1 AND NOT EXISTS (SELECT 1 FROM pipeline_runs WHERE pipeline = ?1)";
        let forgotten = sqlx::query(forget).bind(self.place).execute(to.connection().await?).await.map_err(failed)?;
        Ok(forgotten.rows_affected() > 0)
    }
}

/// The stages of a plan, as the table of them has them.
#[derive(Debug)]
pub(super) struct Stages {
    /// JSON: a list.
    stages: String,
    /// The digest of it, which says whether they are those that are there.
    pub(super) digest: String,
}

impl Stages {
    pub(super) fn of(plan: &PipelineSpec) -> Result<Self, StoreError> {
        let stages = to_json(&PipelineStage::all_of(plan))?;
        let digest = Digest::of(stages.as_bytes()).to_hex();
        Ok(Self { stages, digest })
    }

    /// Puts them in the place of those that the pipeline had.
    pub(super) async fn keep(&self, to: &mut SqliteConnection, pipeline: i64) -> Result<(), StoreError> {
        let delete = sqlx::query("DELETE FROM pipeline_stages WHERE pipeline = ?").bind(pipeline);
        delete.execute(&mut *to).await.map_err(failed)?;
        let insert = "INSERT INTO pipeline_stages (pipeline, position, stage_name, needs)
             SELECT ?, value ->> '$.position', value ->> '$.name', value -> '$.needs' FROM json_each(?)";
        let insert = sqlx::query(insert).bind(pipeline).bind(&self.stages);
        insert.execute(&mut *to).await.map_err(failed)?;
        let note = sqlx::query("UPDATE pipelines SET stages = ? WHERE place = ?").bind(&self.digest).bind(pipeline);
        note.execute(to).await.map(drop).map_err(failed)
    }
}
