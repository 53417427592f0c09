//! Clauses about logs.

use std::sync::Arc;

use bytes::Bytes;

use super::Clause;
use super::clause::{Broken, clauses, ensure_eq, ensure_refused};
use super::samples::{FIRST, at, job, kept_run};
use crate::executor::LogCursor;
use crate::id::{FencingToken, JobId, RunId};
use crate::job::{LogLine, Stream};
use crate::store::{LogAppend, LogChunk, Store, StoreError};

pub(super) fn clauses() -> Vec<Clause<dyn Store>> {
    clauses![
        lines_are_kept_byte_for_byte,
        the_cursor_moves_with_the_lines,
        a_log_is_read_from_any_line,
        a_page_ends_near_its_size,
        lines_elsewhere_are_a_conflict_and_not_stored,
        lines_of_a_stale_writer_are_fenced,
        a_job_without_a_log_has_an_empty_one,
        logs_of_a_run_are_listed_in_order_and_kept_apart,
        lines_of_a_run_that_is_not_there_are_refused,
        logs_are_begun_together_and_only_where_there_is_none,
    ]
}

pub(super) fn chunk(first_line: u64, stream: Stream, text: &'static [u8]) -> LogChunk {
    let lines = u32::try_from(text.iter().filter(|&&byte| byte == b'\n').count()).unwrap_or(u32::MAX);
    LogChunk {
        first_line,
        lines,
        time: at(i64::try_from(first_line).unwrap_or(0)),
        stream,
        text: Bytes::from_static(text),
    }
}

/// The lines with their numbers, times and streams.
pub(super) fn lines_of(chunks: &[LogChunk]) -> Vec<LogLine> {
    chunks.iter().flat_map(LogChunk::iter).collect()
}

pub(super) fn bytes_of(chunks: &[LogChunk]) -> Vec<u8> {
    chunks.iter().flat_map(|chunk| chunk.text.to_vec()).collect()
}

/// Ten lines of all streams, in three appends.
pub(super) async fn write_ten(store: &Arc<dyn Store>, job: &JobId) -> Result<Vec<LogChunk>, Broken> {
    let appends = [
        vec![chunk(1, Stream::Command, b"$ make\n"), chunk(2, Stream::Stdout, b"two\nthree\r\n\n")],
        vec![chunk(5, Stream::Stderr, b"\x00\xff five\n")],
        vec![chunk(6, Stream::Stdout, "süx\nseven\neight\nnine\nten\n".as_bytes())],
    ];
    let mut line = 0;
    for chunks in &appends {
        let last = chunks.last().map_or(0, LogChunk::last_line);
        let cursor = LogCursor { stdout: last * 10, stderr: last * 100, line: last };
        let append = LogAppend { job, token: FIRST, expected_line: line, chunks, cursor };
        store.append_log(append).await?;
        line = last;
    }
    Ok(appends.concat())
}

async fn lines_are_kept_byte_for_byte(store: Arc<dyn Store>) -> Result<(), Broken> {
    let job = job(kept_run(&store).await?, "build", 1);
    let written = write_ten(&store, &job).await?;
    let page = store.read_log(&job, 0, usize::MAX).await?;
    ensure_eq!(page.last_line, 10, "the number of the last line");
    ensure_eq!(lines_of(&page.chunks), lines_of(&written), "the lines with their numbers, times and streams");
    ensure_eq!(bytes_of(&page.chunks), bytes_of(&written), "the bytes");
    Ok(())
}

async fn the_cursor_moves_with_the_lines(store: Arc<dyn Store>) -> Result<(), Broken> {
    let job = job(kept_run(&store).await?, "build", 1);
    ensure_eq!(store.log_cursor(&job).await?, LogCursor::default(), "the cursor of a log that is not there");
    write_ten(&store, &job).await?;
    let cursor = LogCursor { stdout: 100, stderr: 1000, line: 10 };
    ensure_eq!(store.log_cursor(&job).await?, cursor, "the cursor");
    Ok(())
}

async fn a_log_is_read_from_any_line(store: Arc<dyn Store>) -> Result<(), Broken> {
    let job = job(kept_run(&store).await?, "build", 1);
    write_ten(&store, &job).await?;
    for after in 0..12 {
        let page = store.read_log(&job, after, usize::MAX).await?;
        let numbers: Vec<u64> = page.chunks.iter().flat_map(LogChunk::iter).map(|line| line.line).collect();
        ensure_eq!(numbers, (after + 1..11).collect::<Vec<_>>(), format!("the lines after {after}"));
        let first = page.chunks.first().map(|chunk| chunk.first_line);
        ensure_eq!(first, (after < 10).then_some(after + 1), format!("the first line after {after}"));
        ensure_eq!(page.last_line, 10, "the number of the last line, whatever the page");
    }
    Ok(())
}

async fn a_page_ends_near_its_size(store: Arc<dyn Store>) -> Result<(), Broken> {
    let job = job(kept_run(&store).await?, "build", 1);
    write_ten(&store, &job).await?;
    let mut after = 0;
    let mut pages = 0;
    while after < 10 {
        let page = store.read_log(&job, after, 1).await?;
        ensure_eq!(page.chunks.len(), 1, format!("how many chunks a page of 1 byte after {after} has"));
        after = page.chunks.last().map_or(10, LogChunk::last_line);
        pages += 1;
    }
    ensure_eq!(pages, 4, "how many pages 4 chunks are");
    Ok(())
}

