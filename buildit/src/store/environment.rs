//! Environments that tenants have.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::id::TenantId;
use crate::pipeline::EnvironmentSpec;

/// An environment of a tenant. Its name is what stages say, so it has the same one as long as it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Whose it is.
    pub tenant: TenantId,
    /// What stages call it; one of a name in each tenant.
    pub name: String,
    /// Its variables and rules.
    pub spec: EnvironmentSpec,
    /// How often it was written: 1 for a new one.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was written last.
    pub updated_at: Timestamp,
}

/// Keeps the environments of tenants.
#[async_trait]
pub trait EnvironmentStore: Debug + Send + Sync + 'static {
    /// Puts an environment in the place of the one that has the version before it: there must be none for version 1. The
    /// time at which the first was made stays.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when another version is there, [`StoreError::Unfit`] when no store keeps the name: then
    /// nothing is changed.
    async fn put_environment(&self, environment: Environment) -> Result<(), StoreError>;

    /// The environment of this name.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn environment(&self, tenant: TenantId, name: &str) -> Result<Option<Environment>, StoreError>;

    /// The environments of a tenant in order of their names' bytes: those after this name, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn environments(
        &self,
        tenant: TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Environment>, StoreError>;

    /// Forgets an environment; whether there was one. Its secrets are for the caller to forget first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn delete_environment(&self, tenant: TenantId, name: &str) -> Result<bool, StoreError>;
}

#[async_trait]
impl<T: EnvironmentStore + ?Sized> EnvironmentStore for Arc<T> {
    async fn put_environment(&self, environment: Environment) -> Result<(), StoreError> {
        (**self).put_environment(environment).await
    }

    async fn environment(&self, tenant: TenantId, name: &str) -> Result<Option<Environment>, StoreError> {
        (**self).environment(tenant, name).await
    }

    async fn environments(
        &self,
        tenant: TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Environment>, StoreError> {
        (**self).environments(tenant, after, limit).await
    }

    async fn delete_environment(&self, tenant: TenantId, name: &str) -> Result<bool, StoreError> {
        (**self).delete_environment(tenant, name).await
    }
}
