//! Clauses about runs and their events.

use std::sync::Arc;

use futures_util::future::join_all;

use super::Clause;
use super::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use super::samples::{FIRST, at, event, job, kept_run, lease, life, new_run};
use crate::event::{EventBody, RunStatus};
use crate::executor::LogCursor;
use crate::id::{FencingToken, RunId};
use crate::job::Stream;
use crate::store::{LogAppend, LogChunk, RunFilter, Store, StoreError, TakenRun};

pub(super) fn clauses() -> Vec<Clause<dyn Store>> {
    clauses![
        a_run_is_kept_as_it_was_created,
        runs_of_a_pipeline_are_numbered_from_one,
        runs_created_at_once_have_different_numbers,
        an_id_is_taken_once,
        a_run_that_is_not_there_is_an_error,
        events_are_kept_in_order,
        events_are_read_in_pages,
        an_append_elsewhere_is_a_conflict_and_stores_nothing,
        an_append_with_a_gap_stores_nothing,
        one_of_two_appends_at_once_wins,
        a_writer_with_a_smaller_token_is_fenced,
        a_new_lease_fences_the_old_writer,
        a_lease_that_is_held_is_refused,
        a_lease_is_renewed_with_the_same_token,
        a_lease_that_ended_is_taken_with_a_larger_token,
        runs_that_nobody_holds_are_taken_up_together,
        the_status_follows_the_events,
        runs_are_listed_newest_first,
        a_run_is_open_until_it_is_closed,
        a_run_is_not_closed_before_its_end_or_by_a_stale_writer,
        a_deleted_run_is_gone_and_its_number_is_not_given_again,
        a_run_that_is_open_is_not_deleted,
    ]
}

async fn a_run_is_kept_as_it_was_created(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = new_run("sample", at(0));
    let created = store.create_run(run.clone()).await?;
    let read = store.run(run.id).await?;
    ensure_eq!(read, created, "the run as it is read");
    ensure_eq!(read.run, run, "what it was created with");
    ensure_eq!((read.number, read.status, read.last_seq), (1, RunStatus::Queued, 0), "a new run");
    Ok(())
}

async fn runs_of_a_pipeline_are_numbered_from_one(store: Arc<dyn Store>) -> Result<(), Broken> {
    for (pipeline, number) in [("a", 1), ("b", 1), ("a", 2), ("a", 3), ("b", 2)] {
        let created = store.create_run(new_run(pipeline, at(0))).await?;
        ensure_eq!(created.number, number, format!("the number of a run of `{pipeline}`"));
        ensure_eq!(store.run(created.run.id).await?.number, number, "the number as it is read");
    }
    Ok(())
}

async fn runs_created_at_once_have_different_numbers(store: Arc<dyn Store>) -> Result<(), Broken> {
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.create_run(new_run("sample", at(0))).await })
        })
        .collect();
    let mut numbers = Vec::new();
    for created in join_all(tasks).await {
        numbers.push(created.map_err(|error| Broken(error.to_string()))??.number);
    }
    numbers.sort_unstable();
    ensure_eq!(numbers, (1..=16).collect::<Vec<_>>(), "the numbers of 16 runs");
    Ok(())
}

async fn an_id_is_taken_once(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = new_run("sample", at(0));
    store.create_run(run.clone()).await?;
    store.append(run.id, 0, FIRST, life()[..1].into()).await?;
    ensure_refused!(store.create_run(run.clone()).await, StoreError::Exists(_), "a second run of the same id");
    ensure_eq!(store.run(run.id).await?.last_seq, 1, "the events of the first");
    ensure_eq!(store.create_run(new_run("sample", at(0))).await?.number, 2, "the next number");
    Ok(())
}

async fn a_run_that_is_not_there_is_an_error(store: Arc<dyn Store>) -> Result<(), Broken> {
    let id = RunId::new();
    ensure_refused!(store.run(id).await, StoreError::NoRun(_), "reading it");
    ensure_refused!(store.events(id, 0, 1).await, StoreError::NoRun(_), "reading its events");
    ensure_refused!(store.append(id, 0, FIRST, life().into()).await, StoreError::NoRun(_), "appending to it");
    ensure_refused!(store.lease_run(id, lease("w", 10), at(0)).await, StoreError::NoRun(_), "leasing it");
    ensure_refused!(store.close_run(id, FIRST).await, StoreError::NoRun(_), "closing it");
    Ok(())
}

