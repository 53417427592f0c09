//! Clauses about what forges are to say of commits.

use std::sync::Arc;

use futures_util::future::join_all;

use super::Clause;
use super::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use super::samples::at;
use crate::id::{RepositoryId, RunId, StatusId};
use crate::store::{CommitState, CommitStatus, DispatchStatus, LONGEST_TEXT, Report, Settled, StatusStore, StoreError};

pub(super) fn clauses() -> Vec<Clause<dyn StatusStore>> {
    clauses![
        a_status_is_kept_as_it_was_reported,
        of_a_commit_and_context_the_newest_status_is_kept,
        of_several_statuses_at_once_the_newest_is_left,
        statuses_are_taken_when_they_are_due,
        of_several_who_take_each_status_goes_to_one,
        what_takes_the_place_of_a_status_waits_until_that_is_settled,
        who_was_overtaken_settles_no_status,
        a_status_that_was_not_said_is_tried_anew_on_demand,
        statuses_of_a_repository_are_listed_newest_first_and_in_pages,
        old_statuses_are_forgotten_unless_they_wait,
        texts_of_statuses_that_no_store_keeps_are_refused,
    ]
}

/// What the run of this number says with its event of this number.
fn sample(repository: RepositoryId, commit: &str, (number, seq): (u64, u64)) -> CommitStatus {
    CommitStatus {
        id: StatusId::new(),
        repository,
        commit: commit.to_owned(),
        reference: "main".to_owned(),
        context: "buildit/shop".to_owned(),
        run: (number > 0).then(RunId::new),
        number,
        seq,
        state: CommitState::Pending,
        description: format!("event {seq} of run {number}"),
        url: String::new(),
        created_at: at(i64::try_from(seq).unwrap_or_default()),
    }
}

async fn report(store: &Arc<dyn StatusStore>, status: &CommitStatus) -> Result<(), Broken> {
    ensure!(store.report_status(status.clone()).await?, "{} is not kept", status.description);
    Ok(())
}

/// The one that is due.
async fn take(store: &Arc<dyn StatusStore>, now: i64, until: i64) -> Result<Report, Broken> {
    let taken = store.take_statuses(at(now), at(until), 9).await?;
    let [one] = &taken[..] else { return Err(Broken(format!("{} are due, and not one", taken.len()))) };
    Ok(one.clone())
}

fn sent(second: i64) -> Settled {
    Settled::Sent { at: at(second) }
}

async fn a_status_is_kept_as_it_was_reported(store: Arc<dyn StatusStore>) -> Result<(), Broken> {
    let repository = RepositoryId::new();
    ensure_eq!(store.statuses(repository, None, 9).await?, [], "what is in an empty store");
    let mut kept = Vec::new();
    for (state, second) in CommitState::ALL.into_iter().zip(1..) {
        let sample = sample(repository, &format!("{second}"), (second % 3, second));
        let texts = ("it's \"\u{fc}\"".to_owned(), "https://ci/\u{fc}?a=b".to_owned());
        let status = CommitStatus { state, description: texts.0, url: texts.1, reference: "\u{fc}".into(), ..sample };
        report(&store, &status).await?;
        kept.insert(0, Report::of_new(status));
    }
    ensure_eq!(store.statuses(repository, None, 9).await?, kept, "what was reported");
    Ok(())
}

async fn of_a_commit_and_context_the_newest_status_is_kept(store: Arc<dyn StatusStore>) -> Result<(), Broken> {
    let repository = RepositoryId::new();
    let of = |number, seq| sample(repository, "abc", (number, seq));
    for newer in [of(0, 7), of(0, 8), of(1, 0), of(1, 4), of(2, 0), of(10, 1)] {
        report(&store, &newer).await?;
        ensure_eq!(store.statuses(repository, None, 9).await?, [Report::of_new(newer)], "what is left of it");
    }
    let left = store.statuses(repository, None, 9).await?;
    for older in [of(10, 1), of(10, 0), of(9, 99), of(0, 99)] {
        ensure!(!store.report_status(older.clone()).await?, "{} is kept", older.description);
    }
    ensure_eq!(store.statuses(repository, None, 9).await?, left, "what is left of what is older");
    let elsewhere = [
        sample(repository, "abd", (1, 1)),
        CommitStatus { context: "buildit/lint".into(), ..of(1, 1) },
        sample(RepositoryId::new(), "abc", (1, 1)),
    ];
    for other in elsewhere {
        report(&store, &other).await?;
    }
    ensure_eq!(store.statuses(repository, None, 9).await?.len(), 3, "those of other commits and contexts");
    Ok(())
}

