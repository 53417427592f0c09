//! Stores that are broken in what they keep of policies and turns, each of which some clause rejects.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::id::TenantId;
use crate::memory::MemoryStore;
use crate::store::{PolicyStore, RetentionPolicy, StoreError};
use crate::testing::store::{assert_clauses, check_clauses, policy_clauses};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    ForgetsLogs,
    LastWins,
    EndlessPages,
    AlwaysFree,
    NeverFreeAgain,
}

const REJECTED: &[(Fault, &[&str])] = &[
    (Fault::ForgetsLogs, &["a_policy_is_kept_as_it_was_written"]),
    (Fault::LastWins, &["a_policy_is_replaced_by_its_next_version_alone"]),
    (Fault::EndlessPages, &["policies_of_all_tenants_are_listed_in_pages"]),
    (Fault::AlwaysFree, &["a_turn_is_one_s_alone_for_its_time"]),
    (Fault::NeverFreeAgain, &["a_turn_is_one_s_alone_for_its_time"]),
];

#[derive(Debug)]
struct Broken {
    inner: MemoryStore,
    fault: Fault,
}

#[async_trait]
impl PolicyStore for Broken {
    async fn put_policy(&self, mut policy: RetentionPolicy) -> Result<(), StoreError> {
        match self.fault {
            Fault::ForgetsLogs => policy.logs = Default::default(),
            Fault::LastWins => {
                policy.version = self.inner.policy(policy.tenant).await?.map_or(1, |there| there.version + 1);
            }
            _ => {}
        }
        self.inner.put_policy(policy).await
    }

    async fn policy(&self, tenant: TenantId) -> Result<Option<RetentionPolicy>, StoreError> {
        self.inner.policy(tenant).await
    }

    async fn policies(&self, after: Option<TenantId>, limit: usize) -> Result<Vec<RetentionPolicy>, StoreError> {
        let limit = if self.fault == Fault::EndlessPages { 99 } else { limit };
        self.inner.policies(after, limit).await
    }

    async fn take_turn(&self, work: &str, now: Timestamp, every: Duration) -> Result<bool, StoreError> {
        match self.fault {
            Fault::AlwaysFree => Ok(true),
            Fault::NeverFreeAgain => self.inner.take_turn(work, now, Duration::MAX).await,
            _ => self.inner.take_turn(work, now, every).await,
        }
    }
}

#[tokio::test]
async fn the_memory_store_keeps_policies_and_turns() {
    assert_clauses(policy_clauses(), async || Arc::new(MemoryStore::new()) as _).await;
}

#[tokio::test]
async fn the_journaled_store_keeps_policies_and_turns_when_it_is_opened_again() {
    let folders = std::sync::Mutex::new(Vec::new());
    let make = async || {
        let folder = tempfile::tempdir().unwrap();
        let store = MemoryStore::journaled(folder.path()).unwrap();
        folders.lock().unwrap().push(folder);
        Arc::new(store) as _
    };
    assert_clauses(policy_clauses(), make).await;
    let folder = tempfile::tempdir().unwrap();
    let (tenant, time, hour) = (TenantId::new(), Timestamp::UNIX_EPOCH, Duration::from_secs(3600));
    let (runs, logs) = Default::default();
    let kept = |version| RetentionPolicy { tenant, runs, logs, version, updated_at: time };
    let store = MemoryStore::journaled(folder.path()).unwrap();
    for version in [1, 2] {
        store.put_policy(kept(version)).await.unwrap();
    }
    assert!(store.take_turn("sweep", time, hour).await.unwrap());
    drop(store);
    let store = MemoryStore::journaled(folder.path()).unwrap();
    assert_eq!(store.policies(None, 9).await.unwrap(), [kept(2)]);
    assert!(!store.take_turn("sweep", time, hour).await.unwrap());
}

#[tokio::test]
async fn every_broken_store_of_policies_is_rejected() {
    for (fault, clauses) in REJECTED {
        let make = async || Arc::new(Broken { inner: MemoryStore::new(), fault: *fault }) as _;
        let violations = check_clauses(policy_clauses(), make).await;
        let violated: BTreeSet<&str> = violations.iter().map(|violation| violation.clause).collect();
        for clause in *clauses {
            assert!(violated.contains(clause), "{fault:?} passes {clause}; it violates {violated:?}");
        }
    }
    let rejecting: BTreeSet<&str> = REJECTED.iter().flat_map(|(_, clauses)| clauses.iter().copied()).collect();
    assert_eq!(rejecting, policy_clauses().iter().map(|clause| clause.name()).collect());
}
