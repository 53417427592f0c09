//! `PostgresStore`.

use std::time::{Duration, Instant};

use buildit::id::RunId;
use buildit::store::{Claim, Enqueue, QueueStore};
use buildit_storage::postgres::PostgresStore;
use jiff::Timestamp;
use sqlx::PgPool;

use crate::{ADDED, BATCH, LOOPS};

pub(crate) struct Ours {
    store: PostgresStore,
    /// Another engine's.
    other: PostgresStore,
    outside: PgPool,
    runs: Vec<RunId>,
}

fn waiting(run: RunId) -> Enqueue {
    let tenant = uuid::Uuid::nil().into();
    Enqueue { run, tenant, priority: 0, scheduled_for: Timestamp::UNIX_EPOCH, max_attempts: 5 }
}

fn claim(limit: usize) -> Claim {
    Claim { worker: "bench".into(), limit, lease: Duration::from_secs(60) }
}

impl Ours {
    /// A store with so many runs.
    pub(crate) async fn new(url: &str, runs: usize) -> Self {
        let connect = || async { PostgresStore::connect(url).await.expect("a store") };
        let (store, other) = (connect().await, connect().await);
        let outside = PgPool::connect(url).await.expect("a database");
        let pipeline = "INSERT INTO pipelines (name, created_at) VALUES ('sample', now())";
        sqlx::query(pipeline).execute(&outside).await.expect("a pipeline");
        let fill = "INSERT INTO pipeline_runs (id, pipeline, number, status, created_at, definition, progress)
             SELECT gen_random_uuid(), (SELECT place FROM pipelines), n, 'queued', now(), repeat('{}', 400), '{}'
             FROM generate_series(1, $1::bigint) n";
        sqlx::query(fill).bind(runs as i64).execute(&outside).await.expect("the runs");
        let ids = sqlx::query_scalar("SELECT id FROM pipeline_runs ORDER BY place").fetch_all(&outside).await;
        let ids: Vec<uuid::Uuid> = ids.expect("the runs");
        Self { store, other, outside, runs: ids.into_iter().map(RunId::from).collect() }
    }

    /// Queues, claims and completes all of them.
    pub(crate) async fn all(&self) -> Duration {
        for table in ["VACUUM job_queue", "VACUUM pipeline_runs", "VACUUM queue_tenants"] {
            sqlx::query(table).execute(&self.outside).await.expect("a vacuum");
        }
        let start = Instant::now();
        for runs in self.runs.chunks(ADDED) {
            self.store.enqueue_all(runs.iter().copied().map(waiting).collect()).await.expect("the queue");
        }
        let loops: Vec<_> = (0..LOOPS).map(|_| tokio::spawn(drain(self.store.clone()))).collect();
        let mut done = 0;
        for task in loops {
            done += task.await.expect("a loop");
        }
        assert_eq!(done, self.runs.len(), "how many were done");
        start.elapsed()
    }

    /// How long it takes from a call of `enqueue` until somebody who waits has the run.
    pub(crate) async fn pickup(&self) -> Duration {
        let other = self.other.clone();
        let waiter = tokio::spawn(async move {
            loop {
                let jobs = other.claim(claim(1), Timestamp::now()).await.expect("a claim");
                if let Some(job) = jobs.into_iter().next() {
                    let end = Instant::now();
                    other.complete(job.run, job.token).await.expect("a completion");
                    return end;
                }
                other.queue_changed().await;
            }
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
        let start = Instant::now();
        self.store.enqueue(waiting(self.runs[0])).await.expect("the queue");
        waiter.await.expect("the waiter") - start
    }
}

async fn drain(store: PostgresStore) -> usize {
    let mut done = 0;
    loop {
        let jobs = store.claim(claim(BATCH), Timestamp::now()).await.expect("a claim");
        if jobs.is_empty() {
            return done;
        }
        let jobs: Vec<_> = jobs.iter().map(|job| (job.run, job.token)).collect();
        assert!(store.complete_all(&jobs).await.expect("a completion").is_empty(), "a run was refused");
        done += jobs.len();
    }
}