async fn events_are_kept_in_order(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    let all = life();
    store.append(run, 0, FIRST, all[..3].into()).await?;
    store.append(run, 3, FIRST, Arc::default()).await?;
    store.append(run, 3, FIRST, all[3..].into()).await?;
    let page = store.events(run, 0, usize::MAX).await?;
    ensure_eq!(page.events, all, "the events");
    ensure_eq!(page.last_seq, 10, "the number of the last");
    ensure_eq!(store.run(run).await?.last_seq, 10, "the number that the run tells");
    Ok(())
}

async fn events_are_read_in_pages(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    let all = life();
    for (index, event) in all.iter().enumerate() {
        store.append(run, index as u64, FIRST, std::slice::from_ref(event).into()).await?;
    }
    for (after, limit, seqs) in
        [(0, 4, 1..5), (4, 4, 5..9), (8, 4, 9..11), (10, 4, 11..11), (99, 4, 11..11), (2, 0, 3..3)]
    {
        let page = store.events(run, after, limit).await?;
        let read: Vec<u64> = page.events.iter().map(|event| event.seq).collect();
        ensure_eq!(read, seqs.collect::<Vec<_>>(), format!("the page of {limit} after {after}"));
        ensure_eq!(page.last_seq, 10, "the number of the last, whatever the page");
    }
    Ok(())
}

async fn an_append_elsewhere_is_a_conflict_and_stores_nothing(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    let all = life();
    store.append(run, 0, FIRST, all[..2].into()).await?;
    let conflict = |expected| StoreError::Conflict { expected, actual: 2 };
    for (expected, events) in [(1, &all[1..3]), (0, &all[..3]), (3, &all[3..4])] {
        let refused = store.append(run, expected, FIRST, events.into()).await;
        let wanted = conflict(expected);
        ensure!(
            matches!(&refused, Err(error) if error.to_string() == wanted.to_string()),
            "an append behind {expected}: {refused:?} instead of {wanted:?}"
        );
    }
    ensure_eq!(store.events(run, 0, 100).await?.events, all[..2], "the events afterwards");
    store.append(run, 2, FIRST, all[2..].into()).await?;
    Ok(())
}

async fn an_append_with_a_gap_stores_nothing(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    let mut events = life();
    events.remove(1);
    ensure_refused!(store.append(run, 0, FIRST, events.into()).await, StoreError::Conflict { .. }, "events 1, 3, 4, …");
    ensure_eq!(store.events(run, 0, 100).await?.events, [], "the events afterwards");
    Ok(())
}

