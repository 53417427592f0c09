//! Several engines on one database.

use std::sync::Arc;
use std::time::Duration;

use buildit::id::TenantId;
use buildit::store::{Claim, Enqueue, QueueStore, RunStore, Store};

use crate::{Scratch, at, engines, new_run};

async fn stores(scratch: &Scratch, count: usize) -> Vec<Arc<dyn Store>> {
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for _ in 0..count {
        stores.push(Arc::new(scratch.store().await));
    }
    stores
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn groups_hold_among_engines() {
    let scratch = Scratch::new().await;
    engines::groups_hold(&stores(&scratch, 2).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn any_engine_asks_something_of_any_run() {
    let scratch = Scratch::new().await;
    engines::asks_are_heeded(&stores(&scratch, 2).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn shares_hold_among_eight_claimers() {
    let scratch = Scratch::new().await;
    engines::shares_hold(&stores(&scratch, 8).await, 8, new_run).await;
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_claim_looks_at_little_of_a_long_queue() {
    let scratch = Scratch::new().await;
    let store = scratch.store().await;
    let mut connection = scratch.connection().await;
    store.create_run(new_run("sample")).await.unwrap();
    // 100,000 runs of 1,000 tenants, as they would be made one by one.
    for fill in [
        "INSERT INTO pipeline_runs (id, pipeline, number, status, created_at, definition, progress)
         SELECT gen_random_uuid(), pipeline, 1 + n, status, created_at, definition, progress
         FROM pipeline_runs, generate_series(1, 100000) n",
        "INSERT INTO job_queue (job_type, subject, tenant_id, priority, max_attempts, scheduled_for)
         SELECT 'run', id, md5((number % 1000)::text)::uuid, 0, 5, created_at FROM pipeline_runs WHERE number > 1",
        "INSERT INTO queue_tenants (tenant_id, turn, is_ready) SELECT DISTINCT tenant_id, 0, true FROM job_queue",
        "ANALYZE",
    ] {
        sqlx::query(fill).execute(&mut connection).await.unwrap();
    }
    let late = TenantId::new();
    let run = new_run("sample");
    sqlx::query("UPDATE pipelines SET last_number = 200000").execute(&mut connection).await.unwrap();
    store.create_run(run.clone()).await.unwrap();
    store
        .enqueue(Enqueue { run: run.id, tenant: late, priority: 0, scheduled_for: at(0), max_attempts: 3 })
        .await
        .unwrap();
    let late_claims = 20;
    let rows = "SELECT sum(idx_tup_fetch + seq_tup_read)::bigint FROM pg_stat_user_tables
         WHERE relname IN ('job_queue', 'pipeline_runs', 'queue_tenants')";
    sqlx::query("SELECT pg_stat_force_next_flush()").execute(&mut connection).await.unwrap();
    let before: i64 = sqlx::query_scalar(rows).fetch_one(&mut connection).await.unwrap();
    let mut found = false;
    for _ in 0..late_claims {
        let claim = Claim { worker: "one".into(), limit: 100, lease: Duration::from_secs(60) };
        let taken = store.claim(claim, at(1)).await.unwrap();
        assert_eq!(taken.len(), 100);
        found |= taken.iter().any(|job| job.tenant == late);
    }
    assert!(found, "a tenant that comes late waits for all others of the first round");
    // Backends tell their counts when they end.
    store.close().await;
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
         AND backend_type = 'client backend'";
    while sqlx::query_scalar::<_, i64>(others).fetch_one(&mut connection).await.unwrap() > 0 {}
    let after: i64 = sqlx::query_scalar(rows).fetch_one(&mut connection).await.unwrap();
    let each = (after - before) / late_claims;
    assert!((100..4000).contains(&each), "a claim of 100 looks at {each} rows of 100,000");
}
