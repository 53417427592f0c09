//! A run that always has something to do leaves its thread to others now and then.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::executor::{Executor, ExecutorError, JobContext, Unsupported};
use crate::job::JobSpec;

/// Counts its jobs as they start; each ends at once, or only after it has let others go on.
#[derive(Debug, Default)]
struct Counting {
    started: Arc<AtomicUsize>,
    pending: bool,
}

#[async_trait]
impl Executor for Counting {
    fn name(&self) -> &str {
        "counting"
    }

    fn supports(&self, _: &JobSpec) -> Result<(), Unsupported> {
        Ok(())
    }

    async fn run(&self, _: &JobSpec, _: JobContext) -> Result<JobOutcome, ExecutorError> {
        self.started.fetch_add(1, Ordering::Relaxed);
        if self.pending {
            tokio::task::yield_now().await;
        }
        Ok(JobOutcome::succeeded())
    }
}

/// The most jobs that started between two turns of another task on the same thread.
async fn longest_turn(pipeline: PipelineSpec, pending: bool) -> usize {
    let executor = Counting { pending, ..Counting::default() };
    let started = Arc::clone(&executor.started);
    let engine = Engine::builder().executor(executor).max_jobs(100_000).build().unwrap();
    let run = engine.start(&pipeline, options()).await.unwrap();
    let other = tokio::spawn(async move {
        let (mut seen, mut longest) = (0, 0);
        loop {
            let now = started.load(Ordering::Relaxed);
            longest = longest.max(now - seen);
            seen = now;
            if now == pipeline.stages.len() {
                return longest;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
    other.await.unwrap()
}

const STAGES: usize = 5_000;
/// A turn is 512 jobs. Tasks that yield are woken in reverse, so that one may have two turns in a row.
const MOST: usize = 2 * 512;

#[tokio::test]
async fn a_long_chain_of_jobs_that_end_at_once_gives_turns() {
    let name = |at: usize| format!("s{at}");
    let stages = (0..STAGES).map(|at| {
        let stage = StageBuilder::run(name(at).as_str(), "true");
        if at == 0 { stage } else { stage.needs([name(at - 1).as_str()]) }
    });
    let pipeline = stages.fold(PipelineBuilder::new("chain"), PipelineBuilder::stage).build();
    let longest = longest_turn(pipeline, false).await;
    assert!(longest <= MOST, "{longest} jobs in one turn");
}

#[rstest::rstest]
#[tokio::test]
async fn the_start_of_many_jobs_gives_turns(#[values(false, true)] pending: bool) {
    let stages = (0..STAGES).map(|at| StageBuilder::run(format!("s{at}").as_str(), "true"));
    let pipeline = stages.fold(PipelineBuilder::new("wide"), PipelineBuilder::stage).build();
    let longest = longest_turn(pipeline, pending).await;
    assert!(longest <= MOST, "{longest} jobs in one turn");
}
