//! Environments of tenants, for their runs.

use std::sync::Arc;

use async_trait::async_trait;
use buildit::environment::{EnvironmentError, EnvironmentSource};
use buildit::id::TenantId;
use buildit::pipeline::EnvironmentSpec;

use crate::state::ServerStore;

/// What runs are given: the environments of their tenant, as they are kept.
#[derive(Clone, Debug)]
pub(crate) struct OfTenants(pub(crate) Arc<dyn ServerStore>);

#[async_trait]
impl EnvironmentSource for OfTenants {
    async fn environment(&self, tenant: TenantId, name: &str) -> Result<Option<EnvironmentSpec>, EnvironmentError> {
        let found = self.0.environment(tenant, name).await;
        let found = found.map_err(|source| EnvironmentError { name: name.to_owned(), source: source.into() })?;
        Ok(found.map(|environment| environment.spec))
    }
}
