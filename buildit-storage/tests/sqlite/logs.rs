//! Logs of closed runs: in the blob store, and in the index.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use buildit::artifact::{BlobError, BlobStore, BlobStream};
use buildit::event::{Event, EventBody, RunStatus};
use buildit::executor::LogCursor;
use buildit::id::{Digest, FencingToken, JobId};
use buildit::job::Stream;
use buildit::store::{LogAppend, LogChunk, LogQuery, LogSearch, LogStore, LogUpkeep, RunStore, StoreError};
use buildit_storage::ObjectBlobs;
use buildit_storage::sqlite::SqliteStore;
use bytes::Bytes;
use sqlx::{Connection, SqliteConnection};

use crate::{at, new_run};

const TOKEN: FencingToken = FencingToken(1);

/// A closed run whose only job has printed these lines, in appends of a thousand.
pub(crate) async fn printed(store: &SqliteStore, lines: u64, line: impl Fn(u64) -> String) -> JobId {
    let run = new_run("sample");
    store.create_run(run.clone()).await.unwrap();
    let job = JobId { run: run.id, stage: "build".into(), attempt: 1 };
    for first in (0..lines).step_by(1000) {
        let last = (first + 1000).min(lines);
        let text: String = (first..last).map(|number| line(number + 1) + "\n").collect();
        let lines = u32::try_from(last - first).unwrap();
        let chunk = LogChunk { first_line: first + 1, lines, time: at(1), stream: Stream::Stdout, text: text.into() };
        let cursor = LogCursor { stdout: last, stderr: 0, line: last };
        let append = LogAppend { job: &job, token: TOKEN, expected_line: first, chunks: &[chunk], cursor };
        store.append_log(append).await.unwrap();
    }
    let bodies = [EventBody::RunStarted, EventBody::RunFinished { status: RunStatus::Succeeded }];
    let events: Vec<_> =
        bodies.into_iter().zip(1..).map(|(body, seq)| Event { seq, time: at(seq as i64), body }).collect();
    store.append(run.id, 0, TOKEN, events.into()).await.unwrap();
    store.close_run(run.id, TOKEN).await.unwrap();
    job
}

async fn text_of(store: &SqliteStore, job: &JobId) -> String {
    let mut text = Vec::new();
    let mut after = 0;
    loop {
        let page = store.read_log(job, after, 100_000).await.unwrap();
        let Some(last) = page.chunks.last() else { break };
        after = last.last_line();
        page.chunks.iter().for_each(|chunk| text.extend_from_slice(&chunk.text));
    }
    String::from_utf8(text).unwrap()
}

async fn rows(file: &Path, table: &str) -> i64 {
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
        .fetch_one(&mut database)
        .await
        .unwrap()
}

/// A blob store that never comes back from a `put` that has kept its blob, once it is told so.
#[derive(Debug)]
struct Stuck {
    blobs: ObjectBlobs,
    is_stuck: AtomicBool,
    kept: tokio::sync::Notify,
}

#[async_trait]
impl BlobStore for Stuck {
    async fn put(&self, content: BlobStream) -> Result<(Digest, u64), BlobError> {
        let kept = self.blobs.put(content).await?;
        if self.is_stuck.load(Ordering::Relaxed) {
            self.kept.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(kept)
    }

    async fn open(&self, digest: &Digest) -> Result<BlobStream, BlobError> {
        self.blobs.open(digest).await
    }

    async fn read_range(&self, digest: &Digest, range: std::ops::Range<u64>) -> Result<Bytes, BlobError> {
        self.blobs.read_range(digest, range).await
    }

    async fn contains(&self, digest: &Digest) -> Result<bool, BlobError> {
        self.blobs.contains(digest).await
    }
}

#[tokio::test]
async fn a_log_that_was_kept_as_a_blob_and_not_noted_is_archived_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    let blobs = ObjectBlobs::open(&folder.path().join("blobs")).unwrap();
    let stuck = Arc::new(Stuck { blobs, is_stuck: AtomicBool::new(true), kept: tokio::sync::Notify::new() });
    let store = SqliteStore::open(&file).await.unwrap().with_blobs(stuck.clone());
    let job = printed(&store, 20_000, |number| format!("line {number} of many")).await;
    let written = text_of(&store, &job).await;
    let archiving = tokio::spawn({
        let store = store.clone();
        async move { store.archive_logs().await }
    });
    stuck.kept.notified().await;
    // As a kill does, between the blob and the note of it.
    archiving.abort();
    let _ = archiving.await;
    drop(store);
    let store = SqliteStore::open(&file).await.unwrap().with_blobs(stuck.clone());
    assert_eq!(text_of(&store, &job).await, written, "nothing is lost");
    assert_eq!(rows(&file, "job_logs WHERE archive_digest IS NOT NULL").await, 0);
    stuck.is_stuck.store(false, Ordering::Relaxed);
    assert_eq!(store.archive_logs().await.unwrap(), 1);
    assert_eq!(store.archive_logs().await.unwrap(), 0, "once");
    assert_eq!(text_of(&store, &job).await, written);
    assert_eq!(rows(&file, "log_chunks").await, 0, "its lines have left the database");
    assert_eq!(rows(&file, "job_logs WHERE length(archive_digest) = 64").await, 1, "the blob is referred to");
}

