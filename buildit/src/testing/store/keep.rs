//! Clauses about the logs of closed runs: moved, removed and searched.

use std::sync::Arc;

use super::clause::{Broken, Clause, clauses, ensure, ensure_eq, ensure_refused};
use super::log::{bytes_of, chunk, lines_of, write_ten};
use super::samples::{FIRST, at, job, kept_run, life};
use crate::executor::LogCursor;
use crate::id::RunId;
use crate::job::{LogLine, Stream};
use crate::store::{LogAppend, LogHit, LogKeep, LogQuery, Store, StoreError};

/// A store that also looks after the logs of closed runs.
pub trait KeepStore: Store + LogKeep {}

impl<T: Store + LogKeep + ?Sized> KeepStore for T {}

pub(super) fn clauses() -> Vec<Clause<dyn KeepStore>> {
    clauses![
        an_archived_log_reads_the_same,
        logs_of_an_open_run_stay,
        a_removed_log_says_so_and_where_it_ended,
        kept_logs_are_listed_newest_first_in_pages,
        lines_are_found_in_closed_runs_the_latest_first,
        a_search_is_narrowed_to_a_run,
        pages_of_a_search_have_every_line_once,
        a_query_is_no_pattern_and_no_language,
        an_archived_log_is_searched,
        removed_and_deleted_logs_are_not_found,
    ]
}

fn plain(store: &Arc<dyn KeepStore>) -> Arc<dyn Store> {
    Arc::clone(store) as Arc<dyn Store>
}

async fn close(store: &Arc<dyn KeepStore>, run: RunId) -> Result<(), Broken> {
    store.append(run, 0, FIRST, life().into()).await?;
    Ok(store.close_run(run, FIRST).await?)
}

/// A closed run whose job `build` has printed this.
async fn printed(store: &Arc<dyn KeepStore>, text: &'static str) -> Result<RunId, Broken> {
    let run = kept_run(&plain(store)).await?;
    let chunks = [chunk(1, Stream::Stdout, text.as_bytes())];
    let cursor = LogCursor { stdout: text.len() as u64, stderr: 0, line: chunks[0].last_line() };
    let build = job(run, "build", 1);
    store.append_log(LogAppend { job: &build, token: FIRST, expected_line: 0, chunks: &chunks, cursor }).await?;
    close(store, run).await?;
    Ok(run)
}

async fn found(store: &Arc<dyn KeepStore>, query: &LogQuery) -> Result<Vec<LogHit>, Broken> {
    let page = store.search_logs(query, None, 1000).await?;
    ensure_eq!(page.next, None, "what follows a page with all lines");
    Ok(page.hits)
}

fn query(text: &str) -> Result<LogQuery, Broken> {
    LogQuery::new(text).map_err(|error| Broken(error.to_string()))
}

async fn an_archived_log_reads_the_same(store: Arc<dyn KeepStore>) -> Result<(), Broken> {
    let build = job(kept_run(&plain(&store)).await?, "build", 1);
    let written = write_ten(&plain(&store), &build).await?;
    close(&store, build.run).await?;
    for time in ["first", "second"] {
        store.archive_logs().await?;
        for after in 0..12 {
            let page = store.read_log(&build, after, usize::MAX).await?;
            let expected: Vec<_> = written.iter().filter_map(|chunk| chunk.after(after)).collect();
            let what = format!("after {after}, archived for the {time} time");
            ensure_eq!(lines_of(&page.chunks), lines_of(&expected), format!("the lines {what}"));
            ensure_eq!(bytes_of(&page.chunks), bytes_of(&expected), format!("the bytes {what}"));
            ensure_eq!(page.last_line, 10, format!("the last line {what}"));
        }
    }
    ensure_eq!(store.log_cursor(&build).await?.line, 10, "the cursor");
    ensure_eq!(store.logs_of_run(build.run).await?, [build], "the logs of the run");
    Ok(())
}

