//! Stores that are broken in what they keep of environments, each of which some clause rejects.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use crate::id::TenantId;
use crate::memory::MemoryStore;
use crate::store::{Environment, EnvironmentStore, StoreError};
use crate::testing::store::{assert_clauses, check_clauses, environment_clauses};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    ForgetsVariables,
    LastWins,
    OneTenant,
    EndlessPages,
    KeepsDeleted,
    TakesAnyName,
}

const REJECTED: &[(Fault, &[&str])] = &[
    (Fault::ForgetsVariables, &["an_environment_is_kept_as_it_was_written"]),
    (
        Fault::LastWins,
        &["an_environment_is_replaced_by_its_next_version_alone", "one_of_two_versions_of_an_environment_at_once_wins"],
    ),
    (Fault::OneTenant, &["an_environment_is_kept_as_it_was_written"]),
    (Fault::EndlessPages, &["environments_of_a_tenant_are_listed_in_order_and_in_pages"]),
    (Fault::KeepsDeleted, &["a_deleted_environment_is_gone"]),
    (Fault::TakesAnyName, &["names_of_environments_that_no_store_keeps_are_refused"]),
];

#[derive(Debug)]
struct Broken {
    inner: MemoryStore,
    fault: Fault,
}

#[async_trait]
impl EnvironmentStore for Broken {
    async fn put_environment(&self, mut environment: Environment) -> Result<(), StoreError> {
        match self.fault {
            Fault::ForgetsVariables => environment.spec.variables.clear(),
            Fault::LastWins => {
                let there = self.inner.environment(environment.tenant, &environment.name).await?;
                environment.version = there.map_or(1, |there| there.version + 1);
            }
            Fault::TakesAnyName if environment.name.len() != 3 || environment.name.contains('\0') => {
                environment.name.truncate(9);
                environment.name = environment.name.replace('\0', "") + "x";
            }
            _ => {}
        }
        self.inner.put_environment(environment).await
    }

    async fn environment(&self, tenant: TenantId, name: &str) -> Result<Option<Environment>, StoreError> {
        let of = if self.fault == Fault::OneTenant { TenantId::NONE } else { tenant };
        self.inner.environment(of, name).await
    }

    async fn environments(
        &self,
        tenant: TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Environment>, StoreError> {
        let limit = if self.fault == Fault::EndlessPages { 99 } else { limit };
        self.inner.environments(tenant, after, limit).await
    }

    async fn delete_environment(&self, tenant: TenantId, name: &str) -> Result<bool, StoreError> {
        match self.fault {
            Fault::KeepsDeleted => Ok(self.inner.environment(tenant, name).await?.is_some()),
            _ => self.inner.delete_environment(tenant, name).await,
        }
    }
}

#[tokio::test]
async fn the_memory_store_keeps_environments() {
    assert_clauses(environment_clauses(), async || Arc::new(MemoryStore::new()) as _).await;
}

#[tokio::test]
async fn the_journaled_store_keeps_environments_when_it_is_opened_again() {
    let folders = std::sync::Mutex::new(Vec::new());
    let make = async || {
        let folder = tempfile::tempdir().unwrap();
        let store = MemoryStore::journaled(folder.path()).unwrap();
        folders.lock().unwrap().push(folder);
        Arc::new(store) as _
    };
    assert_clauses(environment_clauses(), make).await;
    let folder = tempfile::tempdir().unwrap();
    let spec = Default::default();
    let (tenant, time) = (TenantId::new(), jiff::Timestamp::UNIX_EPOCH);
    let kept = |name: &str, version| Environment {
        tenant,
        name: name.into(),
        spec: crate::pipeline::EnvironmentSpec::clone(&spec),
        version,
        created_at: time,
        updated_at: time,
    };
    let store = MemoryStore::journaled(folder.path()).unwrap();
    for (name, version) in [("a", 1), ("b", 1), ("b", 2)] {
        store.put_environment(kept(name, version)).await.unwrap();
    }
    store.delete_environment(tenant, "a").await.unwrap();
    drop(store);
    let store = MemoryStore::journaled(folder.path()).unwrap();
    assert_eq!(store.environments(tenant, None, 9).await.unwrap(), [kept("b", 2)]);
}

#[tokio::test]
async fn every_broken_store_of_environments_is_rejected() {
    for (fault, clauses) in REJECTED {
        let make = async || Arc::new(Broken { inner: MemoryStore::new(), fault: *fault }) as _;
        let violations = check_clauses(environment_clauses(), make).await;
        let violated: BTreeSet<&str> = violations.iter().map(|violation| violation.clause).collect();
        for clause in *clauses {
            assert!(violated.contains(clause), "{fault:?} passes {clause}; it violates {violated:?}");
        }
    }
    let rejecting: BTreeSet<&str> = REJECTED.iter().flat_map(|(_, clauses)| clauses.iter().copied()).collect();
    assert_eq!(rejecting, environment_clauses().iter().map(|clause| clause.name()).collect());
}
