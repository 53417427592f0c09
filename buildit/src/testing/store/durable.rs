//! What must be there when a store is opened again.

use std::sync::Arc;

use super::clause::{Broken, Violation, ensure, ensure_eq, ensure_refused};
use super::samples::{at, claim, event, job, kept_run, lease, life, new_run, waiting};
use crate::event::EventBody;
use crate::executor::LogCursor;
use crate::id::TenantId;
use crate::job::Stream;
use crate::store::{LogAppend, LogChunk, NewRun, RunFilter, Share, Store, StoreError};

/// The name of the clause.
pub(super) const CLAUSE: &str = "what_was_confirmed_is_there_when_the_store_is_opened_again";

pub(super) async fn check(open: impl AsyncFn() -> Arc<dyn Store>) -> Result<(), Violation> {
    try_out(open).await.map_err(|broken| Violation { clause: CLAUSE, what: broken.0 })
}

async fn try_out(open: impl AsyncFn() -> Arc<dyn Store>) -> Result<(), Broken> {
    let store = open().await;
    let ended = kept_run(&store).await?;
    let running = NewRun { group: None, ..new_run("sample", at(5)) };
    store.create_run(running.clone()).await?;
    let token = store.lease_run(ended, lease("first", 20), at(0)).await?;
    store.append(ended, 0, token, life().into()).await?;
    store.close_run(ended, token).await?;
    let held = store.lease_run(running.id, lease("first", 20), at(0)).await?;
    store.append(running.id, 0, held, life()[..4].into()).await?;
    let log = job(running.id, "build", 1);
    let chunk = LogChunk { first_line: 1, lines: 2, time: at(6), stream: Stream::Stderr, text: "a\n\u{fc}\r\n".into() };
    let cursor = LogCursor { stdout: 17, stderr: 6, line: 2 };
    let chunks = [chunk];
    store.append_log(LogAppend { job: &log, token: held, expected_line: 0, chunks: &chunks, cursor }).await?;
    store.enqueue(waiting(running.id)).await?;
    let deleted = kept_run(&store).await?;
    store.append(deleted, 0, token, life().into()).await?;
    store.close_run(deleted, token).await?;
    store.delete_run(deleted).await?;
    let (asked, newer) = super::groups::two_of_a_group(&store).await?;
    let standings = store.standings(&[asked, newer]).await?;
    store.set_share(TenantId::new(), Share::default()).await?;
    let lists = (store.runs(&RunFilter::default(), 9).await?, store.open_runs().await?);
    drop(store);

    let store = open().await;
    ensure_eq!((store.runs(&RunFilter::default(), 9).await?, store.open_runs().await?), lists, "the lists of runs");
    ensure_eq!(store.standings(&[asked, newer]).await?, standings, "how runs of a group stand");
    ensure_eq!(store.events(ended, 0, 99).await?.events, life(), "the events of the run that ended");
    let record = store.run(running.id).await?;
    ensure_eq!((&record.run, record.number, record.last_seq), (&running, 2, 4), "the run that runs");
    ensure_eq!(store.log_cursor(&log).await?, cursor, "the log's cursor");
    ensure_eq!(store.read_log(&log, 0, 99).await?.chunks, chunks, "the log");
    ensure_eq!(store.logs_of_run(running.id).await?, [log], "the logs of the run");
    let taken = store.claim(claim("second", 5), at(100)).await?;
    ensure_eq!(taken.iter().map(|job| job.run).collect::<Vec<_>>(), [running.id], "the queue");
    ensure!(taken.iter().all(|job| job.token > held), "the tokens begin again: {taken:?} after {held:?}");
    let late = [event(5, EventBody::RunStarted)];
    ensure_refused!(
        store.append(running.id, 4, held, late.into()).await,
        StoreError::Fenced,
        "an append of the old holder"
    );
    ensure_eq!(store.create_run(new_run("sample", at(9))).await?.number, 4, "the next number");
    Ok(())
}