async fn of_several_statuses_at_once_the_newest_is_left(store: Arc<dyn StatusStore>) -> Result<(), Broken> {
    let repository = RepositoryId::new();
    let all: Vec<CommitStatus> = (0..12).map(|seq| sample(repository, "abc", (1, (seq * 5) % 12))).collect();
    let reporting = all.iter().cloned().map(|status| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.report_status(status).await })
    });
    for reported in join_all(reporting).await {
        reported.map_err(|_| Broken("a call panicked".into()))??;
    }
    let left = store.statuses(repository, None, 99).await?;
    ensure_eq!(left.iter().map(|report| report.status.seq).collect::<Vec<u64>>(), [11], "what is left");
    Ok(())
}

async fn statuses_are_taken_when_they_are_due(store: Arc<dyn StatusStore>) -> Result<(), Broken> {
    let repository = RepositoryId::new();
    let (late, early) = (sample(repository, "late", (1, 20)), sample(repository, "early", (1, 10)));
    for status in [&late, &early] {
        report(&store, status).await?;
    }
    ensure_eq!(store.take_statuses(at(9), at(99), 9).await?, [], "what is due before any is");
    let taken = |status: &CommitStatus, tries, until| Report {
        tries,
        next_at: at(until),
        sending: Some(status.id),
        ..Report::of_new(status.clone())
    };
    ensure_eq!(store.take_statuses(at(30), at(60), 1).await?, [taken(&early, 1, 60)], "what is due of one");
    ensure_eq!(store.take_statuses(at(30), at(70), 9).await?, [taken(&late, 1, 70)], "what is due then");
    ensure_eq!(store.take_statuses(at(59), at(99), 9).await?, [], "what is due while others have it");
    let again = taken(&early, 2, 80);
    ensure_eq!(store.take_statuses(at(60), at(80), 9).await?, [again], "what nobody has settled");
    let later = Settled::Later { at: at(90), error: "it's \"down\" \u{fc}".into() };
    ensure!(store.settle_status(early.id, 2, later).await?, "that it is to be tried again is not noted");
    ensure!(store.settle_status(late.id, 1, sent(65)).await?, "that it was said is not noted");
    ensure_eq!(store.take_statuses(at(89), at(99), 9).await?, [], "what is due before it is to be tried again");
    let third = Report { error: Some("it's \"down\" \u{fc}".into()), ..taken(&early, 3, 99) };
    ensure_eq!(store.take_statuses(at(90), at(99), 9).await?, [third], "what is due then");
    let gone = Settled::GivenUp { at: at(95), error: "no".into() };
    ensure!(store.settle_status(early.id, 3, gone).await?, "that it was given up is not noted");
    ensure_eq!(store.take_statuses(at(999), at(1000), 9).await?, [], "what is due of what has ended");
    let ended = store.statuses(repository, None, 9).await?.into_iter();
    let ended: Vec<_> = ended.map(|report| (report.progress, report.error, report.ended_at)).collect();
    let expected =
        [(DispatchStatus::GivenUp, Some("no".to_owned()), Some(at(95))), (DispatchStatus::Sent, None, Some(at(65)))];
    ensure_eq!(ended, expected, "how they have ended");
    Ok(())
}

