//! `cached`: an unchanged pipeline of cacheable stages, none of which runs again.
//!
//! | bench | goal | what it does |
//! |---|---|---|
//! | `cached` | at most 200 ms | 1,000 cacheable stages, layered and wide, through `Engine::start` on `SqliteStore`, by an engine that knows nothing yet. Each has two files of a source of 2,000 as its input, and takes two lines of log, an output that the stages behind it could read, and an artifact that they get |
//!
//! What is measured is what a new process does: it reads the source's archive once, digests what each stage is made of,
//! looks every result up, reads every artifact to its end, restores every log, and records every event on the disk
//! (`synchronous=FULL`).
//!
//! On two quiet cores 117 to 132 ms wide, and 268 to 338 ms layered, which has 33 layers that wait for one another, and three
//! commits each: that a result was used, the log that comes back, and the events. A blob that is held was a file that is made and
//! renamed; touched instead, wide took 117 to 126 ms where it took 174 to 282 in turn.
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use buildit::artifact::{BlobStore, blob_of};
use buildit::engine::{Engine, RunReport, StartOptions};
use buildit::event::RunStatus;
use buildit::executor::{Executor, ExecutorError, JobContext, Unsupported};
use buildit::id::Digest;
use buildit::job::{Artifact, JobOutcome, JobProducts, JobSpec, Status, Stream};
use buildit::pipeline::{CheckoutSpec, PipelineBuilder, PipelineSpec, RunContext, StageBuilder};
use buildit::store::RunStore;
use buildit_benches::shapes::Shape;
use buildit_benches::{Bench, median, subject};
use buildit_executors::source::{ArchiveIndexer, Source};
use buildit_storage::ObjectBlobs;
use buildit_storage::sqlite::SqliteStore;

fn main() -> ExitCode {
    let mut bench = Bench::default();
    let runtime = subject::runtime();
    let folder = tempfile::tempdir().expect("a folder");
    let size = bench.choose(50, 1000);
    let world = runtime.block_on(World::new(folder.path(), size));
    let world = Arc::new(world);
    for shape in [Shape::Layered, Shape::Wide] {
        let pipeline = Arc::new(pipeline(shape, size));
        let run = |taken: usize| {
            let (world, pipeline) = (world.clone(), pipeline.clone());
            let run = async move { world.run(&pipeline, taken).await };
            runtime.block_on(async { tokio::spawn(run).await.expect("it ends") })
        };
        run(0);
        let samples: Vec<Duration> = (0..bench.choose(1, 9)).map(|_| run(size)).collect();
        let took = median(&samples).as_secs_f64() * 1000.0;
        bench.at_most(&format!("cached: {size} {}", shape.name()), took, 200.0, "ms");
    }
    bench.leave_out("a chain", "each look waits for the one before it and for three commits: it measures the disk");
    bench.end()
}

/// What is kept, and a source.
struct World {
    store: Arc<SqliteStore>,
    blobs: Arc<dyn BlobStore>,
    source: Digest,
}

impl World {
    async fn new(folder: &Path, size: usize) -> Self {
        let store = Arc::new(SqliteStore::open(folder.join("runs.db")).await.expect("a store"));
        let blobs: Arc<dyn BlobStore> = Arc::new(ObjectBlobs::open(&folder.join("blobs")).expect("blobs"));
        let tree = folder.join("tree");
        for at in 0..size {
            let inner = tree.join(format!("src/s{at}"));
            std::fs::create_dir_all(&inner).expect("a folder");
            for name in ["lib.rs", "main.rs"] {
                std::fs::write(inner.join(name), format!("// {at}\n").repeat(100)).expect("a file");
            }
        }
        let source = Source::open(&tree, &[]).await.expect("a source");
        let (source, _) = source.store(&blobs, &CheckoutSpec::default()).await.expect("an archive");
        Self { store, blobs, source }
    }

    /// A run by an engine that knows nothing yet, in which so many stages are taken from an earlier one.
    async fn run(&self, pipeline: &PipelineSpec, taken: usize) -> Duration {
        let start = Instant::now();
        let engine = Engine::builder()
            .executor(Making)
            .store(self.store.clone())
            .blobs(self.blobs.clone())
            .results(self.store.clone())
            .source_indexer(ArchiveIndexer);
        let engine = engine.build().expect("an engine");
        let options = StartOptions::new(RunContext::manual()).source(self.source);
        let run = engine.start(pipeline, options).await.expect("a run");
        let report = run.wait().await.expect("it ends");
        let took = start.elapsed();
        check(&report, taken);
        self.store.delete_run(run.id()).await.expect("a closed run");
        took
    }
}

fn check(report: &RunReport, taken: usize) {
    assert_eq!(report.status, RunStatus::Succeeded);
    assert_eq!(report.stages().filter(|(_, result)| result.cached).count(), taken);
    assert_eq!(
        report.stages().filter(|(_, result)| result.status == Status::Succeeded).count(),
        report.run().graph().len()
    );
}

fn pipeline(shape: Shape, size: usize) -> PipelineSpec {
    let mut builder = PipelineBuilder::new(shape.name());
    let mut needs = Vec::new();
    for at in 0..size {
        needs.clear();
        shape.needs(size, at, &mut needs);
        let stage = StageBuilder::run(format!("s{at}"), format!("make s{at}"));
        let stage = stage.needs(needs.iter().map(|need| format!("s{need}"))).cacheable([format!("src/s{at}/**")]);
        builder = builder.stage(stage.env("PROFILE", "release").artifact(format!("out/s{at}")));
    }
    builder.build()
}

/// An executor whose jobs say something and leave something.
#[derive(Debug)]
struct Making;

#[async_trait]
impl Executor for Making {
    fn name(&self) -> &str {
        "making"
    }

    fn supports(&self, _: &JobSpec) -> Result<(), Unsupported> {
        Ok(())
    }

    async fn run(&self, job: &JobSpec, ctx: JobContext) -> Result<JobOutcome, ExecutorError> {
        let name = &job.id.stage;
        ctx.log_line(&job.id, Stream::Command, &format!("make {name}")).await?;
        ctx.log_line(&job.id, Stream::Stdout, "done").await?;
        let content = format!("what {name} made\n").repeat(100);
        let (digest, bytes) = ctx.blobs().put(blob_of(content)).await.expect("a blob");
        let artifact = Artifact { name: "out".into(), digest, bytes, paths: vec![format!("out/{name}")] };
        let outputs = [("version".to_owned(), "1.2.3".to_owned())].into_iter().collect();
        let products = JobProducts { outputs, artifacts: vec![artifact], ..JobProducts::default() };
        Ok(JobOutcome::succeeded().with_products(products))
    }
}
