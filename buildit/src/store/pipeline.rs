//! Pipelines that are kept, beside the runs that are made of them.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{RunStore, RunSummary, StoreError};
use crate::id::{PipelineId, RepositoryId, StageName, TenantId};
use crate::pipeline::PipelineSpec;

/// Keeps pipelines.
///
/// A run belongs to the pipeline of its tenant that has the name of its plan when the run is created; when none has it,
/// the store makes a bare one, which has its numbers and groups and is not listed here. From then on they stay together,
/// whatever the pipeline is renamed to.
#[async_trait]
pub trait PipelineStore: RunStore {
    /// Keeps a new pipeline, of version 1. A bare one of that name, which runs have made, becomes it, with its runs.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] when the tenant has one of this name; any other [`StoreError`] when it was not kept.
    async fn create_pipeline(&self, new: NewPipeline) -> Result<StoredPipeline, StoreError>;

    /// A pipeline.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is none.
    async fn pipeline(&self, id: PipelineId) -> Result<StoredPipeline, StoreError>;

    /// The pipeline that has this name now.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is none.
    async fn pipeline_named(&self, tenant: TenantId, name: &str) -> Result<StoredPipeline, StoreError>;

    /// Changes a pipeline of this version, whose version is one larger then.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when it has another version, [`StoreError::Taken`] when another one has the new name,
    /// a bare one too; [`StoreError::NotFound`] when there is none. Then nothing is changed.
    async fn update_pipeline(
        &self,
        id: PipelineId,
        expected_version: u64,
        change: PipelineChange,
        now: Timestamp,
    ) -> Result<StoredPipeline, StoreError>;

    /// Pipelines in the order of their names, byte by byte, each with its latest run; at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn pipelines(&self, filter: &PipelineFilter, limit: usize) -> Result<Vec<PipelineLine>, StoreError>;

    /// Removes a pipeline with its runs, their logs and its stages. Runs made under its name later count from 1 again.
    /// Its runs go in pieces, so that nobody waits long; what ends it in between leaves a pipeline with fewer runs, which
    /// can be deleted again. Caches, kept results and secrets under its name stay.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotEnded`] when a run of it is not [closed](RunStore::close_run): then nothing was removed, but when
    /// the run was created meanwhile. [`StoreError::NotFound`] when there is none.
    async fn delete_pipeline(&self, id: PipelineId) -> Result<(), StoreError>;

    /// Stages of a pipeline as its latest run had them, behind the position `after`; at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such pipeline.
    async fn pipeline_stages(
        &self,
        id: PipelineId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<PipelineStage>, StoreError>;
}

/// Where the definition of a pipeline comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PipelineSource {
    /// It is kept here.
    Text {
        /// The definition.
        kdl: String,
    },
    /// It is a file of a repository.
    Repository {
        /// The repository.
        repository: RepositoryId,
        /// The path of the file in it.
        path: String,
    },
}

impl PipelineSource {
    /// The repository that the definition is in.
    #[must_use]
    pub fn repository(&self) -> Option<RepositoryId> {
        match self {
            Self::Text { .. } => None,
            Self::Repository { repository, .. } => Some(*repository),
        }
    }
}

/// A pipeline that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPipeline {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// Where its definition comes from.
    pub source: PipelineSource,
    /// What else is to be known of it, such as how long its runs are kept and who is notified: kept as it is.
    pub settings: Map<String, Value>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A pipeline that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPipeline {
    /// Its id.
    pub id: PipelineId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// Where its definition comes from.
    pub source: PipelineSource,
    /// Counts its changes, from 1.
    pub version: u64,
    /// What else is known of it.
    pub settings: Map<String, Value>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

impl StoredPipeline {
    /// A new one, under this id.
    #[must_use]
    pub fn of_new(new: NewPipeline, id: PipelineId) -> Self {
        let NewPipeline { tenant, name, source, settings, created_at } = new;
        Self { id, tenant, name, source, version: 1, settings, created_at, updated_at: created_at }
    }

    /// The next version of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when it has another version than the expected one.
    pub fn changed(self, expected_version: u64, change: PipelineChange, now: Timestamp) -> Result<Self, StoreError> {
        if self.version != expected_version {
            return Err(StoreError::Conflict { expected: expected_version, actual: self.version });
        }
        Ok(Self {
            name: change.name.unwrap_or(self.name),
            source: change.source.unwrap_or(self.source),
            settings: change.settings.unwrap_or(self.settings),
            version: self.version + 1,
            updated_at: now,
            ..self
        })
    }
}

/// What is to change of a pipeline; the rest stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipelineChange {
    /// Its name.
    pub name: Option<String>,
    /// Where its definition comes from.
    pub source: Option<PipelineSource>,
    /// What else is known of it, all of it anew.
    pub settings: Option<Map<String, Value>>,
}

/// Which pipelines a list has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineFilter {
    /// Those of this tenant.
    pub tenant: TenantId,
    /// Those with this in their names, in upper or lower case.
    pub search: Option<String>,
    /// Those whose definition is in this repository.
    pub repository: Option<RepositoryId>,
    /// Those behind this name: the last one of the page before.
    pub after: Option<String>,
}

impl PipelineFilter {
    /// All pipelines of this tenant.
    #[must_use]
    pub fn of_tenant(tenant: TenantId) -> Self {
        Self { tenant, search: None, repository: None, after: None }
    }
}

/// A line of a list of pipelines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineLine {
    /// The pipeline.
    pub pipeline: StoredPipeline,
    /// The run of it that was created last.
    pub last_run: Option<RunSummary>,
}

/// A stage of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineStage {
    /// Its name.
    pub name: StageName,
    /// Its place in the pipeline, from 0.
    pub position: u64,
    /// The stages that it needs, as it names them.
    pub needs: Vec<StageName>,
}

impl PipelineStage {
    /// The stages of a plan.
    #[must_use]
    pub fn all_of(plan: &PipelineSpec) -> Vec<Self> {
        let stages = plan.stages.iter().zip(0..);
        stages
            .map(|(stage, position)| Self { name: stage.name.clone(), position, needs: stage.needs.clone() })
            .collect()
    }
}
