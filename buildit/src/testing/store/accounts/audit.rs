//! Clauses about the audit log.

use std::sync::Arc;

use crate::account::AuditEntry;
use crate::id::{OrganizationId, TenantId};
use crate::store::{AuditFilter, AuditStore};
use crate::testing::store::Clause;
use crate::testing::store::clause::{Broken, clauses, ensure, ensure_eq};
use crate::testing::store::samples::at;

pub(in crate::testing::store) fn clauses() -> Vec<Clause<dyn AuditStore>> {
    clauses![
        an_entry_is_kept_as_it_was_written,
        entries_are_listed_newest_first_in_pages,
        entries_are_listed_by_whose_they_are,
    ]
}

fn entry(organization: Option<OrganizationId>, tenant: Option<TenantId>, subject: &str) -> AuditEntry {
    AuditEntry {
        time: at(1),
        organization,
        tenant,
        actor: "ada@example.org".into(),
        action: "pipeline.delete".into(),
        subject: subject.to_owned(),
        details: serde_json::Map::new(),
    }
}

async fn subjects(store: &dyn AuditStore, filter: AuditFilter) -> Result<Vec<String>, Broken> {
    let found = store.audit_log(filter, None, 99).await?;
    Ok(found.into_iter().map(|record| record.entry.subject).collect())
}

async fn an_entry_is_kept_as_it_was_written(store: Arc<dyn AuditStore>) -> Result<(), Broken> {
    ensure_eq!(store.audit_log(AuditFilter::default(), None, 9).await?, [], "what is in an empty log");
    let mut full = entry(Some(OrganizationId::new()), Some(TenantId::new()), "it's \"100%\" \u{fc}");
    full.details.insert("before".into(), serde_json::json!({"name": "a\u{0}b", "count": 3, "none": null}));
    let empty = AuditEntry { actor: String::new(), action: String::new(), ..entry(None, None, "") };
    for written in [full, empty] {
        store.audit(written.clone()).await?;
        let newest = store.audit_log(AuditFilter::default(), None, 1).await?;
        let newest: Vec<_> = newest.into_iter().map(|record| record.entry).collect();
        ensure_eq!(newest, [written], "what was written");
    }
    Ok(())
}

async fn entries_are_listed_newest_first_in_pages(store: Arc<dyn AuditStore>) -> Result<(), Broken> {
    let shop = OrganizationId::new();
    for number in 0..7 {
        // Places, not times, say what is newer.
        store.audit(AuditEntry { time: at(9 - number), ..entry(Some(shop), None, &number.to_string()) }).await?;
        store.audit(entry(None, None, "other")).await?;
    }
    let mut listed = Vec::new();
    let mut before = None;
    loop {
        let page = store.audit_log(AuditFilter::of_organization(shop), before, 3).await?;
        ensure!(page.len() <= 3, "a page of {} entries", page.len());
        let Some(last) = page.last() else { break };
        let is_earlier = before.is_none_or(|before| page.iter().all(|record| record.place < before));
        ensure!(is_earlier, "a page goes back: {page:?}");
        before = Some(last.place);
        listed.extend(page.into_iter().map(|record| record.entry.subject));
    }
    ensure_eq!(listed, ["6", "5", "4", "3", "2", "1", "0"], "all entries");
    ensure_eq!(subjects(&*store, AuditFilter::default()).await?.len(), 14, "how many there are");
    Ok(())
}

async fn entries_are_listed_by_whose_they_are(store: Arc<dyn AuditStore>) -> Result<(), Broken> {
    let (shop, other) = (OrganizationId::new(), OrganizationId::new());
    let (web, api) = (TenantId::new(), TenantId::new());
    for (organization, tenant, subject) in [
        (Some(shop), Some(web), "shop's web"),
        (Some(shop), Some(api), "shop's api"),
        (Some(shop), None, "shop"),
        (Some(other), None, "other"),
        (None, Some(web), "web"),
        (None, None, "nobody"),
    ] {
        store.audit(entry(organization, tenant, subject)).await?;
    }
    let of_shop = subjects(&*store, AuditFilter::of_organization(shop)).await?;
    ensure_eq!(of_shop, ["shop", "shop's api", "shop's web"], "what is the organization's");
    ensure_eq!(subjects(&*store, AuditFilter::of_tenant(web)).await?, ["web", "shop's web"], "what is the tenant's");
    let both = AuditFilter { organization: Some(shop), tenant: Some(api) };
    ensure_eq!(subjects(&*store, both).await?, ["shop's api"], "what is both");
    ensure_eq!(subjects(&*store, AuditFilter::default()).await?.len(), 6, "all there is");
    Ok(())
}
