//! Clauses about environments.

use std::sync::Arc;
use std::time::Duration;

use super::Clause;
use super::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use super::samples::at;
use crate::id::TenantId;
use crate::pipeline::{EnvironmentSpec, Protection, StarterRule};
use crate::store::{Environment, EnvironmentStore, StoreError};

pub(super) fn clauses() -> Vec<Clause<dyn EnvironmentStore>> {
    clauses![
        an_environment_is_kept_as_it_was_written,
        an_environment_is_replaced_by_its_next_version_alone,
        one_of_two_versions_of_an_environment_at_once_wins,
        environments_of_a_tenant_are_listed_in_order_and_in_pages,
        a_deleted_environment_is_gone,
        names_of_environments_that_no_store_keeps_are_refused,
    ]
}

fn sample(tenant: TenantId, name: &str, version: u64) -> Environment {
    let protection = Protection { approvals: version as u32, ..Protection::default() };
    let spec = EnvironmentSpec { protection, ..EnvironmentSpec::default() };
    let time = at(i64::try_from(version).unwrap_or_default());
    Environment { tenant, name: name.to_owned(), spec, version, created_at: time, updated_at: time }
}

async fn an_environment_is_kept_as_it_was_written(store: Arc<dyn EnvironmentStore>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    ensure_eq!(store.environment(tenant, "production").await?, None, "what is in an empty store");
    let protection = Protection {
        approvals: 2,
        by: vec!["role:admin".into(), "user:ann@example.org".into()],
        starter: StarterRule::MayNot,
        branches: vec!["main".into(), "release/*".into()],
        wait: Duration::from_secs(90),
    };
    let variables = [("Z", "it's \"100%\" \u{fc}"), ("A", ""), ("M", "a\nb")];
    let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let spec = EnvironmentSpec { variables, protection };
    let full = Environment { spec, ..sample(tenant, "production", 1) };
    for written in [full, sample(TenantId::NONE, "production", 1)] {
        store.put_environment(written.clone()).await?;
        ensure_eq!(store.environment(written.tenant, "production").await?, Some(written), "what was written");
    }
    ensure_eq!(store.environment(tenant, "Production").await?, None, "one of another name");
    ensure_eq!(store.environment(TenantId::new(), "production").await?, None, "one of another tenant");
    Ok(())
}

async fn an_environment_is_replaced_by_its_next_version_alone(store: Arc<dyn EnvironmentStore>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    ensure_refused!(
        store.put_environment(sample(tenant, "live", 2)).await,
        StoreError::Conflict { expected: 1, actual: 0 },
        "a second version without a first"
    );
    store.put_environment(sample(tenant, "live", 1)).await?;
    for version in [0, 1, 3] {
        ensure_refused!(
            store.put_environment(sample(tenant, "live", version)).await,
            StoreError::Conflict { actual: 1, .. },
            format!("version {version} after the first")
        );
    }
    ensure_eq!(store.environment(tenant, "live").await?, Some(sample(tenant, "live", 1)), "what is left of it");
    store.put_environment(sample(tenant, "live", 2)).await?;
    let next = Environment { created_at: at(1), ..sample(tenant, "live", 2) };
    ensure_eq!(store.environment(tenant, "live").await?, Some(next), "the next version");
    Ok(())
}

async fn one_of_two_versions_of_an_environment_at_once_wins(store: Arc<dyn EnvironmentStore>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    for version in 1..=8 {
        let put = |store: Arc<dyn EnvironmentStore>| {
            tokio::spawn(async move { store.put_environment(sample(tenant, "live", version)).await })
        };
        let (one, other) = (put(Arc::clone(&store)), put(Arc::clone(&store)));
        let ended = [
            one.await.map_err(|_| Broken("a call panicked".into()))?,
            other.await.map_err(|_| Broken("a call panicked".into()))?,
        ];
        let won = ended.iter().filter(|ended| ended.is_ok()).count();
        ensure_eq!(won, 1, "how many wrote version {version}");
    }
    Ok(())
}

async fn environments_of_a_tenant_are_listed_in_order_and_in_pages(
    store: Arc<dyn EnvironmentStore>,
) -> Result<(), Broken> {
    let (tenant, other) = (TenantId::new(), TenantId::new());
    let names = ["Zoo", "a", "a b", "a-b", "a/b", "b", "\u{fc}"];
    for name in names.iter().rev() {
        store.put_environment(sample(tenant, name, 1)).await?;
    }
    store.put_environment(sample(other, "c", 1)).await?;
    let (mut listed, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = store.environments(tenant, after.as_deref(), 2).await?;
        ensure!(page.len() <= 2, "a page of {} environments", page.len());
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        listed.extend(page.into_iter().map(|environment| environment.name));
        ensure!(listed.len() <= names.len(), "it lists without an end: {listed:?}");
    }
    ensure_eq!(listed, names, "all environments of the tenant");
    Ok(())
}

async fn a_deleted_environment_is_gone(store: Arc<dyn EnvironmentStore>) -> Result<(), Broken> {
    let (tenant, other) = (TenantId::new(), TenantId::new());
    for of in [tenant, other] {
        store.put_environment(sample(of, "live", 1)).await?;
    }
    ensure!(store.delete_environment(tenant, "live").await?, "it was there and the store says that it was not");
    ensure!(!store.delete_environment(tenant, "live").await?, "it is gone and the store says that it was there");
    ensure_eq!(store.environment(tenant, "live").await?, None, "what was deleted");
    ensure!(store.environment(other, "live").await?.is_some(), "another tenant's is gone with it");
    store.put_environment(sample(tenant, "live", 1)).await?;
    Ok(())
}

async fn names_of_environments_that_no_store_keeps_are_refused(store: Arc<dyn EnvironmentStore>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    for name in [String::new(), "a\0b".into(), "a".repeat(crate::store::LONGEST_TEXT + 1)] {
        ensure_refused!(
            store.put_environment(sample(tenant, &name, 1)).await,
            StoreError::Unfit(_),
            format!("the name {:?}", name.get(..9).unwrap_or(&name))
        );
        ensure_eq!(store.environment(tenant, &name).await?, None, "what was refused");
        ensure!(!store.delete_environment(tenant, &name).await?, "what was refused is deleted");
    }
    Ok(())
}
