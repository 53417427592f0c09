//! Stores that are broken in what they keep of accounts, each of which some clause rejects.

mod audit;
mod broken;
mod credential;
mod identity;

use std::collections::BTreeSet;
use std::sync::Arc;

use self::broken::{BrokenAccounts, REJECTED};
use crate::memory::MemoryStore;
use crate::testing::store::accounts::durable::CLAUSE;
use crate::testing::store::{
    TenantStores, assert_accounts, assert_clauses, assert_durable_accounts, audit_clauses, check_accounts,
    check_clauses, check_durable_accounts, credential_clauses, identity_clauses, tenant_clauses,
};

#[tokio::test]
async fn the_memory_store_keeps_accounts() {
    assert_accounts(async || MemoryStore::new()).await;
    assert_clauses(tenant_clauses(), async || Arc::new(TenantStores::of(MemoryStore::new()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journaled_store_keeps_accounts() {
    let folders = std::sync::Mutex::new(Vec::new());
    assert_accounts(async || {
        let folder = tempfile::tempdir().unwrap();
        let store = MemoryStore::journaled(folder.path()).unwrap();
        folders.lock().unwrap().push(folder);
        store
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    assert_durable_accounts(async || MemoryStore::journaled(folder.path()).unwrap()).await;
}

#[tokio::test]
async fn a_store_that_forgets_accounts_is_not_durable() {
    let violations = check_durable_accounts(async || MemoryStore::new()).await;
    assert_eq!(violations.iter().map(|violation| violation.clause).collect::<Vec<_>>(), [CLAUSE]);
}

#[tokio::test]
async fn every_fault_is_found() {
    for (fault, clauses) in REJECTED {
        let mut violations = check_accounts(async || BrokenAccounts::new(*fault)).await;
        violations
            .extend(check_clauses(tenant_clauses(), async || Arc::new(BrokenAccounts::new(*fault).stores())).await);
        let violated: BTreeSet<&str> = violations.iter().map(|violation| violation.clause).collect();
        for clause in *clauses {
            assert!(violated.contains(clause), "{fault:?} passes {clause}; it violates {violated:?}");
        }
    }
}

#[test]
fn every_clause_rejects_a_fault() {
    let rejecting: BTreeSet<&str> = REJECTED.iter().flat_map(|(_, clauses)| clauses.iter().copied()).collect();
    let mut clauses: BTreeSet<&str> = identity_clauses().iter().map(|clause| clause.name()).collect();
    clauses.extend(tenant_clauses().iter().map(|clause| clause.name()));
    clauses.extend(credential_clauses().iter().map(|clause| clause.name()));
    clauses.extend(audit_clauses().iter().map(|clause| clause.name()));
    assert_eq!(rejecting, clauses);
}
