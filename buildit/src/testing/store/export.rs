//! Clauses about runs that somebody elsewhere is to be told of.

use std::sync::Arc;

use futures_util::future::join_all;

use super::Clause;
use super::clause::{Broken, clauses, ensure, ensure_eq};
use super::samples::at;
use crate::id::RunId;
use crate::store::{Export, ExportStore};

pub(super) fn clauses() -> Vec<Clause<dyn ExportStore>> {
    clauses![
        a_run_is_told_of_once,
        of_many_who_take_a_run_at_once_one_gets_it,
        what_is_not_settled_is_due_again,
        what_failed_is_due_when_it_was_said,
        the_longest_due_come_first_and_no_more_than_asked_for,
    ]
}

async fn a_run_is_told_of_once(store: Arc<dyn ExportStore>) -> Result<(), Broken> {
    let run = RunId::new();
    ensure_eq!(store.take_exports(at(9), at(20), 9).await?, [], "what is in an empty store");
    for _ in 0..2 {
        store.export(run, at(1)).await?;
    }
    ensure_eq!(store.take_exports(at(0), at(20), 9).await?, [], "what is due too early");
    let first = Export { run, tries: 1 };
    ensure_eq!(store.take_exports(at(1), at(20), 9).await?, [first], "what is due");
    store.export(run, at(1)).await?;
    ensure_eq!(store.take_exports(at(19), at(20), 9).await?, [], "what another one has");
    ensure!(store.settle_export(first, None).await?, "it was not settled");
    ensure!(!store.settle_export(first, None).await?, "it was settled twice");
    ensure_eq!(store.take_exports(at(99), at(200), 9).await?, [], "what is told");
    Ok(())
}

async fn of_many_who_take_a_run_at_once_one_gets_it(store: Arc<dyn ExportStore>) -> Result<(), Broken> {
    for _ in 0..5 {
        let run = RunId::new();
        store.export(run, at(1)).await?;
        let take =
            |store: Arc<dyn ExportStore>| tokio::spawn(async move { store.take_exports(at(1), at(20), 9).await });
        let taken = join_all((0..4).map(|_| take(Arc::clone(&store)))).await;
        let mut all = Vec::new();
        for one in taken {
            all.extend(one.map_err(|error| Broken(error.to_string()))??);
        }
        ensure_eq!(all, [Export { run, tries: 1 }], "what all of them took");
        store.settle_export(all[0], None).await?;
    }
    Ok(())
}

async fn what_is_not_settled_is_due_again(store: Arc<dyn ExportStore>) -> Result<(), Broken> {
    let run = RunId::new();
    store.export(run, at(1)).await?;
    let first = store.take_exports(at(1), at(20), 9).await?;
    let second = Export { run, tries: 2 };
    ensure_eq!(store.take_exports(at(20), at(40), 9).await?, [second], "what was not settled");
    ensure!(!store.settle_export(first[0], None).await?, "who was too slow settles it");
    ensure!(store.settle_export(second, None).await?, "it was not settled");
    Ok(())
}

async fn what_failed_is_due_when_it_was_said(store: Arc<dyn ExportStore>) -> Result<(), Broken> {
    let run = RunId::new();
    store.export(run, at(1)).await?;
    let first = store.take_exports(at(1), at(20), 9).await?;
    ensure!(store.settle_export(first[0], Some(at(50))).await?, "it was not settled");
    ensure_eq!(store.take_exports(at(49), at(90), 9).await?, [], "what is due too early");
    ensure_eq!(store.take_exports(at(50), at(90), 9).await?, [Export { run, tries: 2 }], "what is due then");
    Ok(())
}

async fn the_longest_due_come_first_and_no_more_than_asked_for(store: Arc<dyn ExportStore>) -> Result<(), Broken> {
    let runs: Vec<RunId> = (0..5).map(|_| RunId::new()).collect();
    for (run, due) in runs.iter().zip([3, 1, 5, 2, 4]) {
        store.export(*run, at(due)).await?;
    }
    let taken = |exports: Vec<Export>| exports.into_iter().map(|export| export.run).collect::<Vec<_>>();
    ensure_eq!(taken(store.take_exports(at(9), at(20), 2).await?), [runs[1], runs[3]], "the first two");
    ensure_eq!(taken(store.take_exports(at(9), at(20), 9).await?), [runs[0], runs[4], runs[2]], "the others");
    Ok(())
}