async fn one_of_two_appends_at_once_wins(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    let tasks: Vec<_> = (0..8)
        .map(|writer| {
            let store = Arc::clone(&store);
            let reason = format!("writer {writer}").into();
            tokio::spawn(async move {
                store.append(run, 0, FIRST, [event(1, EventBody::CancelRequested { reason })].into()).await
            })
        })
        .collect();
    let mut stored = 0;
    for appended in join_all(tasks).await {
        match appended.map_err(|error| Broken(error.to_string()))? {
            Ok(()) => stored += 1,
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    ensure_eq!(stored, 1, "how many of 8 writers stored event 1");
    ensure_eq!(store.events(run, 0, 100).await?.events.len(), 1, "how many events there are");
    Ok(())
}

async fn a_writer_with_a_smaller_token_is_fenced(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    let all = life();
    store.append(run, 0, FencingToken(5), all[..1].into()).await?;
    ensure_refused!(
        store.append(run, 1, FencingToken(4), all[1..].into()).await,
        StoreError::Fenced,
        "token 4 after 5"
    );
    ensure_eq!(store.run(run).await?.last_seq, 1, "the number of the last event");
    store.append(run, 1, FencingToken(5), all[1..].into()).await?;
    Ok(())
}

async fn a_new_lease_fences_the_old_writer(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    let old = store.lease_run(run, lease("old", 10), at(0)).await?;
    store.append(run, 0, old, life()[..1].into()).await?;
    let new = store.lease_run(run, lease("new", 30), at(11)).await?;
    ensure_refused!(store.append(run, 1, old, life()[1..].into()).await, StoreError::Fenced, "the old holder's append");
    ensure_eq!(store.events(run, 0, 100).await?.events.len(), 1, "how many events there are");
    store.append(run, 1, new, life()[1..].into()).await?;
    Ok(())
}

async fn a_lease_that_is_held_is_refused(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    let token = store.lease_run(run, lease("one", 10), at(0)).await?;
    ensure_refused!(store.lease_run(run, lease("two", 60), at(9)).await, StoreError::Fenced, "another's lease");
    store.append(run, 0, token, life().into()).await?;
    Ok(())
}

async fn a_lease_is_renewed_with_the_same_token(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    let token = store.lease_run(run, lease("one", 10), at(0)).await?;
    ensure_eq!(store.lease_run(run, lease("one", 20), at(5)).await?, token, "the token of a renewed lease");
    ensure_refused!(store.lease_run(run, lease("two", 60), at(15)).await, StoreError::Fenced, "another's lease then");
    Ok(())
}

async fn a_lease_that_ended_is_taken_with_a_larger_token(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    let mut last = store.lease_run(run, lease("0", 10), at(0)).await?;
    for turn in 1..4 {
        let token = store.lease_run(run, lease(&turn.to_string(), turn * 10 + 10), at(turn * 10)).await?;
        ensure!(token > last, "the token {token:?} of a new holder is not larger than {last:?}");
        last = token;
    }
    Ok(())
}

async fn runs_that_nobody_holds_are_taken_up_together(store: Arc<dyn Store>) -> Result<(), Broken> {
    let (left, held, new) = (kept_run(&store).await?, kept_run(&store).await?, kept_run(&store).await?);
    let before = store.lease_run(left, lease("one", 10), at(0)).await?;
    store.append(left, 0, before, life()[..3].into()).await?;
    store.lease_run(held, lease("one", 60), at(0)).await?;
    let taken = store.take_up(&[left, RunId::new(), held, new], lease("two", 40), at(20)).await?;
    ensure_eq!(taken.iter().map(|run| run.record.run.id).collect::<Vec<_>>(), [left, new], "which runs are taken up");
    for run in &taken {
        ensure_eq!(run.record, store.run(run.record.run.id).await?, "the record of a run that was taken up");
    }
    ensure!(life().starts_with(&taken[0].events), "the events of a run that was taken up are {:?}", taken[0].events);
    ensure_refused!(
        store.append(left, 3, before, life()[3..].into()).await,
        StoreError::Fenced,
        "the old holder's append"
    );
    store.append(left, 3, taken[0].token, life()[3..].into()).await?;
    let again = store.take_up(&[left, new], lease("two", 60), at(30)).await?;
    let tokens = |runs: &[TakenRun]| runs.iter().map(|run| run.token).collect::<Vec<_>>();
    ensure_eq!(tokens(&again), tokens(&taken), "the tokens of leases that are renewed");
    Ok(())
}

async fn the_status_follows_the_events(store: Arc<dyn Store>) -> Result<(), Broken> {
    use RunStatus::{Queued, Running, Succeeded, Waiting};
    let run = kept_run(&store).await?;
    let expected = [Queued, Running, Waiting, Running, Running, Running, Running, Running, Running, Running, Succeeded];
    let all = life();
    for (seq, status) in expected.into_iter().enumerate() {
        if seq > 0 {
            store.append(run, seq as u64 - 1, FIRST, all[seq - 1..seq].into()).await?;
        }
        ensure_eq!(store.run(run).await?.status, status, format!("the status after event {seq}"));
        let listed = store.runs(&RunFilter::default(), 1).await?;
        ensure_eq!(listed.first().map(|run| run.status), Some(status), format!("the listed status after event {seq}"));
    }
    let listed = store.runs(&RunFilter::default(), 1).await?;
    let times = listed.first().map(|run| (run.created_at, run.started_at, run.finished_at));
    ensure_eq!(times, Some((at(0), Some(at(1)), Some(at(10)))), "created, started and finished");
    Ok(())
}

async fn runs_are_listed_newest_first(store: Arc<dyn Store>) -> Result<(), Broken> {
    for (pipeline, created) in [("a", 20), ("b", 10), ("a", 30), ("a", 5), ("a", 20)] {
        store.create_run(new_run(pipeline, at(created))).await?;
    }
    let listed = async |pipeline: Option<&str>, limit| {
        let filter = RunFilter { pipeline: pipeline.map(str::to_owned), ..RunFilter::default() };
        let runs = store.runs(&filter, limit).await?;
        Ok::<_, Broken>(runs.into_iter().map(|run| (run.pipeline, run.number)).collect::<Vec<_>>())
    };
    let named =
        |runs: &[(&str, u64)]| runs.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect::<Vec<_>>();
    ensure_eq!(listed(None, 100).await?, named(&[("a", 2), ("a", 4), ("a", 1), ("b", 1), ("a", 3)]), "all runs");
    ensure_eq!(listed(Some("a"), 3).await?, named(&[("a", 2), ("a", 4), ("a", 1)]), "three of `a`");
    ensure_eq!(listed(Some("c"), 3).await?, named(&[]), "those of a pipeline that is not there");
    Ok(())
}

async fn a_run_is_open_until_it_is_closed(store: Arc<dyn Store>) -> Result<(), Broken> {
    let first = kept_run(&store).await?;
    let second = kept_run(&store).await?;
    ensure_eq!(store.open_runs().await?, [first, second], "the open runs, in the order of creation");
    store.append(first, 0, FIRST, life().into()).await?;
    ensure_eq!(store.open_runs().await?, [first, second], "the open runs when one has ended");
    store.close_run(first, FIRST).await?;
    store.close_run(first, FIRST).await?;
    ensure_eq!(store.open_runs().await?, [second], "the open runs when one is closed");
    ensure_eq!(store.events(first, 0, 100).await?.events, life(), "the events of the closed run");
    Ok(())
}

async fn a_run_is_not_closed_before_its_end_or_by_a_stale_writer(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    let all = life();
    store.append(run, 0, FencingToken(2), all[..9].into()).await?;
    ensure_refused!(store.close_run(run, FencingToken(2)).await, StoreError::NotEnded(_), "closing a run that runs");
    store.append(run, 9, FencingToken(2), all[9..].into()).await?;
    ensure_refused!(store.close_run(run, FencingToken(1)).await, StoreError::Fenced, "closing it with an old token");
    ensure_eq!(store.open_runs().await?, [run], "the open runs");
    Ok(())
}

async fn a_deleted_run_is_gone_and_its_number_is_not_given_again(store: Arc<dyn Store>) -> Result<(), Broken> {
    let (first, second) = (kept_run(&store).await?, kept_run(&store).await?);
    let log = job(second, "build", 1);
    let cursor = LogCursor { line: 1, ..LogCursor::default() };
    let line = LogChunk { first_line: 1, lines: 1, time: at(6), stream: Stream::Stdout, text: "a\n".into() };
    let chunks = std::slice::from_ref(&line);
    store.append_log(LogAppend { job: &log, token: FIRST, expected_line: 0, chunks, cursor }).await?;
    for run in [first, second] {
        store.append(run, 0, FIRST, life().into()).await?;
        store.close_run(run, FIRST).await?;
    }
    store.delete_run(second).await?;
    ensure_refused!(store.run(second).await, StoreError::NoRun(_), "reading the deleted run");
    ensure_refused!(store.events(second, 0, 1).await, StoreError::NoRun(_), "reading its events");
    ensure_refused!(store.delete_run(second).await, StoreError::NoRun(_), "deleting it again");
    ensure!(
        store.read_log(&log, 0, 99).await.is_ok_and(|page| page.chunks.is_empty())
            || matches!(store.read_log(&log, 0, 99).await, Err(StoreError::NoRun(_))),
        "its log is still there"
    );
    let listed: Vec<_> = store.runs(&RunFilter::default(), 9).await?.into_iter().map(|run| run.id).collect();
    ensure_eq!(listed, [first], "the runs that are left");
    ensure_eq!(store.events(first, 0, 99).await?.events, life(), "the events of the other run");
    ensure_eq!(store.create_run(new_run("sample", at(1))).await?.number, 3, "the next number");
    Ok(())
}

async fn a_run_that_is_open_is_not_deleted(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    ensure_refused!(store.delete_run(run).await, StoreError::NotEnded(_), "deleting a run that has not begun");
    store.append(run, 0, FIRST, life().into()).await?;
    ensure_refused!(store.delete_run(run).await, StoreError::NotEnded(_), "deleting a run that is not closed");
    ensure_eq!(store.events(run, 0, 99).await?.events, life(), "its events");
    Ok(())
}
