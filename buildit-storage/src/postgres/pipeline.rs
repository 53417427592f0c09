//! Pipelines.

use std::collections::HashMap;

use async_trait::async_trait;
use buildit::id::{Digest, PipelineId, RunId, TenantId};
use buildit::pipeline::PipelineSpec;
use buildit::store::{
    NewPipeline, PipelineChange, PipelineFilter, PipelineLine, PipelineStage, PipelineStore, RunStore, RunSummary,
    StoreError, StoredPipeline,
};
use jiff::Timestamp;
use jiff_sqlx::Timestamp as Column;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::PostgresStore;
use super::column::{down, searched};
use super::error::{failed, has_constraint};
use super::line::{LINE, LineRow};
use super::run::check_name;
use super::transaction::Write;
use crate::sql::{count, from_json, number, to_json};

/// How many runs of a pipeline that is deleted are looked for at once.
const PIECE: i64 = 100;

/// What no two pipelines of a tenant share.
const NAME: &str = "pipelines_tenant_id_name_key";

const PIPELINE: &str = "SELECT place, id, tenant_id, name, source, version, settings, created_at, updated_at
     FROM pipelines WHERE id IS NOT NULL";

#[async_trait]
impl PipelineStore for PostgresStore {
    async fn create_pipeline(&self, new: NewPipeline) -> Result<StoredPipeline, StoreError> {
        check_name(&new.name)?;
        // As it is read.
        let created_at = down(new.created_at).to_jiff();
        let pipeline = StoredPipeline::of_new(NewPipeline { created_at, ..new }, PipelineId::new());
        self.write(Create(&pipeline)).await?;
        Ok(pipeline)
    }

    async fn pipeline(&self, id: PipelineId) -> Result<StoredPipeline, StoreError> {
        known(&mut *self.reads().await?, id, "").await?.pipeline()
    }

    async fn pipeline_named(&self, tenant: TenantId, name: &str) -> Result<StoredPipeline, StoreError> {
        let mut query = QueryBuilder::<Postgres>::new(PIPELINE);
        query.push(" AND tenant_id = ").push_bind(tenant.as_uuid()).push(" AND name = ").push_bind(searched(name));
        let row: Option<Row> =
            query.build_query_as().fetch_optional(&mut *self.reads().await?).await.map_err(failed)?;
        row.ok_or_else(|| StoreError::NotFound(format!("pipeline `{name}`")))?.pipeline()
    }

    async fn update_pipeline(
        &self,
        id: PipelineId,
        expected_version: u64,
        change: PipelineChange,
        now: Timestamp,
    ) -> Result<StoredPipeline, StoreError> {
        change.name.as_deref().map_or(Ok(()), check_name)?;
        // As it is read.
        let now = down(now).to_jiff();
        self.write(Update { id, expected_version, change, now }).await
    }

    async fn pipelines(&self, filter: &PipelineFilter, limit: usize) -> Result<Vec<PipelineLine>, StoreError> {
        let mut query = QueryBuilder::<Postgres>::new(PIPELINE);
        query.push(" AND tenant_id = ").push_bind(filter.tenant.as_uuid());
        if let Some(after) = &filter.after {
            query.push(" AND name COLLATE \"C\" > ").push_bind(searched(after));
        }
        if let Some(search) = &filter.search {
            query.push(" AND strpos(folded, ").push_bind(searched(&search.to_lowercase())).push(") > 0");
        }
        if let Some(repository) = filter.repository {
            query.push(" AND repository_id = ").push_bind(repository.as_uuid());
        }
        query.push(" ORDER BY name COLLATE \"C\" LIMIT ").push_bind(number(limit as u64));
        let mut reads = self.reads().await?;
        let rows: Vec<Row> = query.build_query_as().fetch_all(&mut *reads).await.map_err(failed)?;
        let mut last = last_runs(&mut reads, &rows).await?;
        let line = |row: Row| {
            let last_run = last.remove(&row.place);
            Ok(PipelineLine { pipeline: row.pipeline()?, last_run })
        };
        rows.into_iter().map(line).collect()
    }

