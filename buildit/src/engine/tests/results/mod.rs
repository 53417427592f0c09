//! Cacheable stages: what is taken of an earlier run, and what has to run.

use async_trait::async_trait;

use super::*;
use crate::artifact::{BlobError, BlobStore, BlobStream, blob_of};
use crate::cached::{FileKind, Ingredient, KeptResult, ResultStore, Salt, SourceFile, SourceIndex, SourceIndexer};
use crate::event::{IngredientKind, Miss, StageResult, TakenResult};
use crate::executor::LogCursor;
use crate::id::{Digest, JobId, RunId, StageName};
use crate::job::{Artifact, JobProducts, Stream};
use crate::pipeline::PullRequest;
use crate::store::{LogAppend, LogChunk, LogStore, StoreError};

mod broken;
mod count;
mod keep;
mod take;

/// Sources whose archives are lines of `PATH CONTENT`.
#[derive(Debug)]
struct Lines;

#[async_trait]
impl SourceIndexer for Lines {
    async fn index(
        &self,
        source: &Digest,
        blobs: &Arc<dyn BlobStore>,
    ) -> Result<SourceIndex, Box<dyn std::error::Error + Send + Sync>> {
        let pieces: Vec<_> = blobs.open(source).await?.try_collect().await?;
        let text = String::from_utf8(pieces.concat())?;
        let file = |line: &str| {
            let (path, content) = line.split_once(' ').expect("a path and a content");
            SourceFile::new(path, FileKind::File(0o644), &Digest::of(content.as_bytes()))
        };
        Ok(SourceIndex::new(text.lines().map(file)))
    }
}

/// Engines on one store, one after another.
struct World {
    store: MemoryStore,
    executor: ScriptedExecutor,
}

impl World {
    fn new(script: Script) -> Self {
        Self { store: MemoryStore::new(), executor: scripted(script) }
    }

    fn builder(&self) -> EngineBuilder {
        let store = Arc::new(self.store.clone());
        let builder = Engine::builder().executor(self.executor.clone()).clock(clock()).source_indexer(Lines);
        builder.store(store.clone()).blobs(store.clone()).results(store)
    }

    async fn source(&self, text: &str) -> Digest {
        self.store.put(blob_of(text.to_owned())).await.unwrap().0
    }

    /// Runs this pipeline to its end, which must be one that replays.
    async fn run(&self, pipeline: &PipelineSpec, options: StartOptions) -> (RunHandle, RunReport) {
        let engine = self.builder().build().unwrap();
        let run = engine.start(pipeline, options).await.unwrap();
        let report = run.wait().await.unwrap();
        replays(&run, &report).await;
        (run, report)
    }

    async fn runs(&self, pipeline: &PipelineSpec, options: StartOptions) -> usize {
        let before = self.executor.started().len();
        let (_, report) = self.run(pipeline, options).await;
        assert_eq!(report.status, RunStatus::Succeeded);
        self.executor.started().len() - before
    }

    async fn misses(&self, pipeline: &PipelineSpec, options: StartOptions) -> Vec<String> {
        let (run, _) = self.run(pipeline, options).await;
        let missed = events(&run).await.into_iter().filter_map(|event| match event.body {
            EventBody::ResultMissed { stage, miss } => Some(format!("{stage}: {miss}")),
            _ => None,
        });
        missed.collect()
    }
}

fn cacheable(name: &str, command: &str) -> StageBuilder {
    StageBuilder::run(name, command).cacheable(["src/**"])
}

fn one(stage: StageBuilder) -> PipelineSpec {
    PipelineBuilder::new("shop").stage(stage).build()
}

async fn log_of(run: &RunHandle, stage: &str) -> Vec<(u32, String)> {
    let read: Vec<StageLog> = run.logs(stage.to_owned()).try_collect().await.unwrap();
    let lines = |log: StageLog| log.chunk.iter().map(|line| (log.attempt, line.text)).collect::<Vec<_>>();
    read.into_iter().flat_map(lines).collect()
}

fn products(archive: Digest) -> JobProducts {
    let artifact = Artifact { name: "bin".into(), digest: archive, bytes: 3, paths: vec!["bin".into()] };
    let outputs = [("version".to_owned(), "1.2".to_owned())].into_iter().collect();
    JobProducts { outputs, artifacts: vec![artifact], ..JobProducts::default() }
}
