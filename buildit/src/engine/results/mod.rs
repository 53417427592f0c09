//! Results of cacheable stages: looked for before a stage starts, kept after it succeeded. What they are made of is
//! said in [`cached`](crate::cached).

mod find;
mod keep;
mod log;

use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::sync::Arc;

pub(super) use find::{Candidate, look};
pub(super) use keep::Done;
use tokio::sync::{Mutex, OnceCell};

use crate::artifact::{BlobError, BlobStore};
use crate::cached::{Ingredients, JobParts, ResultStore, Salt, Selected, SourceIndex, SourceIndexer, ingredients};
use crate::condition::GlobError;
use crate::executor::{JobInputs, JobSecrets};
use crate::id::{Digest, ExecutorName};
use crate::job::JobSpec;
use crate::store::StoreError;

/// How many sources are known at once: those of the runs that are under way, on most machines.
const SOURCES: usize = 8;

/// Where results are kept, and what is known of sources.
pub(super) struct Results {
    store: Arc<dyn ResultStore>,
    indexer: Option<Arc<dyn SourceIndexer>>,
    most: usize,
    salt: OnceCell<Salt>,
    /// Held while a source is read, so that nobody reads it twice.
    sources: Mutex<VecDeque<(Digest, Arc<SourceIndex>)>>,
}

/// Results, a source or a log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResultError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the source cannot be read")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("this engine cannot read sources")]
    NoIndexer,
    #[error(transparent)]
    Glob(#[from] GlobError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Log(#[from] std::io::Error),
}

impl Results {
    pub(super) fn new(store: Arc<dyn ResultStore>, indexer: Option<Arc<dyn SourceIndexer>>, most: usize) -> Self {
        Self { store, indexer, most, salt: OnceCell::new(), sources: Mutex::default() }
    }

    async fn salt(&self) -> Result<&Salt, StoreError> {
        self.salt.get_or_try_init(|| self.store.result_salt()).await
    }

    /// What the result of this job is made of.
    async fn ingredients(
        &self,
        job: &JobSpec,
        executor: &ExecutorName,
        inputs: &JobInputs,
        secrets: &JobSecrets,
        blobs: &Arc<dyn BlobStore>,
    ) -> Result<Ingredients, ResultError> {
        let salt = self.salt().await?;
        let files = &self.selected(inputs, blobs).await?;
        Ok(ingredients(JobParts { job, executor, inputs, secrets, files }, salt))
    }

    async fn selected(&self, inputs: &JobInputs, blobs: &Arc<dyn BlobStore>) -> Result<Arc<Selected>, ResultError> {
        match (&inputs.source, inputs.only.as_deref()) {
            (Some(source), Some(globs)) if !globs.is_empty() => Ok(self.index(source, blobs).await?.select(globs)?),
            _ => Ok(Arc::default()),
        }
    }

    async fn index(&self, source: &Digest, blobs: &Arc<dyn BlobStore>) -> Result<Arc<SourceIndex>, ResultError> {
        let mut known = self.sources.lock().await;
        if let Some((_, index)) = known.iter().find(|(digest, _)| digest == source) {
            return Ok(Arc::clone(index));
        }
        let indexer = self.indexer.as_ref().ok_or(ResultError::NoIndexer)?;
        let index = Arc::new(indexer.index(source, blobs).await.map_err(ResultError::Source)?);
        known.truncate(SOURCES - 1);
        known.push_front((*source, Arc::clone(&index)));
        Ok(index)
    }

    /// Makes room in what is kept of this pipeline.
    pub(super) async fn evict(&self, scope: &str) {
        match self.store.evict_results(scope, self.most).await {
            Ok(0) => {}
            Ok(gone) => tracing::debug!(scope, gone, "results were evicted"),
            Err(error) => tracing::warn!(scope, %error, "results cannot be evicted"),
        }
    }
}

impl Debug for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results").field("store", &self.store).field("most", &self.most).finish_non_exhaustive()
    }
}
