//! Pipelines.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::kept::KeptRun;
use super::super::pipelines::{Known, PipelineWrite};
use super::super::store::MemoryStore;
use crate::id::{PipelineId, RunId, TenantId};
use crate::store::{
    NewPipeline, PipelineChange, PipelineFilter, PipelineLine, PipelineStage, PipelineStore, RunStore, StoreError,
    StoredPipeline,
};

#[async_trait]
impl PipelineStore for MemoryStore {
    async fn create_pipeline(&self, new: NewPipeline) -> Result<StoredPipeline, StoreError> {
        let mut runs = self.runs_locked();
        let bare = runs.pipelines.find(new.tenant, &new.name);
        if bare.is_some_and(|id| runs.pipelines.stored(id).is_ok()) {
            return Err(StoreError::Taken(format!("the name `{}`", new.name)));
        }
        let stored = StoredPipeline::of_new(new, bare.unwrap_or_else(PipelineId::new));
        runs.write_pipeline(PipelineWrite::Kept(Box::new(stored.clone())))?;
        Ok(stored)
    }

    async fn pipeline(&self, id: PipelineId) -> Result<StoredPipeline, StoreError> {
        self.runs_locked().pipelines.stored(id).cloned()
    }

    async fn pipeline_named(&self, tenant: TenantId, name: &str) -> Result<StoredPipeline, StoreError> {
        let runs = self.runs_locked();
        let found = runs.pipelines.find(tenant, name).and_then(|id| runs.pipelines.stored(id).ok());
        found.cloned().ok_or_else(|| StoreError::NotFound(format!("pipeline `{name}`")))
    }

    async fn update_pipeline(
        &self,
        id: PipelineId,
        expected_version: u64,
        change: PipelineChange,
        now: Timestamp,
    ) -> Result<StoredPipeline, StoreError> {
        let mut runs = self.runs_locked();
        let changed = runs.pipelines.stored(id)?.clone().changed(expected_version, change, now)?;
        if runs.pipelines.find(changed.tenant, &changed.name).is_some_and(|other| other != id) {
            return Err(StoreError::Taken(format!("the name `{}`", changed.name)));
        }
        runs.write_pipeline(PipelineWrite::Kept(Box::new(changed.clone())))?;
        Ok(changed)
    }

    async fn pipelines(&self, filter: &PipelineFilter, limit: usize) -> Result<Vec<PipelineLine>, StoreError> {
        let found: Vec<_> = {
            let runs = self.runs_locked();
            let last =
                |(stored, known): (&StoredPipeline, &Known)| (stored.clone(), known.newest_first(None).next().cloned());
            runs.pipelines.list(filter).take(limit).map(last).collect()
        };
        let line = |(pipeline, last): (StoredPipeline, Option<Arc<KeptRun>>)| {
            let last_run = last.map(|run| run.summary(pipeline.name.clone()));
            PipelineLine { pipeline, last_run }
        };
        Ok(found.into_iter().map(line).collect())
    }

    async fn delete_pipeline(&self, id: PipelineId) -> Result<(), StoreError> {
        loop {
            let ended: Vec<RunId> = {
                let mut runs = self.runs_locked();
                runs.pipelines.stored(id)?;
                let all: Vec<_> =
                    runs.pipelines.get(id).into_iter().flat_map(|known| known.newest_first(None)).collect();
                if let Some(open) = all.iter().find(|run| runs.is_open(run)) {
                    return Err(StoreError::NotEnded(open.id));
                }
                let ended: Vec<RunId> = all.iter().map(|run| run.id).collect();
                if ended.is_empty() {
                    return runs.delete_pipeline(id);
                }
                ended
            };
            for run in ended {
                match self.delete_run(run).await {
                    // Somebody else was quicker.
                    Ok(()) | Err(StoreError::NoRun(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// The latest run that is there says them.
    async fn pipeline_stages(
        &self,
        id: PipelineId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<PipelineStage>, StoreError> {
        let last = {
            let runs = self.runs_locked();
            runs.pipelines.stored(id)?;
            runs.pipelines.get(id).and_then(|known| known.last().map(|run| run.id))
        };
        let Some(last) = last else { return Ok(Vec::new()) };
        let plan = self.looked_at(last)?.with_state(|state| Ok(state.record().run.plan))?;
        let from = after.map_or(0, |after| after.saturating_add(1));
        let stages = PipelineStage::all_of(&plan).into_iter().filter(|stage| stage.position >= from);
        Ok(stages.take(limit).collect())
    }
}
