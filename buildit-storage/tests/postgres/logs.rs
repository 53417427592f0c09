//! Logs of closed runs: in the blob store, and in the index.

use std::sync::Arc;

use buildit::event::{Event, EventBody, RunStatus};
use buildit::executor::LogCursor;
use buildit::id::{FencingToken, JobId};
use buildit::job::Stream;
use buildit::store::{LogAppend, LogChunk, LogQuery, LogSearch, LogStore, LogUpkeep, RunStore};
use buildit_storage::ObjectBlobs;
use buildit_storage::postgres::PostgresStore;
use sqlx::PgConnection;

use crate::{Scratch, at, new_run};

const TOKEN: FencingToken = FencingToken(1);

/// A closed run whose only job has printed so many numbered lines, in appends of a thousand.
async fn printed(store: &PostgresStore, lines: u64) -> JobId {
    let run = new_run("sample");
    store.create_run(run.clone()).await.unwrap();
    let job = JobId { run: run.id, stage: "build".into(), attempt: 1 };
    for first in (0..lines).step_by(1000) {
        let last = (first + 1000).min(lines);
        let text: String = (first..last).map(|number| format!("line {}: of many\n", number + 1)).collect();
        let lines = u32::try_from(last - first).unwrap();
        let chunk = LogChunk { first_line: first + 1, lines, time: at(1), stream: Stream::Stdout, text: text.into() };
        let cursor = LogCursor { stdout: last, stderr: 0, line: last };
        let append = LogAppend { job: &job, token: TOKEN, expected_line: first, chunks: &[chunk], cursor };
        store.append_log(append).await.unwrap();
    }
    let bodies = [EventBody::RunStarted, EventBody::RunFinished { status: RunStatus::Succeeded }];
    let events: Vec<_> = bodies.into_iter().zip(1..).map(|(body, seq)| Event { seq, time: at(2), body }).collect();
    store.append(run.id, 0, TOKEN, events.into()).await.unwrap();
    store.close_run(run.id, TOKEN).await.unwrap();
    job
}

async fn number(database: &mut PgConnection, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(database).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn readers_notice_nothing_while_a_log_is_archived() {
    let scratch = Scratch::new().await;
    let folder = tempfile::tempdir().unwrap();
    let store = scratch.store().await.with_blobs(Arc::new(ObjectBlobs::open(folder.path()).unwrap()));
    for _ in 0..5 {
        let job = printed(&store, 50_000).await;
        let reading = tokio::spawn({
            let (store, job) = (store.clone(), job.clone());
            async move {
                let mut after = 0;
                while after < 50_000 {
                    let page = store.read_log(&job, after, 20_000).await.unwrap();
                    assert_eq!(page.chunks.first().unwrap().first_line, after + 1, "no gap and no double");
                    after = page.chunks.last().unwrap().last_line();
                }
            }
        });
        // Two at once, as two engines may.
        let (one, two) = tokio::join!(store.archive_logs(), store.archive_logs());
        assert_eq!(one.unwrap() + two.unwrap(), 1);
        reading.await.unwrap();
    }
    let mut database = scratch.connection().await;
    assert_eq!(number(&mut database, "SELECT count(*) FROM log_chunks").await, 0, "all lines have left the database");
    let referred = "SELECT count(*) FROM job_logs WHERE length(archive_digest) = 64";
    assert_eq!(number(&mut database, referred).await, 5, "the blobs are referred to");
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn two_that_index_at_once_do_no_harm() {
    let scratch = Scratch::new().await;
    let store = scratch.store().await;
    let job = printed(&store, 100_000).await;
    let (one, two) = tokio::join!(store.index_logs(), store.index_logs());
    assert_eq!(one.unwrap() + two.unwrap(), 1);
    let mut database = scratch.connection().await;
    let doubled = "SELECT count(*) - count(DISTINCT first_line) FROM log_blocks";
    assert_eq!(number(&mut database, doubled).await, 0, "no block twice");
    let hits = store.search_logs(&LogQuery::new("line 77777:").unwrap(), None, 9).await.unwrap().hits;
    assert_eq!(hits.iter().map(|hit| (&hit.job, hit.line.line)).collect::<Vec<_>>(), [(&job, 77_777)]);
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_search_asks_the_index() {
    let scratch = Scratch::new().await;
    let store = scratch.store().await;
    printed(&store, 10).await;
    store.index_logs().await.unwrap();
    let mut database = scratch.connection().await;
    let more = "INSERT INTO log_blocks (job_log, first_line, last_line, terms)
         SELECT job_log, 0, 0, ARRAY(SELECT (random() * 60000 - 30000)::smallint FROM generate_series(1, 100 + n * 0))
         FROM log_blocks, generate_series(1, 5000) AS n";
    sqlx::query(more).execute(&mut database).await.unwrap();
    sqlx::query("VACUUM ANALYZE log_blocks").execute(&mut database).await.unwrap();
    let hits = store.search_logs(&LogQuery::new("line 7: of").unwrap(), None, 9).await.unwrap().hits;
    assert_eq!(hits.len(), 1);
    let plan = "EXPLAIN WITH found AS MATERIALIZED (SELECT id FROM log_blocks WHERE terms @> '{1,2,3}'::smallint[])
         SELECT id FROM found";
    let plan: Vec<String> = sqlx::query_scalar(plan).fetch_all(&mut database).await.unwrap();
    assert!(plan.iter().any(|step| step.contains("Bitmap Index Scan on log_index")), "{plan:#?}");
    store.close().await;
    // What the store's own statement did is told when its connection is gone.
    let scans = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'log_index'";
    while number(&mut database, scans).await == 0 {
        sqlx::query("SELECT pg_stat_clear_snapshot()").execute(&mut database).await.unwrap();
    }
}
