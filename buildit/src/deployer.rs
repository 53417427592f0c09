//! The port [`Deployer`]: what brings a release to a target. Which steps that takes is the [`strategy`]'s business.

pub mod strategy;

use std::fmt::Debug;

use async_trait::async_trait;

use crate::deployment::{DeploymentAction, DeploymentSpec, DeploymentStatus};

/// Brings releases to a target. Strategies are not its business: it is told one action at a time.
#[async_trait]
pub trait Deployer: Debug + Send + Sync + 'static {
    /// The name by which targets choose it.
    fn name(&self) -> &str;

    /// Whether it can bring this about at all.
    ///
    /// # Errors
    ///
    /// [`DeployError::Invalid`] with what is wrong.
    async fn validate(&self, spec: &DeploymentSpec) -> Result<(), DeployError>;

    /// What is there now.
    ///
    /// # Errors
    ///
    /// [`DeployError`] when the target cannot be asked.
    async fn observe(&self, spec: &DeploymentSpec) -> Result<DeploymentStatus, DeployError>;

    /// Does one step. Idempotent: a step that was done already changes nothing.
    ///
    /// # Errors
    ///
    /// [`DeployError`] when the step failed.
    async fn apply(&self, spec: &DeploymentSpec, action: &DeploymentAction) -> Result<(), DeployError>;

    /// Removes all of the service from its environment.
    ///
    /// # Errors
    ///
    /// [`DeployError`] when something could not be removed.
    async fn destroy(&self, spec: &DeploymentSpec) -> Result<(), DeployError>;
}

/// A deployment could not be brought about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The deployment itself is wrong.
    #[error("the deployment is invalid: {0}")]
    Invalid(String),
    /// The target failed.
    #[error("deployer `{name}` failed")]
    Backend {
        /// The deployer.
        name: String,
        /// What the target said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
