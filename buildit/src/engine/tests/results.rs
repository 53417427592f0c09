//! Cacheable stages: what is taken of an earlier run, and what has to run.

use async_trait::async_trait;

use super::*;
use crate::artifact::{BlobError, BlobStore, BlobStream, blob_of};
use crate::cached::{FileKind, Ingredient, KeptResult, ResultStore, Salt, SourceFile, SourceIndex, SourceIndexer};
use crate::event::{IngredientKind, Miss, StageResult, TakenResult};
use crate::executor::LogCursor;
use crate::id::{Digest, JobId, RunId, StageName};
use crate::job::{Artifact, JobProducts, Stream};
use crate::store::{LogAppend, LogChunk, LogStore, StoreError};

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

#[tokio::test(start_paused = true)]
async fn a_hit_brings_outputs_artifacts_and_the_log_and_makes_no_attempt() {
    let archive = Digest::of(b"bin");
    let made = Act::end(JobOutcome::succeeded().with_products(products(archive))).log("compiling").log("done");
    let world = World::new(Script::new().stage("build", [made]));
    world.store.put(blob_of("bin")).await.unwrap();
    let ship = StageBuilder::run("ship", "ship ${stages.build.outputs.version} ${stages.build.outputs.none:-x}");
    let pipeline = PipelineBuilder::new("shop").stage(cacheable("build", "make")).stage(ship.needs(["build"])).build();
    let (first, _) = world.run(&pipeline, options()).await;
    let (second, report) = world.run(&pipeline, options()).await;
    assert_eq!((world.executor.attempts("build"), world.executor.attempts("ship")), (1, 2));
    assert_eq!(report.stage("build"), Some(StageResult::taken()));
    assert_eq!(report.products("build"), Some(&products(archive)));
    let taken = events(&second).await.into_iter().find_map(|event| match event.body {
        EventBody::ResultTaken { result, .. } => Some(*result),
        _ => None,
    });
    let TakenResult { run, stage, attempt, .. } = taken.unwrap();
    assert_eq!((run, stage, attempt), (first.id(), "build".into(), 1));
    assert_eq!(log_of(&second, "build").await, [(0, "compiling".to_owned()), (0, "done".to_owned())]);
    assert_eq!(log_of(&first, "build").await, [(1, "compiling".to_owned()), (1, "done".to_owned())]);
    // One that takes from one that took.
    let (third, _) = world.run(&pipeline, options()).await;
    assert_eq!(log_of(&third, "build").await.len(), 2);
    assert_eq!(world.executor.attempts("build"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_log_lies_in_a_blob_and_comes_back_whole() {
    let lines: Vec<String> = (0..20_000).map(|number| format!("line {number} of a long log")).collect();
    let act = lines.iter().fold(Act::succeed(), |act, line| act.log(line.clone()));
    let world = World::new(Script::new().stage("build", [act]));
    world.run(&one(cacheable("build", "make")), options()).await;
    let (run, _) = world.run(&one(cacheable("build", "make")), options()).await;
    let log = log_of(&run, "build").await;
    assert!(log.into_iter().eq(lines.into_iter().map(|line| (0, line))));
    assert_eq!(world.executor.attempts("build"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_changes_is_told_and_only_what_a_stage_sees_counts() {
    let world = World::new(Script::new());
    let pipeline = one(cacheable("build", "make").env("A", "1"));
    let source = async |text: &str| options().source(world.source(text).await);
    let before = "docs/a 1\nsrc/a 1\nsrc/b 1";
    assert_eq!(world.misses(&pipeline, source(before).await).await, ["build: no result of it is kept"]);
    assert!(world.misses(&pipeline, source("docs/a 2\nsrc/a 1\nsrc/b 1").await).await.is_empty());
    let told = world.misses(&pipeline, source("docs/a 1\nsrc/a 2\nsrc/c 1").await).await;
    assert_eq!(told, ["build: file `src/a` changed, file `src/b` is gone, file `src/c` is new"]);
    // Back again: what was kept then is there still.
    assert!(world.misses(&pipeline, source(before).await).await.is_empty());
    let told = world.misses(&one(cacheable("build", "make all").env("A", "2")), source(before).await).await;
    assert_eq!(
        told,
        [
            "build: command `1` changed, variable `A` changed, file `src/a` changed, file `src/b` is new, file `src/c` is gone"
        ]
    );
    // Another pipeline's results are its own.
    let other = PipelineBuilder::new("other").stage(cacheable("build", "make").env("A", "1")).build();
    assert_eq!(world.runs(&other, source(before).await).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_differs_from_run_to_run_counts_where_a_command_names_it() {
    let sha = |sha: &str| {
        let git = GitContext { sha: sha.into(), ..GitContext::default() };
        StartOptions::new(RunContext { git, ..RunContext::manual() })
    };
    for (command, runs) in [
        ("make", 0),
        ("make ${git.sha}", 1),
        ("sh -c 'make \"$BUILDIT_GIT_SHA\"'", 1),
        ("make ${git.branch}", 0),
        ("make ${run.number}", 1),
        ("make $BUILDIT_JOB_ID", 1),
        ("make ${stage.attempt}", 0),
    ] {
        let world = World::new(Script::new());
        let pipeline = one(cacheable("build", command));
        assert_eq!(world.runs(&pipeline, sha("a")).await, 1);
        assert_eq!(world.runs(&pipeline, sha("b")).await, runs, "{command}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_counts_by_its_value() {
    let world = World::new(Script::new());
    let pipeline = one(cacheable("build", "make").secrets(["TOKEN"]));
    for (value, attempts) in [("hunter22", 1), ("hunter22", 1), ("hunter33", 2)] {
        let secrets = MemorySecrets::new().with("TOKEN", value);
        let engine = world.builder().secrets(secrets).build().unwrap();
        engine.start(&pipeline, options()).await.unwrap().wait().await.unwrap();
        assert_eq!(world.executor.attempts("build"), attempts);
    }
    let (_, made_of) = world.store.last_ingredients("shop", &"build".into()).await.unwrap().unwrap();
    assert!(!made_of.is_empty());
    assert!(made_of.iter().all(|one| one.kind != IngredientKind::Secret));
}

#[tokio::test(start_paused = true)]
async fn g4_a_result_that_holds_a_secret_of_another_stage_is_not_taken() {
    let word = "hunter22";
    let left = |products| Act::end(JobOutcome::succeeded().with_products(products));
    let artifact = Artifact { name: word.into(), ..products(Digest::of(b"bin")).artifacts.remove(0) };
    let output = [("version".to_owned(), word.to_owned())].into_iter().collect();
    let long = (0..2000).fold(Act::succeed(), |act, number| act.log(format!("line {number}")));
    for (what, act) in [
        ("output", left(JobProducts { outputs: output, ..JobProducts::default() })),
        ("summary", left(JobProducts { summary: Some(word.into()), ..JobProducts::default() })),
        ("artifact", left(JobProducts { artifacts: vec![artifact], ..JobProducts::default() })),
        ("log", Act::succeed().log("it is hunter22")),
        ("long log", long.log("it is hunter22")),
    ] {
        let world = World::new(Script::new().stage("build", [act]));
        world.store.put(blob_of("bin")).await.unwrap();
        assert_eq!(world.runs(&one(cacheable("build", "make")), options()).await, 1, "{what}");
        let ship = StageBuilder::run("ship", "true").secrets(["TOKEN"]);
        let pipeline = PipelineBuilder::new("shop").stage(cacheable("build", "make")).stage(ship).build();
        let engine = world.builder().secrets(MemorySecrets::new().with("TOKEN", word)).build().unwrap();
        for _ in 0..2 {
            let run = engine.start(&pipeline, options()).await.unwrap();
            run.wait().await.unwrap();
            let told = serde_json::to_string(&events(&run).await).unwrap();
            let log = log_of(&run, "build").await;
            assert!(!told.contains(word) && log.iter().all(|(_, line)| !line.contains(word)), "{what}: {told} {log:?}");
        }
        assert!(world.executor.attempts("build") >= 2, "{what}");
        // What was masked is kept in its place.
        let is_masked = matches!(what, "summary" | "log" | "long log");
        assert_eq!(world.executor.attempts("build") == 2, is_masked, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_whose_blobs_cannot_be_reached_is_not_forgotten() {
    let made = Act::end(JobOutcome::succeeded().with_products(products(Digest::of(b"bin"))));
    let world = World::new(Script::new().stage("build", [made]));
    world.store.put(blob_of("bin")).await.unwrap();
    let pipeline = one(cacheable("build", "make"));
    let (first, _) = world.run(&pipeline, options()).await;
    let engine = world.builder().blobs(Arc::new(Unreachable(world.store.clone()))).build().unwrap();
    let run = engine.start(&pipeline, options()).await.unwrap();
    run.wait().await.unwrap();
    let told = events(&run).await.into_iter().find_map(|event| match event.body {
        EventBody::ResultMissed { miss, .. } => Some(miss.to_string()),
        _ => None,
    });
    assert!(told.unwrap().starts_with("kept results cannot be looked at"));
    assert_eq!(world.executor.attempts("build"), 2);
    let (third, _) = world.run(&pipeline, options()).await;
    let taken = events(&third).await.into_iter().find_map(|event| match event.body {
        EventBody::ResultTaken { result, .. } => Some(result.run),
        _ => None,
    });
    assert_eq!(taken, Some(first.id()));
}

/// Blobs that are there, out of reach.
#[derive(Debug)]
struct Unreachable(MemoryStore);

#[async_trait]
impl BlobStore for Unreachable {
    async fn put(&self, content: BlobStream) -> Result<(Digest, u64), BlobError> {
        self.0.put(content).await
    }

    async fn open(&self, _: &Digest) -> Result<BlobStream, BlobError> {
        Err(std::io::Error::other("no route").into())
    }

    async fn contains(&self, digest: &Digest) -> Result<bool, BlobError> {
        self.0.contains(digest).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_blob_that_is_missing_or_damaged_makes_the_stage_run() {
    // Not there at all.
    let made = Act::end(JobOutcome::succeeded().with_products(products(Digest::of(b"never stored"))));
    let world = World::new(Script::new().stage("build", [made]));
    let pipeline = one(cacheable("build", "make"));
    assert_eq!(world.runs(&pipeline, options()).await, 1);
    assert_eq!(world.misses(&pipeline, options()).await, ["build: what the kept result left is missing or damaged"]);
    assert_eq!(world.executor.attempts("build"), 2);

    // There, and not what it was.
    let made = Act::end(JobOutcome::succeeded().with_products(products(Digest::of(b"bin"))));
    let world = World::new(Script::new().stage("build", [made]));
    world.store.put(blob_of("bin")).await.unwrap();
    assert_eq!(world.runs(&pipeline, options()).await, 1);
    let engine = world.builder().blobs(Arc::new(Damaged(world.store.clone()))).build().unwrap();
    let report = engine.start(&pipeline, options()).await.unwrap().wait().await.unwrap();
    assert_eq!((report.status, world.executor.attempts("build")), (RunStatus::Succeeded, 2));
    // What ran then was kept again.
    assert_eq!(world.runs(&pipeline, options()).await, 0);
}

/// Blobs that are all damaged, which is noticed at their ends.
#[derive(Debug)]
struct Damaged(MemoryStore);

#[async_trait]
impl BlobStore for Damaged {
    async fn put(&self, content: BlobStream) -> Result<(Digest, u64), BlobError> {
        self.0.put(content).await
    }

    async fn open(&self, digest: &Digest) -> Result<BlobStream, BlobError> {
        let damage = futures_util::stream::iter([Err(BlobError::Corrupt(*digest))]);
        Ok(self.0.open(digest).await?.chain(damage).boxed())
    }

    async fn contains(&self, digest: &Digest) -> Result<bool, BlobError> {
        self.0.contains(digest).await
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_success_is_kept() {
    let script = Script::new().stage("build", [Act::fail(1), Act::fail(1), Act::succeed().log("fine")]);
    let world = World::new(script);
    let pipeline = one(cacheable("build", "make").allow_failure());
    assert_eq!(world.runs(&pipeline, options()).await, 1);
    let again = one(cacheable("build", "make").retry(1, Duration::from_secs(1)));
    let (_, report) = world.run(&again, options()).await;
    assert_eq!(report.stage("build").unwrap().status, Status::Failed);
    // The script begins anew with each run; the retry of this one succeeds.
    let retried = one(cacheable("build", "make").retry(2, Duration::from_secs(1)));
    assert_eq!(world.runs(&retried, options()).await, 3);
    let (run, _) = world.run(&pipeline, options()).await;
    assert_eq!(log_of(&run, "build").await, [(0, "fine".to_owned())]);
    assert_eq!(world.executor.attempts("build"), 6);
}

#[tokio::test(start_paused = true)]
async fn a_condition_and_an_approval_come_before_a_hit() {
    let world = World::new(Script::new());
    assert_eq!(world.runs(&one(cacheable("build", "make")), options()).await, 1);
    let (_, report) = world.run(&one(cacheable("build", "make").when("git.branch == 'main'")), options()).await;
    assert_eq!(report.stage("build").unwrap().status, Status::Skipped);
    let gated = one(cacheable("build", "make").approval(ApprovalSpec::default()));
    let engine = world.builder().build().unwrap();
    let run = engine.start(&gated, options()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    run.approve("build", Approval::yes("ann")).await.unwrap();
    assert_eq!(run.wait().await.unwrap().stage("build"), Some(StageResult::taken()));
    let refused = engine.start(&gated, options()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    refused.approve("build", Approval::no("ann")).await.unwrap();
    assert_eq!(refused.wait().await.unwrap().status, RunStatus::Failed);
    assert_eq!(world.executor.attempts("build"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_is_true_though_its_engine_died_before_it_was_recorded() {
    let world = World::new(Script::new());
    let pipeline = one(cacheable("build", "make"));
    let faults = Arc::new(KillAt::new(CrashPoint::BeforeOutcomeAppended, 1).with_death(Death::Panic));
    let engine = world.builder().worker("one").faults(faults).build().unwrap();
    let run = engine.start(&pipeline, options()).await.unwrap();
    assert!(matches!(run.wait().await, Err(RunError::Broken)));
    let next = world.builder().worker("one").build().unwrap();
    let report = next.resume().await.unwrap()[0].wait().await.unwrap();
    assert_eq!(report.stage("build").unwrap().status, Status::Lost);
    assert_eq!(world.runs(&pipeline, options()).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_an_engine_began_to_restore_is_restored_once() {
    let world = World::new(Script::new().stage("build", [Act::succeed().log("a").log("b").log("c")]));
    let pipeline = one(cacheable("build", "make"));
    world.run(&pipeline, options()).await;
    // The run waits for its approval, and another engine had stored some of the log.
    let gated = one(cacheable("build", "make").approval(ApprovalSpec::default()));
    let engine = world.builder().worker("one").build().unwrap();
    let run = engine.start(&gated, options()).await.unwrap();
    let job = JobId { run: run.id(), stage: "build".into(), attempt: 0 };
    let text = bytes::Bytes::from_static(b"a\nb\n");
    let chunk = LogChunk { first_line: 1, lines: 2, time: Timestamp::UNIX_EPOCH, stream: Stream::Stdout, text };
    let cursor = LogCursor { line: 2, ..LogCursor::default() };
    let token = crate::id::FencingToken(1);
    let append = LogAppend { job: &job, token, expected_line: 0, chunks: &[chunk], cursor };
    world.store.append_log(append).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    run.approve("build", Approval::yes("ann")).await.unwrap();
    run.wait().await.unwrap();
    assert_eq!(log_of(&run, "build").await, ["a", "b", "c"].map(|line| (0, line.to_owned())));
}

#[tokio::test(start_paused = true)]
async fn every_stage_of_a_wide_pipeline_is_taken_whatever_the_limits() {
    let world = World { store: MemoryStore::new(), executor: scripted(Script::new()) };
    let other = ScriptedExecutor::new("other", Script::new());
    let stages = (0..600).map(|number| {
        let stage = cacheable(&format!("s{number}"), &format!("make {number}"));
        if number % 2 == 0 { stage } else { stage.executor("other") }
    });
    let plain = StageBuilder::run("plain", "true").executor("other");
    let pipeline = PipelineBuilder::new("wide").max_parallel(NonZeroU32::MIN).stages(stages).stage(plain).build();
    for started in [601, 602] {
        let engine = world.builder().executor(other.clone()).build().unwrap();
        let run = engine.start(&pipeline, options()).await.unwrap();
        let report = run.wait().await.unwrap();
        assert_eq!(report.status, RunStatus::Succeeded);
        replays(&run, &report).await;
        assert_eq!(world.executor.started().len() + other.started().len(), started);
    }
    assert_eq!(other.most_running(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_tell_makes_stages_run() {
    let world = World::new(Script::new());
    let pipeline = one(cacheable("build", "make"));
    for fault in [Trouble::Fails, Trouble::Panics] {
        let engine = world.builder().results(Arc::new(fault)).build().unwrap();
        let run = engine.start(&pipeline, options()).await.unwrap();
        let report = run.wait().await.unwrap();
        assert_eq!(report.status, RunStatus::Succeeded, "{fault:?}");
        let missed = events(&run).await.into_iter().find_map(|event| match event.body {
            EventBody::ResultMissed { miss, .. } => Some(*miss),
            _ => None,
        });
        assert!(matches!(missed, Some(Miss::Unreadable { .. })), "{fault:?}: {missed:?}");
    }
    // A source that cannot be read is one as well.
    let source = options().source(Digest::of(b"gone"));
    let told = world.misses(&pipeline, source).await;
    assert!(told[0].starts_with("build: kept results cannot be looked at: the source cannot be read"), "{told:?}");
}

/// A store of results that does not work.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Fails,
    Panics,
}

impl Trouble {
    fn fail<T>(self) -> Result<T, StoreError> {
        match self {
            Self::Fails => Err(StoreError::Corrupt("a test".into())),
            Self::Panics => panic!("a test"),
        }
    }
}

#[async_trait]
impl ResultStore for Trouble {
    async fn result_salt(&self) -> Result<Salt, StoreError> {
        Ok([7; 32].into())
    }

    async fn find_results(&self, _: &str, _: &[Digest]) -> Result<Vec<Option<KeptResult>>, StoreError> {
        self.fail()
    }

    async fn keep_result(&self, _: &str, _: &KeptResult, _: &[Ingredient]) -> Result<(), StoreError> {
        Err(StoreError::Corrupt("a test".into()))
    }

    async fn last_ingredients(&self, _: &str, _: &StageName) -> Result<Option<(RunId, Vec<Ingredient>)>, StoreError> {
        self.fail()
    }

    async fn forget_result(&self, _: &str, _: &Digest) -> Result<(), StoreError> {
        self.fail()
    }

    async fn evict_results(&self, _: &str, _: usize) -> Result<u64, StoreError> {
        Err(StoreError::Corrupt("a test".into()))
    }
}

#[tokio::test(start_paused = true)]
async fn two_runs_that_make_the_same_at_once_keep_one_result() {
    let world = World::new(Script::new().stage("build", [Act::succeed().after(Duration::from_secs(5))]));
    let pipeline = one(cacheable("build", "make"));
    let engine = world.builder().build().unwrap();
    let (one, two) = tokio::join!(engine.start(&pipeline, options()), engine.start(&pipeline, options()));
    let (one, two) = (one.unwrap(), two.unwrap());
    let (first, second) = tokio::join!(one.wait(), two.wait());
    assert_eq!((first.unwrap().status, second.unwrap().status), (RunStatus::Succeeded, RunStatus::Succeeded));
    assert_eq!(world.executor.attempts("build"), 2);
    assert_eq!(world.runs(&pipeline, options()).await, 0);
}

#[tokio::test(start_paused = true)]
async fn results_that_were_not_used_make_room() {
    let world = World::new(Script::new());
    let engine = world.builder().max_results(2).build().unwrap();
    for command in ["a", "b", "a", "c", "a", "b"] {
        engine.start(&one(cacheable("build", command)), options()).await.unwrap().wait().await.unwrap();
    }
    // `a` is taken twice; `b` had to go for `c`.
    assert_eq!(world.executor.attempts("build"), 4);
}
