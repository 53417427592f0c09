//! Clauses about tenants.

use std::sync::Arc;

use super::samples::{kept_organization, kept_tenant, tenant};
use crate::account::Tenant;
use crate::id::{OrganizationId, TenantId};
use crate::store::{Enqueue, IdentityStore, StoreError};
use crate::testing::store::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use crate::testing::store::samples::{at, claim, life, waiting};
use crate::testing::store::tenants::of;
use crate::testing::store::{Clause, TenantStores, repository};

pub(in crate::testing::store) fn clauses() -> Vec<Clause<dyn IdentityStore>> {
    clauses![
        a_tenant_has_a_name_in_its_organization,
        a_tenant_is_renamed_and_deleted,
        tenants_are_listed_by_name_in_pages,
    ]
}

pub(in crate::testing::store) fn holding_clauses() -> Vec<Clause<TenantStores>> {
    clauses![a_tenant_with_runs_is_not_deleted, a_tenant_with_a_repository_is_not_deleted]
}

async fn a_tenant_has_a_name_in_its_organization(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (shop, _) = kept_organization(&*store, "shop").await?;
    let (other, _) = kept_organization(&*store, "other").await?;
    let web = tenant(shop, "web");
    store.create_tenant(web.clone()).await?;
    ensure_eq!(store.tenant(web.id).await?.as_ref(), Some(&web), "what was kept");
    ensure_eq!(store.tenant_named(shop, "web").await?.as_ref(), Some(&web), "what has the name");
    ensure_eq!(store.tenant_named(other, "web").await?, None, "what has the name elsewhere");
    ensure_refused!(store.create_tenant(tenant(shop, "web")).await, StoreError::Taken(_), "a second one of the name");
    let same = Tenant { id: web.id, ..tenant(other, "same id") };
    ensure_refused!(store.create_tenant(same).await, StoreError::Taken(_), "a second one of the id");
    let there = tenant(other, "web");
    store.create_tenant(there.clone()).await?;
    store.create_tenant(tenant(shop, "Web")).await?;
    ensure_eq!(store.tenant_named(other, "web").await?, Some(there), "what has the name elsewhere now");
    let nowhere = tenant(OrganizationId::new(), "web");
    ensure_refused!(store.create_tenant(nowhere).await, StoreError::NotFound(_), "a tenant of nothing");
    Ok(())
}

async fn a_tenant_is_renamed_and_deleted(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (web, shop, _) = kept_tenant(&*store, "web").await?;
    let api = tenant(shop, "api");
    store.create_tenant(api.clone()).await?;
    ensure_refused!(store.rename_tenant(web, "api").await, StoreError::Taken(_), "a name that is taken");
    store.rename_tenant(web, "site").await?;
    store.rename_tenant(web, "site").await?;
    let found = store.tenant_named(shop, "site").await?.map(|tenant| tenant.id);
    ensure_eq!(found, Some(web), "what has the new name");
    ensure_eq!(store.tenant_named(shop, "web").await?, None, "what has the old name");
    ensure_refused!(store.rename_tenant(TenantId::new(), "x").await, StoreError::NotFound(_), "one that is not there");
    ensure!(store.delete_tenant(web).await?, "there was none");
    ensure!(!store.delete_tenant(web).await?, "there was one twice");
    ensure_eq!(store.tenant(web).await?, None, "what was deleted");
    store.rename_tenant(api.id, "site").await?;
    Ok(())
}

async fn tenants_are_listed_by_name_in_pages(store: Arc<dyn IdentityStore>) -> Result<(), Broken> {
    let (shop, _) = kept_organization(&*store, "shop").await?;
    kept_tenant(&*store, "other").await?;
    let mut names = ["b", "a", "Z", "\u{e9}", "a b", "a-b", "100%", "_"];
    for name in names {
        store.create_tenant(tenant(shop, name)).await?;
    }
    names.sort_unstable();
    let mut listed: Vec<String> = Vec::new();
    loop {
        let page = store.tenants(shop, listed.last().map(String::as_str), 3).await?;
        ensure!(page.len() <= 3, "a page of {} tenants", page.len());
        if page.is_empty() {
            break;
        }
        ensure!(page.iter().all(|tenant| tenant.organization == shop), "a tenant of another one: {page:?}");
        listed.extend(page.into_iter().map(|tenant| tenant.name));
        ensure!(listed.len() <= names.len(), "more are listed than there are");
    }
    ensure_eq!(listed, names, "all tenants");
    Ok(())
}

async fn a_tenant_with_runs_is_not_deleted(stores: Arc<TenantStores>) -> Result<(), Broken> {
    let TenantStores { tenants, runs, .. } = &*stores;
    let (web, ..) = kept_tenant(tenants, "web").await?;
    let (other, ..) = kept_tenant(tenants, "other").await?;
    let run = of(web, "sample", 0);
    let run = runs.create_run(run).await?.run.id;
    ensure_refused!(tenants.delete_tenant(web).await, StoreError::NotEmpty(_), "a tenant with a run");
    runs.enqueue(Enqueue { tenant: web, ..waiting(run) }).await?;
    ensure_refused!(tenants.delete_tenant(web).await, StoreError::NotEmpty(_), "a tenant with a run in the queue");
    ensure!(tenants.tenant(web).await?.is_some(), "it is gone");
    let taken = runs.claim(claim("worker", 1), at(0)).await?;
    ensure_eq!(taken.len(), 1, "what was taken");
    ensure_refused!(tenants.delete_tenant(web).await, StoreError::NotEmpty(_), "a tenant with a run under way");
    ensure!(tenants.delete_tenant(other).await?, "a tenant without runs is not there");
    runs.append(run, 0, taken[0].token, life().into()).await?;
    runs.close_run(run, taken[0].token).await?;
    ensure_refused!(tenants.delete_tenant(web).await, StoreError::NotEmpty(_), "a tenant with a run that has ended");
    runs.delete_run(run).await?;
    ensure!(tenants.delete_tenant(web).await?, "a tenant whose runs are gone is not there");
    Ok(())
}

async fn a_tenant_with_a_repository_is_not_deleted(stores: Arc<TenantStores>) -> Result<(), Broken> {
    let TenantStores { tenants, repositories, .. } = &*stores;
    let (web, ..) = kept_tenant(tenants, "web").await?;
    let (other, ..) = kept_tenant(tenants, "other").await?;
    let repository = repository::sample(web, "shop");
    let id = repository.id;
    repositories.put_repository(repository).await?;
    ensure_refused!(tenants.delete_tenant(web).await, StoreError::NotEmpty(_), "a tenant with a repository");
    ensure!(repositories.repository(id).await?.is_some(), "its repository is gone");
    ensure!(tenants.delete_tenant(other).await?, "a tenant without repositories is not there");
    repositories.delete_repository(id).await?;
    ensure!(tenants.delete_tenant(web).await?, "a tenant whose repositories are gone is not there");
    Ok(())
}
