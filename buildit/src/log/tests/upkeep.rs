//! The logs of closed runs, looked after by the policy.

use super::*;
use crate::event::{Event, EventBody, RunStatus};
use crate::log::{Upkeep, upkeep};
use crate::store::{LogRetention, StoreError};

/// A run whose job has printed ten bytes, and that ended in this second if it has ended.
async fn printed(store: &MemoryStore, ended: Option<i64>) -> JobId {
    let run = RunId::new();
    let new = NewRun { id: run, ..NewRun::new(PipelineSpec::default(), RunContext::manual(), Timestamp::UNIX_EPOCH) };
    store.create_run(new).await.unwrap();
    let job = JobId { run, stage: "a".into(), attempt: 1 };
    let (token, cursor) = (FencingToken(1), LogCursor { stdout: 10, stderr: 0, line: 1 });
    let (time, text) = (Timestamp::UNIX_EPOCH, "123456789\n".into());
    let chunks = [LogChunk { first_line: 1, lines: 1, time, stream: Stream::Stdout, text }];
    let append = crate::store::LogAppend { job: &job, token, expected_line: 0, chunks: &chunks, cursor };
    store.append_log(append).await.unwrap();
    if let Some(second) = ended {
        let time = Timestamp::new(second, 0).unwrap();
        let bodies = [EventBody::RunStarted, EventBody::RunFinished { status: RunStatus::Succeeded }];
        let events: Vec<_> = bodies.into_iter().zip(1..).map(|(body, seq)| Event { seq, time, body }).collect();
        store.append(run, 0, token, events.into()).await.unwrap();
        store.close_run(run, token).await.unwrap();
    }
    job
}

#[tokio::test]
async fn what_the_policy_does_not_keep_is_removed_and_open_runs_are_not_touched() {
    let store = MemoryStore::new();
    let mut jobs = Vec::new();
    // More than are looked at together.
    for second in 0..200 {
        jobs.push(printed(&store, Some(second)).await);
    }
    let open = printed(&store, None).await;
    let now = Timestamp::new(1000, 0).unwrap();
    assert_eq!(upkeep(&store, LogRetention::default(), now).await.unwrap(), Upkeep::default());
    let retention = LogRetention { max_bytes: Some(700), ..LogRetention::default() };
    let done = upkeep(&store, retention, now).await.unwrap();
    assert_eq!((done.removed, done.removed_bytes), (130, 1300));
    for (place, job) in jobs.iter().enumerate() {
        let read = store.read_log(job, 0, 99).await;
        match place < 130 {
            true => assert!(matches!(read, Err(StoreError::LogRemoved(_))), "{place}: {read:?}"),
            false => assert_eq!(read.unwrap().last_line, 1, "{place}"),
        }
    }
    assert_eq!(store.read_log(&open, 0, 99).await.unwrap().last_line, 1);
    assert_eq!(upkeep(&store, retention, now).await.unwrap(), Upkeep::default(), "once");
}

#[tokio::test]
async fn a_damaged_log_of_a_journal_is_told_and_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = MemoryStore::journaled(folder.path()).unwrap();
    let (first, damaged, last) =
        (printed(&store, Some(1)).await, printed(&store, Some(2)).await, printed(&store, Some(3)).await);
    drop(store);
    let logs = folder.path().join("logs").join(damaged.run.to_string());
    let path = std::fs::read_dir(&logs).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 0x20;
    std::fs::write(&path, &bytes).unwrap();
    let store = MemoryStore::journaled(folder.path()).unwrap();
    let retention = LogRetention { max_runs: Some(0), ..LogRetention::default() };
    for removed in [2, 0] {
        let done = upkeep(&store, retention, Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!((done.removed, done.damaged.len(), done.damaged[0].run), (removed, 1, damaged.run), "{done:?}");
        assert!(done.damaged[0].message.contains(path.to_str().unwrap()), "{done:?}");
    }
    for job in [first, last] {
        assert!(matches!(store.read_log(&job, 0, 99).await, Err(StoreError::LogRemoved(_))));
    }
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "nothing of it is changed");
}

#[tokio::test]
async fn a_log_that_was_removed_from_a_journal_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let open = || MemoryStore::journaled(folder.path()).unwrap();
    let store = open();
    let (gone, kept) = (printed(&store, Some(1)).await, printed(&store, Some(2)).await);
    let retention = LogRetention { max_runs: Some(1), ..LogRetention::default() };
    assert_eq!(upkeep(&store, retention, Timestamp::UNIX_EPOCH).await.unwrap().removed, 1);
    drop(store);
    // A removal that was broken off: what stands in the place of the log is there, and so is the log.
    let logs = folder.path().join("logs").join(gone.run.to_string());
    let stone = std::fs::read_dir(&logs).unwrap().next().unwrap().unwrap().path();
    let log = stone.with_extension("");
    let other = std::fs::read_dir(folder.path().join("logs").join(kept.run.to_string())).unwrap().next();
    std::fs::copy(other.unwrap().unwrap().path(), &log).unwrap();
    let store = open();
    assert!(matches!(store.read_log(&gone, 0, 99).await, Err(StoreError::LogRemoved(_))));
    assert_eq!(store.log_cursor(&gone).await.unwrap().stdout, 10, "where it ended");
    assert!(!log.exists(), "the removal is finished");
    assert_eq!(store.read_log(&kept, 0, 99).await.unwrap().last_line, 1);
    store.delete_run(gone.run).await.unwrap();
    assert!(!logs.exists());
}
