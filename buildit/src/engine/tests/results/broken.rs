//! Results of which something is missing or damaged, or that nobody can look at.

use super::*;

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