#[tokio::test]
async fn an_archived_log_whose_blob_is_damaged_or_missing_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    let blobs = folder.path().join("blobs");
    let store = SqliteStore::open(&file).await.unwrap();
    let opened = store.clone().with_blobs(Arc::new(ObjectBlobs::open(&blobs).unwrap()));
    let job = printed(&store, 5000, |number| format!("line {number} of many")).await;
    assert_eq!(store.archive_logs().await.unwrap(), 0, "there is nowhere to move it to");
    assert_eq!(opened.archive_logs().await.unwrap(), 1);
    let error = store.read_log(&job, 0, 10).await.unwrap_err();
    assert!(matches!(&error, StoreError::Backend { .. }), "without the blob store: {error:?}");
    let blob = find_blob(&blobs);
    let whole = std::fs::read(&blob).unwrap();
    for place in [1, 8, 40, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x40;
        std::fs::write(&blob, damaged).unwrap();
        let read = opened.read_log(&job, 0, usize::MAX).await;
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "byte {place}: {read:?}");
    }
    std::fs::write(&blob, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(opened.read_log(&job, 4000, usize::MAX).await, Err(StoreError::Corrupt(_))), "cut off");
    std::fs::remove_file(&blob).unwrap();
    assert!(matches!(opened.read_log(&job, 0, 10).await, Err(StoreError::Backend { .. })), "missing");
    // A search passes over what cannot be read, and so does the index.
    assert_eq!(opened.archive_logs().await.unwrap(), 0);
}

fn find_blob(folder: &Path) -> std::path::PathBuf {
    let entry = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    if entry.is_dir() { find_blob(&entry) } else { entry }
}

#[tokio::test]
async fn an_index_that_was_broken_off_goes_on_and_two_at_once_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    let store = SqliteStore::open(&file).await.unwrap();
    // Many blocks, so that the index of it is several transactions.
    let line = |number| format!("line {number}: {}", "some text that fills a block of the index".repeat(10));
    let job = printed(&store, 8000, line).await;
    let indexing = tokio::spawn({
        let store = store.clone();
        async move { store.index_logs().await }
    });
    while rows(&file, "log_blocks").await == 0 {
        tokio::task::yield_now().await;
    }
    indexing.abort();
    let _ = indexing.await;
    let (one, two) = tokio::join!(store.index_logs(), store.index_logs());
    assert_eq!(one.unwrap() + two.unwrap(), 1);
    let blocks = rows(&file, "log_blocks").await;
    assert!(blocks > 8, "{blocks}");
    assert_eq!(rows(&file, "job_logs WHERE indexed = 1 AND indexed_line = last_line").await, 1);
    let query = "(SELECT DISTINCT first_line FROM log_blocks)";
    assert_eq!(rows(&file, query).await, blocks, "no block twice");
    for number in [1, 3999, 8000] {
        let query = LogQuery::new(&format!("line {number}:")).unwrap();
        let hits = store.search_logs(&query, None, 10).await.unwrap().hits;
        assert_eq!(hits.iter().map(|hit| hit.line.line).collect::<Vec<_>>(), [number]);
    }
    store.remove_logs(&[job.run]).await.unwrap();
    assert_eq!((rows(&file, "log_blocks").await, rows(&file, "log_frames").await), (0, 0));
    assert_eq!(rows(&file, "log_index WHERE log_index MATCH '0000 OR ffff'").await, 0);
}