    async fn delete_pipeline(&self, id: PipelineId) -> Result<(), StoreError> {
        loop {
            let mut reads = self.reads().await?;
            let place = known(&mut reads, id, "").await?.place;
            let open = sqlx::query_scalar("SELECT id FROM pipeline_runs WHERE pipeline = $1 AND NOT closed LIMIT 1");
            let open: Option<Uuid> = open.bind(place).fetch_optional(&mut *reads).await.map_err(failed)?;
            if let Some(open) = open {
                return Err(StoreError::NotEnded(open.into()));
            }
            let piece = sqlx::query_scalar("SELECT id FROM pipeline_runs WHERE pipeline = $1 LIMIT $2");
            let piece: Vec<Uuid> = piece.bind(place).bind(PIECE).fetch_all(&mut *reads).await.map_err(failed)?;
            drop(reads);
            if piece.is_empty() && self.write(Forget { id }).await? {
                return Ok(());
            }
            for run in piece {
                match self.delete_run(RunId::from(run)).await {
                    // Somebody else was quicker.
                    Ok(()) | Err(StoreError::NoRun(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    async fn pipeline_stages(
        &self,
        id: PipelineId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<PipelineStage>, StoreError> {
        let mut reads = self.reads().await?;
        let place = known(&mut reads, id, "").await?.place;
        let query = "SELECT stage_name, position, needs FROM pipeline_stages
             WHERE pipeline = $1 AND position > $2 ORDER BY position LIMIT $3";
        let query = sqlx::query_as(query).bind(place).bind(after.map_or(-1, number)).bind(number(limit as u64));
        let rows: Vec<(String, i64, String)> = query.fetch_all(&mut *reads).await.map_err(failed)?;
        let stage = |(name, position, needs): (String, i64, String)| {
            Ok(PipelineStage { name: name.into(), position: count(position)?, needs: from_json(&needs)? })
        };
        rows.into_iter().map(stage).collect()
    }
}

/// A pipeline that is kept; `lock` is how it is locked.
async fn known(from: &mut PgConnection, id: PipelineId, lock: &'static str) -> Result<Row, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new(PIPELINE);
    query.push(" AND id = ").push_bind(id.as_uuid()).push(lock);
    let row = query.build_query_as().fetch_optional(from).await.map_err(failed)?;
    row.ok_or_else(|| StoreError::NotFound(format!("pipeline {id}")))
}

/// The latest runs of these pipelines, by their places.
async fn last_runs(from: &mut PgConnection, of: &[Row]) -> Result<HashMap<i64, RunSummary>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new(LINE);
    query.push(" FROM unnest(").push_bind(of.iter().map(|row| row.place).collect::<Vec<_>>());
    query.push(
        "::bigint[]) k CROSS JOIN LATERAL (
             SELECT * FROM pipeline_runs WHERE pipeline = k ORDER BY created_at DESC, place DESC LIMIT 1
         ) r",
    );
    let rows: Vec<LineRow> = query.build_query_as().fetch_all(from).await.map_err(failed)?;
    rows.into_iter().map(|row| Ok((row.pipeline_place, row.summary()?))).collect()
}

#[derive(Debug, FromRow)]
struct Row {
    place: i64,
    id: Uuid,
    tenant_id: Uuid,
    name: String,
    source: String,
    version: i64,
    settings: String,
    created_at: Column,
    updated_at: Column,
}

impl Row {
    fn pipeline(self) -> Result<StoredPipeline, StoreError> {
        Ok(StoredPipeline {
            id: self.id.into(),
            tenant: self.tenant_id.into(),
            name: self.name,
            source: from_json(&self.source)?,
            version: count(self.version)?,
            settings: from_json(&self.settings)?,
            created_at: self.created_at.to_jiff(),
            updated_at: self.updated_at.to_jiff(),
        })
    }
}

#[derive(Debug)]
struct Create<'a>(&'a StoredPipeline);

#[async_trait]
impl Write for Create<'_> {
    type Answer = ();

    async fn write(&self, to: &mut PgConnection) -> Result<(), StoreError> {
        let new = self.0;
        let create = "INSERT INTO pipelines AS p
                 (id, tenant_id, name, folded, version, source, settings, created_at, updated_at,
                  repository_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)
             ON CONFLICT (tenant_id, name) DO UPDATE SET id = excluded.id, folded = excluded.folded,
                 version = excluded.version, source = excluded.source, settings = excluded.settings,
                 created_at = excluded.created_at, updated_at = excluded.updated_at,
                 repository_id = excluded.repository_id
             WHERE p.id IS NULL";
        let create = sqlx::query(create).bind(new.id.as_uuid()).bind(new.tenant.as_uuid()).bind(&new.name);
        let create = create.bind(new.name.to_lowercase()).bind(number(new.version)).bind(to_json(&new.source)?);
        let create = create.bind(to_json(&new.settings)?).bind(down(new.created_at));
        let create = create.bind(new.source.repository().map(|repository| repository.as_uuid()));
        let created = create.execute(to).await.map_err(failed)?;
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

    async fn write(&self, to: &mut PgConnection) -> Result<StoredPipeline, StoreError> {
        let known = known(&mut *to, self.id, " FOR UPDATE").await?.pipeline()?;
        let new = known.changed(self.expected_version, self.change.clone(), self.now)?;
        let update = "UPDATE pipelines SET name = $2, folded = $3, version = $4, source = $5, settings = $6,
                 updated_at = $7, repository_id = $8 WHERE id = $1";
        let update = sqlx::query(update).bind(self.id.as_uuid()).bind(&new.name).bind(new.name.to_lowercase());
        let update = update.bind(number(new.version)).bind(to_json(&new.source)?).bind(to_json(&new.settings)?);
        let update = update.bind(down(new.updated_at));
        match update.bind(new.source.repository().map(|repository| repository.as_uuid())).execute(to).await {
            Ok(_) => Ok(new),
            Err(error) if has_constraint(&error, NAME) => Err(StoreError::Taken(format!("the name `{}`", new.name))),
            Err(error) => Err(failed(error)),
        }
    }
}

#[derive(Debug)]
struct Forget {
    id: PipelineId,
}

#[async_trait]
impl Write for Forget {
    /// Whether it had no runs.
    type Answer = bool;

    async fn write(&self, to: &mut PgConnection) -> Result<bool, StoreError> {
        // Whoever makes a run locks it first, so that the next statement sees all runs that there are.
        let place = known(&mut *to, self.id, " FOR UPDATE").await?.place;
        let forget = "DELETE FROM pipelines
             WHERE place = $1 AND NOT EXISTS (SELECT FROM pipeline_runs WHERE pipeline = $1)";
        let forgotten = sqlx::query(forget).bind(place).execute(to).await.map_err(failed)?;
        Ok(forgotten.rows_affected() > 0)
    }
}

/// The stages of a plan, as the table of them has them.
#[derive(Debug)]
pub(super) struct Stages {
    stages: Vec<PipelineStage>,
    /// The digest of them, which says whether they are those that are there.
    pub(super) digest: String,
}

impl Stages {
    pub(super) fn of(plan: &PipelineSpec) -> Result<Self, StoreError> {
        let stages = PipelineStage::all_of(plan);
        let digest = Digest::of(to_json(&stages)?.as_bytes()).to_hex();
        Ok(Self { stages, digest })
    }

    /// Puts them in the place of those that the pipeline had, whose row is locked.
    pub(super) async fn keep(&self, to: &mut PgConnection, pipeline: i64) -> Result<(), StoreError> {
        let delete = sqlx::query("DELETE FROM pipeline_stages WHERE pipeline = $1").bind(pipeline);
        delete.execute(&mut *to).await.map_err(failed)?;
        let insert = "INSERT INTO pipeline_stages (pipeline, position, stage_name, needs)
             SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[])";
        let stages = || self.stages.iter();
        let insert = sqlx::query(insert).bind(pipeline);
        let insert = insert.bind(stages().map(|stage| number(stage.position)).collect::<Vec<_>>());
        let insert = insert.bind(stages().map(|stage| stage.name.to_string()).collect::<Vec<_>>());
        let insert = insert.bind(stages().map(|stage| to_json(&stage.needs)).collect::<Result<Vec<_>, _>>()?);
        insert.execute(&mut *to).await.map_err(failed)?;
        let note = sqlx::query("UPDATE pipelines SET stages = $2 WHERE place = $1").bind(pipeline).bind(&self.digest);
        note.execute(to).await.map(drop).map_err(failed)
    }
}
