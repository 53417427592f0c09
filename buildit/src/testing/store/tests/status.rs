//! Stores that are broken in what they keep of statuses, each of which some clause rejects.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::id::{RepositoryId, StatusId};
use crate::memory::MemoryStore;
use crate::store::{CommitState, CommitStatus, Report, Settled, StatusStore, StoreError};
use crate::testing::store::{assert_clauses, check_clauses, status_clauses};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    ForgetsPages,
    LastWins,
    KeepsAll,
    TakesTooEarly,
    SharesStatuses,
    Overtakes,
    TrustsWhoWasOvertaken,
    RetriesNothing,
    OldestFirst,
    SweepsAll,
    TakesAnyText,
}

const REJECTED: &[(Fault, &[&str])] = &[
    (Fault::ForgetsPages, &["a_status_is_kept_as_it_was_reported"]),
    (
        Fault::LastWins,
        &["of_a_commit_and_context_the_newest_status_is_kept", "of_several_statuses_at_once_the_newest_is_left"],
    ),
    (Fault::KeepsAll, &["of_several_statuses_at_once_the_newest_is_left"]),
    (Fault::TakesTooEarly, &["statuses_are_taken_when_they_are_due"]),
    (Fault::SharesStatuses, &["of_several_who_take_each_status_goes_to_one"]),
    (Fault::Overtakes, &["what_takes_the_place_of_a_status_waits_until_that_is_settled"]),
    (Fault::TrustsWhoWasOvertaken, &["who_was_overtaken_settles_no_status"]),
    (Fault::RetriesNothing, &["a_status_that_was_not_said_is_tried_anew_on_demand"]),
    (Fault::OldestFirst, &["statuses_of_a_repository_are_listed_newest_first_and_in_pages"]),
    (Fault::SweepsAll, &["old_statuses_are_forgotten_unless_they_wait"]),
    (Fault::TakesAnyText, &["texts_of_statuses_that_no_store_keeps_are_refused"]),
];

#[derive(Debug)]
struct Broken {
    inner: MemoryStore,
    fault: Fault,
}

impl Broken {
    /// What stands in the place of this status.
    async fn there(&self, status: &CommitStatus) -> Result<Option<Report>, StoreError> {
        let all = self.inner.statuses(status.repository, None, 99).await?;
        let is_it = |one: &Report| one.status.commit == status.commit && one.status.context == status.context;
        Ok(all.into_iter().find(is_it))
    }
}

#[async_trait]
impl StatusStore for Broken {
    async fn report_status(&self, mut status: CommitStatus) -> Result<bool, StoreError> {
        match self.fault {
            Fault::ForgetsPages => status.url = String::new(),
            Fault::LastWins => {
                if let Some(there) = self.there(&status).await?
                    && !status.is_newer_than(&there.status)
                {
                    (status.number, status.seq) = (there.status.number, there.status.seq + 1);
                    return self.inner.report_status(status).await.map(|_| false);
                }
            }
            Fault::KeepsAll => status.context = status.id.to_string(),
            Fault::Overtakes => {
                if let Some(Report { sending: Some(sending), tries, .. }) = self.there(&status).await? {
                    self.inner.settle_status(sending, tries, Settled::Sent { at: status.created_at }).await?;
                }
            }
            Fault::TakesAnyText => {
                for text in [&mut status.commit, &mut status.context] {
                    text.truncate(99);
                    *text = text.replace('\0', "") + "x";
                }
            }
            _ => {}
        }
        self.inner.report_status(status).await
    }

    async fn take_statuses(&self, now: Timestamp, until: Timestamp, limit: usize) -> Result<Vec<Report>, StoreError> {
        match self.fault {
            Fault::TakesTooEarly => self.inner.take_statuses(Timestamp::MAX, until, limit).await,
            Fault::SharesStatuses => self.inner.take_statuses(now, now, limit).await,
            _ => self.inner.take_statuses(now, until, limit).await,
        }
    }