async fn logs_of_an_open_run_stay(store: Arc<dyn KeepStore>) -> Result<(), Broken> {
    let build = job(kept_run(&plain(&store)).await?, "build", 1);
    write_ten(&plain(&store), &build).await?;
    store.archive_logs().await?;
    store.remove_logs(&[build.run, RunId::new()]).await?;
    let chunks = [chunk(11, Stream::Stdout, b"more\n")];
    let cursor = LogCursor { stdout: 111, stderr: 1000, line: 11 };
    store.append_log(LogAppend { job: &build, token: FIRST, expected_line: 10, chunks: &chunks, cursor }).await?;
    ensure_eq!(lines_of(&store.read_log(&build, 0, usize::MAX).await?.chunks).len(), 11, "how many lines it has");
    ensure_eq!(store.kept_logs(u64::MAX, 9).await?, [], "logs of closed runs");
    Ok(())
}

async fn a_removed_log_says_so_and_where_it_ended(store: Arc<dyn KeepStore>) -> Result<(), Broken> {
    let other = printed(&store, "other\n").await?;
    for is_archived in [false, true] {
        let run = printed(&store, "one\ntwo\n").await?;
        let build = job(run, "build", 1);
        if is_archived {
            store.archive_logs().await?;
        }
        store.remove_logs(&[run]).await?;
        store.remove_logs(&[run]).await?;
        let read = store.read_log(&build, 0, 99).await;
        ensure_refused!(read, StoreError::LogRemoved(_), "reading a log that was removed");
        ensure_eq!(store.log_cursor(&build).await?.line, 2, "where it ended");
        ensure_eq!(store.logs_of_run(run).await?, [build], "the logs that the run had");
    }
    ensure_eq!(store.read_log(&job(other, "build", 1), 0, 99).await?.last_line, 1, "the log of another run");
    let kept: Vec<RunId> = store.kept_logs(u64::MAX, 9).await?.iter().map(|logs| logs.run).collect();
    ensure_eq!(kept, [other], "the runs whose logs are kept");
    Ok(())
}

async fn kept_logs_are_listed_newest_first_in_pages(store: Arc<dyn KeepStore>) -> Result<(), Broken> {
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(printed(&store, "0123456789\n").await?);
    }
    close(&store, kept_run(&plain(&store)).await?).await?;
    let mut listed = Vec::new();
    let mut before = u64::MAX;
    loop {
        let page = store.kept_logs(before, 2).await?;
        ensure!(page.len() <= 2, "a page of 2 has {}", page.len());
        let Some(last) = page.last() else { break };
        before = last.place;
        listed.extend(page);
        ensure!(listed.len() <= 3, "a page begins before its place: {listed:?}");
    }
    let expected: Vec<RunId> = runs.into_iter().rev().collect();
    ensure_eq!(listed.iter().map(|logs| logs.run).collect::<Vec<_>>(), expected, "the runs");
    ensure!(listed.iter().all(|logs| logs.bytes >= 11), "the bytes of their text: {listed:?}");
    ensure!(listed.iter().all(|logs| logs.finished_at == at(10)), "their ends: {listed:?}");
    Ok(())
}

async fn lines_are_found_in_closed_runs_the_latest_first(store: Arc<dyn KeepStore>) -> Result<(), Broken> {
    let first = printed(&store, "one error\nfine\nAnother ERROR here\r\n").await?;
    let second = printed(&store, "no err\nan errOR: erROr\n").await?;
    let open = job(kept_run(&plain(&store)).await?, "build", 1);
    write_ten(&plain(&store), &open).await?;
    store.index_logs().await?;
    store.index_logs().await?;
    let hit = |run, line, text: &str| {
        let (time, text) = (at(1), text.to_owned());
        LogHit { job: job(run, "build", 1), line: LogLine { line, time, stream: Stream::Stdout, text } }
    };
    let expected = [hit(second, 2, "an errOR: erROr"), hit(first, 3, "Another ERROR here"), hit(first, 1, "one error")];
    ensure_eq!(found(&store, &query("error")?).await?, expected, "the lines with `error`");
    ensure_eq!(found(&store, &query("error h")?).await?, expected[1..2], "the lines with `error h`");
    ensure_eq!(found(&store, &query("errors")?).await?, [], "the lines with `errors`");
    Ok(())
}

