//! Clauses about what is asked of runs.

use std::sync::Arc;

use super::Clause;
use super::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use super::samples::{FIRST, at, claim, event, kept_run, waiting};
use crate::event::{Approval, EventBody, RunStatus};
use crate::id::RunId;
use crate::store::{Ask, Store, StoreError};

pub(super) fn clauses() -> Vec<Clause<dyn Store>> {
    clauses![
        what_is_asked_of_a_run_is_kept_until_it_is_settled,
        an_ask_of_the_same_subject_changes_nothing,
        asks_are_read_of_the_runs_that_are_named,
        nothing_is_asked_of_a_run_that_is_not_there,
        what_is_asked_goes_with_its_run,
        a_dead_letter_that_a_person_asks_to_end_is_taken_once_more,
    ]
}

fn cancel(reason: &str) -> Ask {
    Ask::Cancel { reason: reason.into() }
}

fn answer(stage: &str, by: &str) -> Ask {
    let approval = Approval::yes(by).with_field("why", "it's \"fine\"\n\u{0}");
    Ask::Answer { stage: stage.into(), approval }
}

async fn asks(store: &Arc<dyn Store>, run: RunId) -> Result<Vec<Ask>, Broken> {
    Ok(store.asks(&[run], 9).await?.into_iter().map(|(_, ask)| ask).collect())
}

async fn what_is_asked_of_a_run_is_kept_until_it_is_settled(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    let all = [answer("build", "ada"), cancel("it's late"), answer("ship\u{0}it", "eve")];
    for ask in &all {
        ensure!(store.ask(run, ask.clone()).await?, "a first ask is not new");
    }
    ensure_eq!(asks(&store, run).await?, all, "what is asked");
    ensure_eq!(store.asks(&[run], 2).await?.len(), 2, "how much is read at most");
    store.settle(run, &all[1].subject()).await?;
    ensure_eq!(asks(&store, run).await?, [all[0].clone(), all[2].clone()], "what is left");
    store.settle(run, &all[1].subject()).await?;
    store.settle(run, &all[2].subject()).await?;
    ensure_eq!(asks(&store, run).await?, [all[0].clone()], "what is left in the end");
    ensure!(store.ask(run, all[2].clone()).await?, "what was settled is not new");
    Ok(())
}

async fn an_ask_of_the_same_subject_changes_nothing(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    store.ask(run, cancel("first")).await?;
    store.ask(run, answer("build", "ada")).await?;
    ensure!(!store.ask(run, cancel("second")).await?, "a second ask to end is new");
    ensure!(!store.ask(run, answer("build", "eve")).await?, "a second answer is new");
    ensure_eq!(asks(&store, run).await?, [cancel("first"), answer("build", "ada")], "what is asked");
    Ok(())
}

async fn asks_are_read_of_the_runs_that_are_named(store: Arc<dyn Store>) -> Result<(), Broken> {
    let (one, two, other) = (kept_run(&store).await?, kept_run(&store).await?, kept_run(&store).await?);
    for run in [other, two, one] {
        store.ask(run, cancel("x")).await?;
    }
    let found: Vec<RunId> = store.asks(&[one, two, RunId::new()], 9).await?.into_iter().map(|(run, _)| run).collect();
    ensure_eq!(found, [two, one], "of which runs");
    ensure_eq!(store.asks(&[], 9).await?.len(), 0, "how much is asked of none");
    store.settle(one, &cancel("").subject()).await?;
    ensure_eq!(asks(&store, other).await?.len(), 1, "how much is asked of another when one is settled");
    Ok(())
}

async fn nothing_is_asked_of_a_run_that_is_not_there(store: Arc<dyn Store>) -> Result<(), Broken> {
    ensure_refused!(store.ask(RunId::new(), cancel("x")).await, StoreError::NoRun(_), "an ask of no run");
    Ok(())
}

async fn what_is_asked_goes_with_its_run(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    store.ask(run, cancel("x")).await?;
    store.append(run, 0, FIRST, [event(1, EventBody::RunFinished { status: RunStatus::Cancelled })].into()).await?;
    store.close_run(run, FIRST).await?;
    store.delete_run(run).await?;
    ensure_eq!(asks(&store, run).await?, [], "what is asked of a run that is gone");
    Ok(())
}

async fn a_dead_letter_that_a_person_asks_to_end_is_taken_once_more(store: Arc<dyn Store>) -> Result<(), Broken> {
    let run = kept_run(&store).await?;
    store.enqueue(waiting(run)).await?;
    for second in [0, 1] {
        for job in store.claim(claim("one", 9), at(second)).await? {
            store.give_back(job.run, job.token, at(second)).await?;
        }
    }
    ensure_eq!(store.dead_letters().await?, [run], "the dead letters");
    store.ask(run, answer("build", "ada")).await?;
    ensure_eq!(store.dead_letters().await?, [run], "the dead letters when one is answered");
    store.ask(run, cancel("x")).await?;
    ensure_eq!(store.dead_letters().await?, [], "the dead letters when it is asked to end");
    let again = store.claim(claim("one", 9), at(2)).await?;
    ensure_eq!(again.iter().map(|job| job.run).collect::<Vec<_>>(), [run], "what is taken then");
    for job in again {
        store.give_back(job.run, job.token, at(3)).await?;
    }
    ensure_eq!(store.dead_letters().await?, [run], "the dead letters when it did not end");
    Ok(())
}