    async fn settle_status(&self, id: StatusId, tries: u32, how: Settled) -> Result<bool, StoreError> {
        let mut settled = self.inner.settle_status(id, tries, how.clone()).await?;
        if self.fault == Fault::TrustsWhoWasOvertaken {
            for newer in tries + 1..tries + 3 {
                settled |= self.inner.settle_status(id, newer, how.clone()).await?;
            }
        }
        Ok(settled)
    }

    async fn retry_status(&self, repository: RepositoryId, id: StatusId, now: Timestamp) -> Result<bool, StoreError> {
        match self.fault {
            Fault::RetriesNothing => Ok(true),
            _ => self.inner.retry_status(repository, id, now).await,
        }
    }

    async fn statuses(
        &self,
        repository: RepositoryId,
        before: Option<StatusId>,
        limit: usize,
    ) -> Result<Vec<Report>, StoreError> {
        let mut listed = self.inner.statuses(repository, before, limit).await?;
        if self.fault == Fault::OldestFirst {
            listed.reverse();
        }
        Ok(listed)
    }

    async fn sweep_statuses(&self, before: Timestamp) -> Result<u64, StoreError> {
        let before = if self.fault == Fault::SweepsAll { Timestamp::MAX } else { before };
        self.inner.sweep_statuses(before).await
    }
}

#[tokio::test]
async fn the_memory_store_keeps_statuses() {
    assert_clauses(status_clauses(), async || Arc::new(MemoryStore::new()) as _).await;
}

#[tokio::test]
async fn the_journaled_store_keeps_statuses_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let (repository, time) = (RepositoryId::new(), Timestamp::UNIX_EPOCH);
    let status = |commit: &str, seq| CommitStatus {
        id: StatusId::new(),
        repository,
        commit: commit.into(),
        reference: "main".into(),
        context: "buildit/shop".into(),
        run: None,
        number: 1,
        seq,
        state: CommitState::Running,
        description: "it runs".into(),
        url: "https://ci.example.org/".into(),
        created_at: time,
    };
    let (old, gone, new) = (status("a", 1), status("b", 1), status("a", 2));
    let store = MemoryStore::journaled(folder.path()).unwrap();
    for kept in [&old, &gone] {
        assert!(store.report_status(kept.clone()).await.unwrap());
    }
    let after = time + std::time::Duration::from_secs(60);
    assert_eq!(store.take_statuses(time, after, 9).await.unwrap().len(), 2);
    assert!(store.settle_status(gone.id, 1, Settled::Sent { at: time }).await.unwrap());
    assert_eq!(store.sweep_statuses(after).await.unwrap(), 1);
    assert!(store.report_status(new.clone()).await.unwrap());
    drop(store);
    let store = MemoryStore::journaled(folder.path()).unwrap();
    let kept = Report { next_at: after, sending: Some(old.id), ..Report::of_new(new) };
    assert_eq!(store.statuses(repository, None, 9).await.unwrap(), [kept]);
    assert!(!store.report_status(status("a", 2)).await.unwrap(), "it is known");
    assert_eq!(store.take_statuses(time, after, 9).await.unwrap(), [], "the one before is being sent");
    assert_eq!(store.take_statuses(after, after, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn every_broken_store_of_statuses_is_rejected() {
    for (fault, clauses) in REJECTED {
        let make = async || Arc::new(Broken { inner: MemoryStore::new(), fault: *fault }) as _;
        let violations = check_clauses(status_clauses(), make).await;
        let violated: BTreeSet<&str> = violations.iter().map(|violation| violation.clause).collect();
        for clause in *clauses {
            assert!(violated.contains(clause), "{fault:?} passes {clause}; it violates {violated:?}");
        }
    }
    let rejecting: BTreeSet<&str> = REJECTED.iter().flat_map(|(_, clauses)| clauses.iter().copied()).collect();
    assert_eq!(rejecting, status_clauses().iter().map(|clause| clause.name()).collect());
}
