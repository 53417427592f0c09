//! Environments.

use async_trait::async_trait;

use super::super::store::MemoryStore;
use crate::id::TenantId;
use crate::store::{Environment, EnvironmentStore, StoreError, check_text};

#[async_trait]
impl EnvironmentStore for MemoryStore {
    async fn put_environment(&self, environment: Environment) -> Result<(), StoreError> {
        check_text("the name of an environment", &environment.name)?;
        self.environments_locked().put(environment)
    }

    async fn environment(&self, tenant: TenantId, name: &str) -> Result<Option<Environment>, StoreError> {
        Ok(self.environments_locked().find(tenant, name).cloned())
    }

    async fn environments(
        &self,
        tenant: TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Environment>, StoreError> {
        Ok(self.environments_locked().list(tenant, after, limit))
    }

    async fn delete_environment(&self, tenant: TenantId, name: &str) -> Result<bool, StoreError> {
        self.environments_locked().delete(tenant, name)
    }
}
