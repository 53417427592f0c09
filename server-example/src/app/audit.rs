//! Who did what.

use buildit::account::AuditEntry;
use buildit::id::{OrganizationId, TenantId};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::access::{Access, Actor};
use crate::state::ServerState;

/// Notes that something of a tenant was changed.
pub(crate) async fn of_tenant(
    state: &ServerState,
    access: &Access,
    action: &str,
    subject: impl Into<String>,
    details: &[(&str, Value)],
) {
    let (organization, tenant) = (Some(access.tenant.organization), Some(access.tenant.id));
    by(state, organization, tenant, &access.actor.name(), action, subject, details).await;
}

/// Notes what somebody, or the server by itself, has done.
pub(crate) async fn by(
    state: &ServerState,
    organization: Option<OrganizationId>,
    tenant: Option<TenantId>,
    actor: &str,
    action: &str,
    subject: impl Into<String>,
    details: &[(&str, Value)],
) {
    let details = details.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let (actor, action, subject) = (actor.to_owned(), action.to_owned(), subject.into());
    let entry = AuditEntry { time: Timestamp::now(), organization, tenant, actor, action, subject, details };
    note(state, entry).await;
}

/// Notes that something of an organization was changed.
pub(crate) async fn of_organization(
    state: &ServerState,
    actor: &Actor,
    organization: OrganizationId,
    action: &str,
    subject: impl Into<String>,
) {
    let (organization, tenant) = (Some(organization), None);
    let (actor, action, subject) = (actor.name(), action.to_owned(), subject.into());
    let entry =
        AuditEntry { time: Timestamp::now(), organization, tenant, actor, action, subject, details: Map::new() };
    note(state, entry).await;
}

/// What was done is done: that it cannot be noted is for the server's own log.
async fn note(state: &ServerState, entry: AuditEntry) {
    let (action, subject) = (entry.action.clone(), entry.subject.clone());
    if let Err(error) = state.store().audit(entry).await {
        tracing::error!(error = &error as &dyn std::error::Error, action, subject, "the audit log has a gap");
    }
}
