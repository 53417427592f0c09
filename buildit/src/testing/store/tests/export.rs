//! Stores that are broken in what they keep of runs to be told of elsewhere, each of which some clause rejects.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::id::RunId;
use crate::memory::MemoryStore;
use crate::store::{Export, ExportStore, StoreError};
use crate::testing::store::{assert_clauses, check_clauses, export_clauses};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Remembers,
    TakesLate,
    TakesForEver,
    ForgetsWhatFailed,
    Endless,
}

const REJECTED: &[(Fault, &[&str])] = &[
    (Fault::Remembers, &["a_run_is_told_of_once"]),
    (Fault::TakesLate, &["of_many_who_take_a_run_at_once_one_gets_it"]),
    (Fault::TakesForEver, &["what_is_not_settled_is_due_again"]),
    (Fault::ForgetsWhatFailed, &["what_failed_is_due_when_it_was_said"]),
    (Fault::Endless, &["the_longest_due_come_first_and_no_more_than_asked_for"]),
];

#[derive(Debug)]
struct Broken {
    inner: MemoryStore,
    fault: Fault,
}

#[async_trait]
impl ExportStore for Broken {
    async fn export(&self, run: RunId, now: Timestamp) -> Result<(), StoreError> {
        self.inner.export(run, now).await
    }

    async fn take_exports(&self, now: Timestamp, until: Timestamp, limit: usize) -> Result<Vec<Export>, StoreError> {
        match self.fault {
            Fault::TakesForEver => self.inner.take_exports(now, Timestamp::MAX, limit).await,
            Fault::Endless => self.inner.take_exports(now, until, usize::MAX).await,
            // Looks first, and takes then.
            Fault::TakesLate => {
                let taken = self.inner.take_exports(now, now, limit).await?;
                tokio::task::yield_now().await;
                self.inner.take_exports(now, until, limit).await?;
                Ok(taken.into_iter().map(|export| Export { tries: 1, ..export }).collect())
            }
            _ => self.inner.take_exports(now, until, limit).await,
        }
    }

    async fn settle_export(&self, export: Export, again: Option<Timestamp>) -> Result<bool, StoreError> {
        match self.fault {
            Fault::Remembers => self.inner.settle_export(export, again.or(Some(Timestamp::UNIX_EPOCH))).await,
            Fault::ForgetsWhatFailed => self.inner.settle_export(export, None).await,
            _ => self.inner.settle_export(export, again).await,
        }
    }
}

#[tokio::test]
async fn the_memory_store_keeps_runs_to_be_told_of() {
    assert_clauses(export_clauses(), async || Arc::new(MemoryStore::new()) as _).await;
}

#[tokio::test]
async fn the_journaled_store_keeps_runs_to_be_told_of_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let (gone, tried, new) = (RunId::new(), RunId::new(), RunId::new());
    let time = |second| Timestamp::from_second(second).unwrap();
    let store = MemoryStore::journaled(folder.path()).unwrap();
    for run in [gone, tried] {
        store.export(run, time(1)).await.unwrap();
    }
    for export in store.take_exports(time(1), time(5), 9).await.unwrap() {
        let again = (export.run == tried).then(|| time(9));
        assert!(store.settle_export(export, again).await.unwrap());
    }
    store.export(new, time(2)).await.unwrap();
    drop(store);
    let store = MemoryStore::journaled(folder.path()).unwrap();
    let expected = [Export { run: new, tries: 1 }, Export { run: tried, tries: 2 }];
    assert_eq!(store.take_exports(time(9), time(20), 9).await.unwrap(), expected);
}

#[tokio::test]
async fn every_broken_store_of_runs_to_be_told_of_is_rejected() {
    for (fault, clauses) in REJECTED {
        let make = async || Arc::new(Broken { inner: MemoryStore::new(), fault: *fault }) as _;
        let violations = check_clauses(export_clauses(), make).await;
        let violated: BTreeSet<&str> = violations.iter().map(|violation| violation.clause).collect();
        for clause in *clauses {
            assert!(violated.contains(clause), "{fault:?} passes {clause}; it violates {violated:?}");
        }
    }
    let rejecting: BTreeSet<&str> = REJECTED.iter().flat_map(|(_, clauses)| clauses.iter().copied()).collect();
    assert_eq!(rejecting, export_clauses().iter().map(|clause| clause.name()).collect());
}
