//! Environments: where what a stage's `environment` names comes from.
//!
//! An engine with an [`EnvironmentSource`] asks it for each environment that a run's stages name, once, when the run is
//! made; the answer is kept with the run ([`RunContext::environments`]), so that a replay judges by the rules of
//! that time. Without a source an engine refuses such a run.
//!
//! ```
//! use buildit::environment::MemoryEnvironments;
//! use buildit::pipeline::{EnvironmentSpec, Protection};
//!
//! let protection = Protection { approvals: 2, branches: vec!["main".into()], ..Protection::default() };
//! let production = EnvironmentSpec { protection, ..EnvironmentSpec::default() };
//! let environments = MemoryEnvironments::new().with("production", production);
//! # let _ = environments;
//! ```
//!
//! [`RunContext::environments`]: crate::pipeline::RunContext::environments

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::id::TenantId;
use crate::pipeline::EnvironmentSpec;

/// Finds environments by name.
#[async_trait]
pub trait EnvironmentSource: Debug + Send + Sync + 'static {
    /// This environment of this tenant, as it is now; `None` when the tenant has none of the name. A source of several
    /// tenants must not give one's to another (guarantee G5).
    ///
    /// # Errors
    ///
    /// [`EnvironmentError`] when the source cannot be asked.
    async fn environment(&self, tenant: TenantId, name: &str) -> Result<Option<EnvironmentSpec>, EnvironmentError>;
}

/// An environment cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("environment `{name}` cannot be read")]
pub struct EnvironmentError {
    /// The environment.
    pub name: String,
    /// What the source said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Environments that the embedding program holds itself, the same for every tenant.
#[derive(Clone, Debug, Default)]
pub struct MemoryEnvironments(BTreeMap<String, EnvironmentSpec>);

impl MemoryEnvironments {
    /// None at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These and one more; the later of two of one name wins.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, environment: EnvironmentSpec) -> Self {
        self.0.insert(name.into(), environment);
        self
    }
}

#[async_trait]
impl EnvironmentSource for MemoryEnvironments {
    async fn environment(&self, _: TenantId, name: &str) -> Result<Option<EnvironmentSpec>, EnvironmentError> {
        Ok(self.0.get(name).cloned())
    }
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<T: EnvironmentSource + ?Sized> EnvironmentSource for $pointer<T> {
            async fn environment(
                &self,
                tenant: TenantId,
                name: &str,
            ) -> Result<Option<EnvironmentSpec>, EnvironmentError> {
                (**self).environment(tenant, name).await
            }
        }
    };
}
forward!(Arc);
forward!(Box);
