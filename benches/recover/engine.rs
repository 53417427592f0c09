//! The engine that takes the runs up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use buildit::engine::Engine;
use buildit::executor::{Executor, ExecutorError, JobContext, Unsupported};
use buildit::job::{JobOutcome, JobSpec};
use buildit::store::Store;
use buildit_benches::reference::IN_FLIGHT;
use tokio::runtime::Runtime;

/// What the executor is called.
pub(crate) const NAME: &str = "waiting";

/// An executor whose jobs never end.
#[derive(Clone, Debug, Default)]
struct Waiting {
    /// When the first job came.
    first: Arc<Mutex<Option<Instant>>>,
}

#[async_trait]
impl Executor for Waiting {
    fn name(&self) -> &str {
        NAME
    }

    fn supports(&self, _: &JobSpec) -> Result<(), Unsupported> {
        Ok(())
    }

    async fn run(&self, _: &JobSpec, _: JobContext) -> Result<JobOutcome, ExecutorError> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
        std::future::pending().await
    }
}

/// How long it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recovery {
    /// Until all runs were driven again.
    pub(crate) whole: Duration,
    /// Until an executor had the first job.
    pub(crate) first: Duration,
}

/// A new engine takes up all open runs of this store, of which there are so many.
pub(crate) fn recover(runtime: &Runtime, store: Arc<dyn Store>, runs: usize) -> Recovery {
    let executor = Waiting::default();
    let first = Arc::clone(&executor.first);
    let builder = Engine::builder().executor(executor).store(store).max_jobs(IN_FLIGHT);
    let engine = builder.build().expect("an engine");
    let recover = async move {
        let start = Instant::now();
        let taken = engine.resume().await.expect("the open runs");
        let whole = start.elapsed();
        assert_eq!(taken.len(), runs, "how many runs were taken up");
        let first = loop {
            let first = *first.lock().unwrap_or_else(PoisonError::into_inner);
            match first {
                Some(first) => break first - start,
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        drop(taken);
        engine.shutdown().await;
        Recovery { whole, first }
    };
    runtime.block_on(async { tokio::spawn(recover).await.expect("a recovery") })
}
