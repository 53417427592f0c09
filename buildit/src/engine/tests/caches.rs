//! Whose caches a run finds, and whom it leaves its own.

use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::executor::{Executor, ExecutorError, JobContext, Unsupported};
use crate::id::Digest;
use crate::job::{JobProducts, JobSpec, SavedCache};
use crate::pipeline::{CacheSpec, PullRequest};

/// Notes what its jobs find in their cache, and saves what they are to leave there.
#[derive(Clone, Debug, Default)]
struct Caching {
    leave: Arc<Mutex<&'static str>>,
    found: Arc<Mutex<Option<Digest>>>,
}

#[async_trait]
impl Executor for Caching {
    fn name(&self) -> &str {
        "local"
    }

    fn supports(&self, _: &JobSpec) -> Result<(), Unsupported> {
        Ok(())
    }

    async fn run(&self, _: &JobSpec, ctx: JobContext) -> Result<JobOutcome, ExecutorError> {
        let cache = ctx.inputs().caches[0].clone();
        *self.found.lock().unwrap() = cache.archive;
        let mut outcome = JobOutcome::succeeded();
        if !cache.exact {
            let digest = Digest::of(self.leave.lock().unwrap().as_bytes());
            let saved = SavedCache { name: cache.name, key: cache.key, digest, bytes: 1 };
            outcome.products = Some(Box::new(JobProducts { caches: vec![saved], ..JobProducts::default() }));
        }
        Ok(outcome)
    }
}

/// Who has a fork chooses what its jobs leave in a cache, and whoever finds that runs it.
#[tokio::test(start_paused = true)]
async fn what_a_fork_leaves_is_found_by_its_own_pull_request_alone() {
    let cache = CacheSpec {
        name: "deps".into(),
        paths: vec!["deps".into()],
        key: "${git.sha}".into(),
        restore_keys: Vec::new(),
        origin: None,
    };
    let stage = StageBuilder::run("build", "make").cache("deps");
    let pipeline = PipelineBuilder::new("shop").cache(cache).stage(stage).build();
    let executor = Caching::default();
    let store = Arc::new(MemoryStore::new());
    let engine = Engine::builder().executor(executor.clone()).clock(clock()).store(store.clone());
    let engine = engine.blobs(store.clone()).caches(store).build().unwrap();
    let fork = |number, approved_by: &str| {
        Some(PullRequest { number, fork: true, approved_by: approved_by.into(), ..PullRequest::default() })
    };
    let found = async |pull_request, sha: &str, leave: &'static str| {
        *executor.leave.lock().unwrap() = leave;
        let git = GitContext { sha: sha.into(), ..GitContext::default() };
        let context = RunContext { pull_request, git, ..RunContext::manual() };
        let run = engine.start(&pipeline, StartOptions::new(context)).await.unwrap();
        assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
        *executor.found.lock().unwrap()
    };
    let evil = Some(Digest::of(b"evil"));
    assert_eq!(found(fork(7, ""), "a1", "evil").await, None);
    assert_eq!(found(fork(7, ""), "a1", "more").await, evil, "it finds its own");
    assert_eq!(found(fork(8, ""), "a1", "other").await, None, "another fork");
    assert_eq!(found(fork(7, "ann"), "a1", "seen").await, None, "what somebody has looked at is not what was before");
    assert_eq!(found(None, "a1", "good").await, Some(Digest::of(b"seen")), "what somebody has looked at");
    assert_eq!(found(None, "b2", "good").await, None);
    assert_eq!(found(fork(9, ""), "b2", "evil").await, Some(Digest::of(b"good")), "a fork finds those of the pipeline");
}
