//! What is to be run, as plain data: [`PipelineSpec`] and its parts, the [`RunContext`] that a run is started with,
//! and the trait [`Pipeline`] of whatever yields a spec for a run.
//!
//! Values that people write keep their text, references (`${git.sha}`) included; [`variables`](crate::variables)
//! reads those. Nothing here does I/O.

mod action;
mod builder;
mod context;
mod environment;
mod matrix;
mod origin;
mod params;
pub(crate) mod serde_duration;
mod spec;
mod stage;
mod trigger;

use std::fmt::Debug;
use std::sync::Arc;

pub use action::{
    Action, BuildImageAction, CanaryStep, Command, DeployAction, DeployStrategy, RunAction, Shell, TerraformAction,
    TerraformVerb,
};
pub use builder::{PipelineBuilder, StageBuilder};
pub use context::{GitContext, PullRequest, RunContext};
pub use environment::{EnvironmentSpec, Protection, StarterRule};
pub use matrix::{Cell, ExpandError, ExpandLimits, Matrix};
pub use origin::{Origin, Origins};
pub use spec::{CacheSpec, CheckoutSpec, ConcurrencySpec, ParamSpec, PipelineSpec};
pub use stage::{
    ApprovalField, ApprovalSpec, ArtifactSpec, ArtifactWhen, ImageSpec, PullPolicy, ReadySpec, RegistryCredentials,
    ReportsSpec, ResourceSpec, RetryCause, RetrySpec, ServiceSpec, StageSpec, When, WhenProperties, registry_of,
};
pub use trigger::Trigger;

/// Whatever yields a [`PipelineSpec`] for a run: KDL text, the [builder](PipelineBuilder), a spec itself, or a type
/// of your own that generates its stages from the run's context.
///
/// It is asked once, when the run starts; the spec that it gave is stored with the run, so that a later change of
/// the source changes nothing of a run under way.
pub trait Pipeline: Debug + Send + Sync {
    /// The pipeline for a run in this context.
    ///
    /// # Errors
    ///
    /// [`PipelineError`] when there is no valid pipeline for this context.
    fn spec(&self, context: &RunContext) -> Result<Arc<PipelineSpec>, PipelineError>;
}

/// Why a [`Pipeline`] gave no spec.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The text or the data is no valid pipeline.
    #[error("the pipeline is invalid: {0}")]
    Invalid(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A parameter was given that the pipeline does not declare, or a value that it does not allow.
    #[error("parameter `{name}`: {reason}")]
    Param {
        /// The parameter's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Pipeline for PipelineSpec {
    fn spec(&self, _: &RunContext) -> Result<Arc<PipelineSpec>, PipelineError> {
        Ok(Arc::new(self.clone()))
    }
}

impl<P: Pipeline + ?Sized> Pipeline for Arc<P> {
    fn spec(&self, context: &RunContext) -> Result<Arc<PipelineSpec>, PipelineError> {
        (**self).spec(context)
    }
}

impl<P: Pipeline + ?Sized> Pipeline for Box<P> {
    fn spec(&self, context: &RunContext) -> Result<Arc<PipelineSpec>, PipelineError> {
        (**self).spec(context)
    }
}

impl<P: Pipeline + ?Sized> Pipeline for &P {
    fn spec(&self, context: &RunContext) -> Result<Arc<PipelineSpec>, PipelineError> {
        (**self).spec(context)
    }
}