async fn of_several_who_take_each_status_goes_to_one(store: Arc<dyn StatusStore>) -> Result<(), Broken> {
    let repository = RepositoryId::new();
    for number in 0..12 {
        report(&store, &sample(repository, &format!("{number}"), (1, 1))).await?;
    }
    let taking = (0..4).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.take_statuses(at(5), at(50), 12).await })
    });
    let mut all = Vec::new();
    for taken in join_all(taking).await {
        all.extend(taken.map_err(|_| Broken("a call panicked".into()))??.into_iter().map(|report| report.status.id));
    }
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    ensure_eq!((all.len(), count), (12, 12), "how many were taken, and how often");
    Ok(())
}

async fn what_takes_the_place_of_a_status_waits_until_that_is_settled(
    store: Arc<dyn StatusStore>,
) -> Result<(), Broken> {
    let repository = RepositoryId::new();
    let [first, second, third] = [1, 2, 3].map(|seq| sample(repository, "abc", (1, seq)));
    report(&store, &first).await?;
    let sending = take(&store, 1, 60).await?;
    report(&store, &second).await?;
    ensure_eq!(store.take_statuses(at(59), at(99), 9).await?, [], "what is due while the one before is being sent");
    ensure!(!store.settle_status(sending.status.id, sending.tries, sent(10)).await?, "what was replaced is noted");
    let next = take(&store, 10, 70).await?;
    ensure_eq!((&next.status, next.tries, &next.error), (&second, 1, &None), "what is due then");
    report(&store, &third).await?;
    let later = Settled::Later { at: at(40), error: "wait".into() };
    ensure!(!store.settle_status(second.id, 1, later).await?, "what was replaced is noted");
    ensure_eq!(store.take_statuses(at(39), at(99), 9).await?, [], "what is due while the forge wants nothing");
    let last = take(&store, 40, 80).await?;
    ensure_eq!((&last.status, last.tries), (&third, 1), "what is due after that");
    // Whoever had it is gone; it is due when they have had it for too long.
    let again = take(&store, 80, 90).await?;
    ensure_eq!((&again.status, again.tries), (&third, 2), "what nobody has settled");
    ensure!(store.settle_status(third.id, 2, sent(85)).await?, "that it was said is not noted");
    let fourth = sample(repository, "abc", (1, 88));
    report(&store, &fourth).await?;
    ensure_eq!(take(&store, 88, 99).await?.status, fourth, "what is due at once, as nothing is being sent");
    Ok(())
}

async fn who_was_overtaken_settles_no_status(store: Arc<dyn StatusStore>) -> Result<(), Broken> {
    let repository = RepositoryId::new();
    let [first, second] = [1, 2].map(|seq| sample(repository, "abc", (1, seq)));
    ensure!(!store.settle_status(first.id, 1, sent(1)).await?, "what is not there is settled");
    report(&store, &first).await?;
    ensure!(!store.settle_status(first.id, 0, sent(1)).await?, "what nobody has taken is settled");
    let slow = take(&store, 2, 3).await?;
    let quick = take(&store, 4, 9).await?;
    ensure!(!store.settle_status(first.id, slow.tries, sent(5)).await?, "who was overtaken settles it");
    report(&store, &second).await?;
    let newest = take(&store, 9, 20).await?;
    ensure!(!store.settle_status(first.id, quick.tries, sent(10)).await?, "who was replaced settles it");
    ensure_eq!(store.take_statuses(at(19), at(99), 9).await?, [], "what is due while it is being sent");
    ensure!(store.settle_status(second.id, newest.tries, sent(11)).await?, "who has it does not settle it");
    ensure!(!store.settle_status(second.id, newest.tries, sent(12)).await?, "it is settled twice");
    Ok(())
}

