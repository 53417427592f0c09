//! Clauses about policies of tenants, and turns.

use std::sync::Arc;
use std::time::Duration;

use super::Clause;
use super::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use super::samples::at;
use crate::id::TenantId;
use crate::store::{LogRetention, PolicyStore, Retention, RetentionPolicy, StoreError};

pub(super) fn clauses() -> Vec<Clause<dyn PolicyStore>> {
    clauses![
        a_policy_is_kept_as_it_was_written,
        a_policy_is_replaced_by_its_next_version_alone,
        policies_of_all_tenants_are_listed_in_pages,
        a_turn_is_one_s_alone_for_its_time,
    ]
}

fn sample(tenant: TenantId, version: u64) -> RetentionPolicy {
    let runs = Retention { age: None, latest: Some(version) };
    let time = at(i64::try_from(version).unwrap_or_default());
    RetentionPolicy { tenant, runs, logs: LogRetention::default(), version, updated_at: time }
}

async fn a_policy_is_kept_as_it_was_written(store: Arc<dyn PolicyStore>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    ensure_eq!(store.policy(tenant).await?, None, "what is in an empty store");
    let day = Duration::from_secs(24 * 3600);
    let full = RetentionPolicy {
        runs: Retention { age: Some(90 * day), latest: Some(100) },
        logs: LogRetention { max_age: Some(14 * day), max_bytes: Some(1 << 40), max_runs: Some(0) },
        ..sample(tenant, 1)
    };
    store.put_policy(full.clone()).await?;
    ensure_eq!(store.policy(tenant).await?, Some(full), "what was written");
    ensure_eq!(store.policy(TenantId::new()).await?, None, "that of another tenant");
    Ok(())
}

async fn a_policy_is_replaced_by_its_next_version_alone(store: Arc<dyn PolicyStore>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    ensure_refused!(
        store.put_policy(sample(tenant, 2)).await,
        StoreError::Conflict { expected: 1, actual: 0 },
        "a second version without a first"
    );
    store.put_policy(sample(tenant, 1)).await?;
    for version in [0, 1, 3] {
        ensure_refused!(
            store.put_policy(sample(tenant, version)).await,
            StoreError::Conflict { actual: 1, .. },
            format!("version {version} after the first")
        );
    }
    ensure_eq!(store.policy(tenant).await?, Some(sample(tenant, 1)), "what is left of it");
    let put = |store: Arc<dyn PolicyStore>| tokio::spawn(async move { store.put_policy(sample(tenant, 2)).await });
    let (one, other) = (put(Arc::clone(&store)), put(Arc::clone(&store)));
    let mut won = 0;
    for ended in [one, other] {
        won += usize::from(ended.await.map_err(|_| Broken("a call panicked".into()))?.is_ok());
    }
    ensure_eq!(won, 1, "how many of two at once wrote the next version");
    ensure_eq!(store.policy(tenant).await?, Some(sample(tenant, 2)), "the next version");
    Ok(())
}

async fn policies_of_all_tenants_are_listed_in_pages(store: Arc<dyn PolicyStore>) -> Result<(), Broken> {
    let mut tenants: Vec<TenantId> = (0..7).map(|_| TenantId::new()).collect();
    for tenant in tenants.iter().rev() {
        store.put_policy(sample(*tenant, 1)).await?;
    }
    tenants.sort();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = store.policies(after, 3).await?;
        ensure!(page.len() <= 3, "a page of {} policies", page.len());
        let Some(last) = page.last() else { break };
        after = Some(last.tenant);
        listed.extend(page.into_iter().map(|policy| policy.tenant));
        ensure!(listed.len() <= tenants.len(), "it lists without an end: {listed:?}");
    }
    ensure_eq!(listed, tenants, "all policies");
    Ok(())
}

async fn a_turn_is_one_s_alone_for_its_time(store: Arc<dyn PolicyStore>) -> Result<(), Broken> {
    let minute = Duration::from_secs(60);
    let take = |work: &'static str, second| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.take_turn(work, at(second), minute).await })
    };
    let (one, other) = (take("sweep", 1000), take("sweep", 1000));
    let mut won = 0;
    for taken in [one, other] {
        won += usize::from(taken.await.map_err(|_| Broken("a call panicked".into()))??);
    }
    ensure_eq!(won, 1, "how many of two at once took the turn");
    ensure!(!store.take_turn("sweep", at(1059), minute).await?, "it is taken again within its time");
    ensure!(store.take_turn("other", at(1059), minute).await?, "the turn at other work is not free");
    ensure!(store.take_turn("sweep", at(1060), minute).await?, "it is not free after its time");
    ensure!(!store.take_turn("sweep", at(1061), minute).await?, "it is taken again within its second time");
    ensure!(store.take_turn("sweep", at(500), minute).await?, "a clock that was set back holds it up");
    for bad in ["", "a\0b"] {
        ensure_refused!(store.take_turn(bad, at(1), minute).await, StoreError::Unfit(_), format!("the work {bad:?}"));
    }
    Ok(())
}
