//! Its pipelines.

use async_trait::async_trait;
use jiff::Timestamp;

use super::broken::Broken;
use super::faults::Fault;
use crate::id::{PipelineId, TenantId};
use crate::store::{
    NewPipeline, PipelineChange, PipelineFilter, PipelineLine, PipelineStage, PipelineStore, RunFilter, RunStore,
    StoreError, StoredPipeline,
};

#[async_trait]
impl PipelineStore for Broken {
    async fn create_pipeline(&self, mut new: NewPipeline) -> Result<StoredPipeline, StoreError> {
        if self.has(Fault::DropsSettings) {
            new.settings.clear();
        }
        if self.has(Fault::RefusesBare) {
            let made = RunFilter { tenant: Some(new.tenant), ..RunFilter::of_pipeline(&new.name) };
            if !self.inner.runs(&made, 1).await?.is_empty() {
                return Err(StoreError::Taken(format!("the name `{}`", new.name)));
            }
        }
        match self.inner.create_pipeline(new.clone()).await {
            Err(StoreError::Taken(_)) if self.has(Fault::RenamesDoubles) => {
                let name = format!("{} (2)", new.name);
                self.inner.create_pipeline(NewPipeline { name, ..new }).await
            }
            created => created,
        }
    }

    async fn pipeline(&self, id: PipelineId) -> Result<StoredPipeline, StoreError> {
        self.inner.pipeline(id).await
    }

    async fn pipeline_named(&self, tenant: TenantId, name: &str) -> Result<StoredPipeline, StoreError> {
        self.inner.pipeline_named(tenant, name).await
    }

    async fn update_pipeline(
        &self,
        id: PipelineId,
        expected_version: u64,
        change: PipelineChange,
        now: Timestamp,
    ) -> Result<StoredPipeline, StoreError> {
        match self.inner.update_pipeline(id, expected_version, change.clone(), now).await {
            Err(StoreError::Conflict { actual, .. }) if self.has(Fault::ChangesAnyVersion) => {
                self.inner.update_pipeline(id, actual, change, now).await
            }
            changed => changed,
        }
    }

    async fn pipelines(&self, filter: &PipelineFilter, limit: usize) -> Result<Vec<PipelineLine>, StoreError> {
        let repository = filter.repository.filter(|_| !self.has(Fault::MixesRepositories));
        let mut lines = self.inner.pipelines(&PipelineFilter { repository, ..filter.clone() }, limit).await?;
        match (self.fault, &filter.search) {
            (Fault::ListsPipelinesBackwards, _) => lines.reverse(),
            (Fault::HidesLatestRuns, _) => lines.iter_mut().for_each(|line| line.last_run = None),
            (Fault::SearchesByCase, Some(search)) => lines.retain(|line| line.pipeline.name.contains(search)),
            _ => {}
        }
        Ok(lines)
    }

    async fn delete_pipeline(&self, id: PipelineId) -> Result<(), StoreError> {
        if self.has(Fault::KeepsPipelines) {
            return self.inner.pipeline(id).await.map(drop);
        }
        match self.inner.delete_pipeline(id).await {
            Err(StoreError::NotEnded(_)) if self.has(Fault::DeletesOpenPipelines) => Ok(()),
            deleted => deleted,
        }
    }

    async fn pipeline_stages(
        &self,
        id: PipelineId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<PipelineStage>, StoreError> {
        let mut stages = self.inner.pipeline_stages(id, after, limit).await?;
        if self.has(Fault::ForgetsNeeds) {
            stages.iter_mut().for_each(|stage| stage.needs.clear());
        }
        Ok(stages)
    }
}