async fn a_status_that_was_not_said_is_tried_anew_on_demand(store: Arc<dyn StatusStore>) -> Result<(), Broken> {
    let repository = RepositoryId::new();
    let status = sample(repository, "abc", (1, 1));
    report(&store, &status).await?;
    let taken = take(&store, 1, 60).await?;
    ensure!(!store.retry_status(repository, status.id, at(2)).await?, "what is being sent is tried anew");
    let gone = Settled::GivenUp { at: at(3), error: "no".into() };
    ensure!(store.settle_status(status.id, taken.tries, gone).await?, "that it was given up is not noted");
    ensure!(!store.retry_status(RepositoryId::new(), status.id, at(4)).await?, "another repository's is tried anew");
    ensure!(store.retry_status(repository, status.id, at(5)).await?, "what was given up is not tried anew");
    let again = take(&store, 5, 60).await?;
    ensure_eq!((again.tries, again.ended_at), (1, None), "its tries, and its end");
    let later = Settled::Later { at: at(900), error: "later".into() };
    ensure!(store.settle_status(status.id, 1, later).await?, "that it is to be tried again is not noted");
    ensure!(store.retry_status(repository, status.id, at(6)).await?, "what waits is not tried anew");
    ensure!(store.settle_status(status.id, take(&store, 6, 60).await?.tries, sent(7)).await?, "it is not noted");
    ensure!(!store.retry_status(repository, status.id, at(8)).await?, "what was said is tried anew");
    Ok(())
}

async fn statuses_of_a_repository_are_listed_newest_first_and_in_pages(
    store: Arc<dyn StatusStore>,
) -> Result<(), Broken> {
    let (one, two) = (RepositoryId::new(), RepositoryId::new());
    let mut wanted: Vec<CommitStatus> = (0..5).map(|number| sample(one, &format!("{number}"), (1, 1))).collect();
    for status in wanted.iter().rev() {
        report(&store, status).await?;
    }
    report(&store, &sample(two, "other", (1, 1))).await?;
    wanted.reverse();
    let (mut listed, mut before): (Vec<CommitStatus>, _) = (Vec::new(), None);
    loop {
        let page = store.statuses(one, before, 2).await?;
        ensure!(page.len() <= 2, "a page of {} statuses", page.len());
        let Some(last) = page.last() else { break };
        before = Some(last.status.id);
        listed.extend(page.into_iter().map(|report| report.status));
        ensure!(listed.len() <= wanted.len(), "it lists without an end");
    }
    ensure_eq!(listed, wanted, "all of the repository");
    Ok(())
}

async fn old_statuses_are_forgotten_unless_they_wait(store: Arc<dyn StatusStore>) -> Result<(), Broken> {
    let repository = RepositoryId::new();
    let [old, new, waiting] = ["old", "new", "waiting"].map(|commit| sample(repository, commit, (1, 1)));
    for (status, second) in [(&old, 5), (&new, 9)] {
        report(&store, status).await?;
        let taken = take(&store, 1, 2).await?;
        ensure!(store.settle_status(status.id, taken.tries, sent(second)).await?, "that it was said is not noted");
    }
    report(&store, &waiting).await?;
    ensure_eq!(store.sweep_statuses(at(9)).await?, 1, "how many are forgotten");
    let left = store.statuses(repository, None, 9).await?.into_iter().map(|report| report.status);
    ensure_eq!(left.collect::<Vec<_>>(), [waiting, new], "what is left");
    report(&store, &sample(repository, "old", (1, 0))).await
}

async fn texts_of_statuses_that_no_store_keeps_are_refused(store: Arc<dyn StatusStore>) -> Result<(), Broken> {
    let repository = RepositoryId::new();
    for text in [String::new(), "a\0b".into(), "a".repeat(LONGEST_TEXT + 1)] {
        let shown = text.get(..9).unwrap_or(&text).to_owned();
        let of_commit = store.report_status(sample(repository, &text, (1, 1))).await;
        ensure_refused!(of_commit, StoreError::Unfit(_), format!("the commit {shown:?}"));
        let in_context = CommitStatus { context: text, ..sample(repository, "a", (1, 1)) };
        let in_context = store.report_status(in_context).await;
        ensure_refused!(in_context, StoreError::Unfit(_), format!("the context {shown:?}"));
    }
    ensure_eq!(store.statuses(repository, None, 9).await?, [], "what is kept of it");
    // What only people read is made to fit.
    let odd = CommitStatus { description: "a\0b".into(), url: "\0".into(), ..sample(repository, "a", (1, 1)) };
    report(&store, &odd).await
}