async fn lines_elsewhere_are_a_conflict_and_not_stored(store: Arc<dyn Store>) -> Result<(), Broken> {
    let job = job(kept_run(&store).await?, "build", 1);
    write_ten(&store, &job).await?;
    for (expected_line, first_line) in [(9, 10), (11, 12), (0, 1), (10, 12)] {
        let chunks = [chunk(first_line, Stream::Stdout, b"again\n")];
        let cursor = LogCursor { stdout: 999, stderr: 999, line: first_line };
        let append = LogAppend { job: &job, token: FIRST, expected_line, chunks: &chunks, cursor };
        let refused = store.append_log(append).await;
        ensure_refused!(refused, StoreError::Conflict { .. }, format!("line {first_line} after {expected_line}"));
    }
    ensure_eq!(store.read_log(&job, 10, 100).await?.chunks, [], "the lines behind the last");
    ensure_eq!(store.log_cursor(&job).await?.stdout, 100, "the cursor");
    Ok(())
}

async fn lines_of_a_stale_writer_are_fenced(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    let job = job(run, "build", 1);
    write_ten(&store, &job).await?;
    store.append(run, 0, FencingToken(2), super::samples::life()[..1].into()).await?;
    let chunks = [chunk(11, Stream::Stdout, b"late\n")];
    let cursor = LogCursor { stdout: 999, stderr: 999, line: 11 };
    let append = LogAppend { job: &job, token: FIRST, expected_line: 10, chunks: &chunks, cursor };
    ensure_refused!(store.append_log(append.clone()).await, StoreError::Fenced, "lines with token 1 after 2");
    ensure_eq!(store.log_cursor(&job).await?.line, 10, "the last line");
    store.append_log(LogAppend { token: FencingToken(2), ..append }).await?;
    Ok(())
}

async fn a_job_without_a_log_has_an_empty_one(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    for job in [job(run, "build", 1), job(RunId::new(), "build", 1)] {
        let page = store.read_log(&job, 0, 100).await?;
        ensure_eq!((page.chunks, page.last_line), (Vec::new(), 0), "the page");
        ensure_eq!(store.logs_of_run(job.run).await?, [], "the logs of the run");
    }
    Ok(())
}

async fn logs_of_a_run_are_listed_in_order_and_kept_apart(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    let other = kept_run(&store).await?;
    let jobs = [job(run, "zebra", 1), job(run, "ape[a/b=\u{fc}]", 1), job(run, "zebra", 2), job(other, "zebra", 1)];
    for job in &jobs {
        write_ten(&store, job).await?;
    }
    ensure_eq!(store.logs_of_run(run).await?, jobs[..3], "the logs of the run");
    for job in &jobs {
        ensure_eq!(store.read_log(job, 0, usize::MAX).await?.last_line, 10, "the length of each log");
    }
    Ok(())
}

async fn lines_of_a_run_that_is_not_there_are_refused(store: Arc<dyn Store>) -> Result<(), Broken> {
    let job = job(RunId::new(), "build", 1);
    let chunks = [chunk(1, Stream::Stdout, b"lost\n")];
    let cursor = LogCursor { stdout: 5, stderr: 0, line: 1 };
    let append = LogAppend { job: &job, token: FIRST, expected_line: 0, chunks: &chunks, cursor };
    ensure_refused!(store.append_log(append).await, StoreError::NoRun(_), "appending");
    Ok(())
}

async fn logs_are_begun_together_and_only_where_there_is_none(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    let begun = job(run, "begun", 0);
    write_ten(&store, &begun).await?;
    let jobs = [job(run, "a", 0), begun, job(run, "b", 0), job(run, "a", 1)];
    let chunks = [chunk(1, Stream::Command, b"make\n"), chunk(2, Stream::Stdout, b"two\nthree\r\n")];
    let cursor = LogCursor { line: 3, ..LogCursor::default() };
    let append = |job| LogAppend { job, token: FIRST, expected_line: 0, chunks: &chunks, cursor };
    let appends: Vec<_> = jobs.iter().map(append).collect();
    ensure_eq!(store.begin_logs(&appends).await?, [true, false, true, true], "which were begun");
    ensure_eq!(store.begin_logs(&appends).await?, [false; 4], "which were begun again");
    for job in [&jobs[0], &jobs[2], &jobs[3]] {
        ensure_eq!(store.read_log(job, 0, usize::MAX).await?.chunks, chunks, format!("the log of {job}"));
        ensure_eq!(store.log_cursor(job).await?, cursor, "its end");
    }
    ensure_eq!(store.read_log(&jobs[1], 0, usize::MAX).await?.last_line, 10, "the log that was there");
    store.append(run, 0, FencingToken(2), super::samples::life()[..1].into()).await?;
    ensure_refused!(store.begin_logs(&appends[..1]).await, StoreError::Fenced, "beginning with token 1 after 2");
    let lost = job(RunId::new(), "a", 0);
    ensure_refused!(store.begin_logs(&[append(&lost)]).await, StoreError::NoRun(_), "beginning in no run");
    ensure_eq!(store.begin_logs(&[]).await?.len(), 0, "beginning none");
    Ok(())
}
