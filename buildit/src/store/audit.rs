//! What was done, and by whom.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use super::StoreError;
use crate::account::{AuditEntry, AuditRecord};
use crate::id::{OrganizationId, TenantId};

/// Keeps the audit log, which only grows: no call changes or removes an entry.
#[async_trait]
pub trait AuditStore: Debug + Send + Sync + 'static {
    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn audit(&self, entry: AuditEntry) -> Result<(), StoreError>;

    /// Entries, the newest first: those before this place, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn audit_log(
        &self,
        filter: AuditFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError>;
}

#[async_trait]
impl<T: AuditStore + ?Sized> AuditStore for Arc<T> {
    async fn audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        (**self).audit(entry).await
    }

    async fn audit_log(
        &self,
        filter: AuditFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        (**self).audit_log(filter, before, limit).await
    }
}

/// Which entries of the audit log are wanted: those that meet everything that is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this organization alone.
    pub organization: Option<OrganizationId>,
    /// Of this tenant alone.
    pub tenant: Option<TenantId>,
}

impl AuditFilter {
    /// Everything of an organization, its tenants included as far as entries say both.
    #[must_use]
    pub fn of_organization(organization: OrganizationId) -> Self {
        Self { organization: Some(organization), tenant: None }
    }

    /// Everything of a tenant.
    #[must_use]
    pub fn of_tenant(tenant: TenantId) -> Self {
        Self { organization: None, tenant: Some(tenant) }
    }

    /// Whether this entry is wanted.
    #[must_use]
    pub fn matches(&self, entry: &AuditEntry) -> bool {
        let organization = self.organization.is_none() || self.organization == entry.organization;
        organization && (self.tenant.is_none() || self.tenant == entry.tenant)
    }
}