async fn a_search_is_narrowed_to_a_run(store: Arc<dyn KeepStore>) -> Result<(), Broken> {
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(printed(&store, "same\nother\nsame\n").await?);
    }
    store.index_logs().await?;
    for run in runs {
        let hits = found(&store, &query("same")?.in_run(run)).await?;
        let places: Vec<_> = hits.iter().map(|hit| (hit.job.run, hit.line.line)).collect();
        ensure_eq!(places, [(run, 3), (run, 1)], "the lines of the run");
    }
    ensure_eq!(found(&store, &query("same")?.in_run(RunId::new())).await?, [], "lines of no run");
    Ok(())
}

async fn pages_of_a_search_have_every_line_once(store: Arc<dyn KeepStore>) -> Result<(), Broken> {
    for _ in 0..3 {
        printed(&store, "line 1\nline 2\nelse\nline 4\nline 5\n").await?;
    }
    store.index_logs().await?;
    let all = found(&store, &query("line")?).await?;
    ensure_eq!(all.len(), 12, "how many lines there are");
    for limit in [1, 2, 3, 4, 5, 11, 12] {
        let (mut hits, mut next) = (Vec::new(), None);
        for _ in 0..40 {
            let page = store.search_logs(&query("line")?, next, limit).await?;
            ensure!(page.hits.len() <= limit, "a page of {limit} has {}", page.hits.len());
            hits.extend(page.hits);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        ensure_eq!(hits, all, format!("the lines in pages of {limit}"));
    }
    Ok(())
}

async fn a_query_is_no_pattern_and_no_language(store: Arc<dyn KeepStore>) -> Result<(), Broken> {
    let lines = [
        "say \"quoted\" 'text'",
        "a OR b AND NOT c NEAR(d)",
        "100% of _it_ *all*",
        r"C:\path\to\file {x} [y] (z) ^$ ~!",
        "terms: col-umn; -- DROP TABLE job_logs",
        "s\u{fc}\u{df} \u{1f980} and \u{0}nul",
    ];
    printed(
        &store,
        "say \"quoted\" 'text'\na OR b AND NOT c NEAR(d)\n100% of _it_ *all*\nC:\\path\\to\\file {x} [y] (z) ^$ ~!\n\
         terms: col-umn; -- DROP TABLE job_logs\ns\u{fc}\u{df} \u{1f980} and \u{0}nul\n",
    )
    .await?;
    store.index_logs().await?;
    for (line, number) in lines.iter().zip(1..) {
        for text in [line, &line[line.len() - 6..], &line[..6]] {
            let numbers: Vec<u64> = found(&store, &query(text)?).await?.iter().map(|hit| hit.line.line).collect();
            ensure_eq!(numbers, [number], format!("the lines with `{text}`"));
        }
    }
    for text in ["\"\"\"", "%%%", "___", "***", "a* OR b*", "terms:say", "^say", "'; --", "\u{0}\u{0}\u{0}"] {
        ensure_eq!(found(&store, &query(text)?).await?, [], format!("the lines with `{text}`"));
    }
    let long = "AND \"".repeat(200_000);
    ensure_eq!(found(&store, &query(&long)?).await?, [], "the lines with a megabyte");
    Ok(())
}

async fn an_archived_log_is_searched(store: Arc<dyn KeepStore>) -> Result<(), Broken> {
    let first = printed(&store, "needle\n").await?;
    store.index_logs().await?;
    store.archive_logs().await?;
    let second = printed(&store, "needle\n").await?;
    store.archive_logs().await?;
    store.index_logs().await?;
    let runs: Vec<RunId> = found(&store, &query("needle")?).await?.iter().map(|hit| hit.job.run).collect();
    ensure_eq!(runs, [second, first], "the runs whose archived logs have the line");
    Ok(())
}

async fn removed_and_deleted_logs_are_not_found(store: Arc<dyn KeepStore>) -> Result<(), Broken> {
    let (removed, deleted) = (printed(&store, "needle\n").await?, printed(&store, "needle\n").await?);
    let kept = printed(&store, "needle\n").await?;
    let late = printed(&store, "needle\n").await?;
    store.remove_logs(&[late]).await?;
    store.index_logs().await?;
    store.remove_logs(&[removed]).await?;
    store.delete_run(deleted).await?;
    let runs: Vec<RunId> = found(&store, &query("needle")?).await?.iter().map(|hit| hit.job.run).collect();
    ensure_eq!(runs, [kept], "the runs whose logs have the line");
    Ok(())
}
