//! Other queues on PostgreSQL, with their best settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use apalis::prelude::*;
use apalis_postgres::PostgresStorage;
use graphile_worker::{IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, WorkerContext, WorkerOptions};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Notify;

use crate::{ADDED, BATCH};

pub(crate) struct Peers {
    pool: PgPool,
}

/// How many jobs are left to do, and who waits for the last.
#[derive(Clone, Debug, Default)]
struct Left(Arc<(AtomicUsize, Notify)>);

impl Left {
    fn of(jobs: usize) -> Self {
        Self(Arc::new((AtomicUsize::new(jobs), Notify::new())))
    }

    fn done(&self) {
        if self.0.0.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.1.notify_one();
        }
    }
}

/// A job of graphile_worker, which writes an empty object for it, and would not read a unit out of one.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Nothing {}

impl TaskHandler for Nothing {
    const IDENTIFIER: &'static str = "nothing";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        if let Some(left) = context.get_ext::<Left>() {
            left.done();
        }
        Ok::<(), String>(())
    }
}

impl Peers {
    pub(crate) async fn new(url: &str) -> Self {
        let pool = PgPoolOptions::new().max_connections(32).connect(url).await.expect("a database");
        PostgresStorage::setup(&pool).await.expect("the tables of apalis");
        Self { pool }
    }

    pub(crate) async fn apalis(&self, jobs: usize) -> Duration {
        let config = apalis_postgres::Config::default();
        let config = config.queue("bench").batch_size(BATCH).lock_tasks(false).persist_results(false);
        let mut backend = PostgresStorage::new(&self.pool).with_config(config);
        let left = Left::of(jobs);
        let start = Instant::now();
        let mut items = futures_util::stream::iter((0..jobs).map(|job| TaskBuilder::new(job).build()));
        backend.push_all(&mut items).await.expect("the queue of apalis");
        let seen = left.clone();
        let worker = WorkerBuilder::new(format!("bench-{}", uuid::Uuid::now_v7()))
            .backend(backend)
            .concurrency(32)
            .build(move |_: usize| {
                let left = seen.clone();
                async move {
                    left.done();
                    Ok::<(), BoxDynError>(())
                }
            });
        let working = tokio::spawn(worker.run());
        left.0.1.notified().await;
        let took = start.elapsed();
        working.abort();
        took
    }

    pub(crate) async fn graphile(&self, jobs: usize) -> Duration {
        let left = Left::of(jobs);
        let worker = WorkerOptions::default()
            .concurrency(24)
            .schema("graphile_worker")
            .define_job::<Nothing>()
            .pg_pool(self.pool.clone())
            .add_extension(left.clone())
            .listen_os_shutdown_signals(false)
            .local_queue(LocalQueueConfig::default().with_size(500))
            .complete_job_batch_delay(Duration::from_millis(1))
            .init()
            .await
            .expect("a worker of graphile_worker");
        let worker = Arc::new(worker);
        let utils = worker.create_utils();
        let start = Instant::now();
        let spec = JobSpec::default();
        let all = vec![(Nothing {}, &spec); jobs];
        for some in all.chunks(ADDED) {
            utils.add_jobs::<Nothing>(some).await.expect("the queue of graphile_worker");
        }
        let working = tokio::spawn({
            let worker = Arc::clone(&worker);
            async move { worker.run().await }
        });
        left.0.1.notified().await;
        let took = start.elapsed();
        worker.request_shutdown();
        let _ = working.await;
        took
    }
}
