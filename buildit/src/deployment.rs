//! What is deployed where, and how that stands.

use serde::{Deserialize, Serialize};

use crate::pipeline::DeployStrategy;

/// An immutable version of a service that is to run in an environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeploymentSpec {
    /// The service.
    pub service: String,
    /// The environment.
    pub environment: String,
    /// The release: what makes two deployments of a service the same.
    pub release: String,
    /// The image of the release.
    pub image: String,
    /// How many instances there are to be.
    pub replicas: u32,
    /// How the release replaces the one before it.
    pub strategy: DeployStrategy,
}

/// What a deployer sees at its target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentStatus {
    /// The releases that have instances, the newest first.
    pub releases: Vec<ReleaseStatus>,
}

/// The instances of one release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseStatus {
    /// The release.
    pub release: String,
    /// Instances that exist.
    pub replicas: u32,
    /// Instances that answer.
    pub ready: u32,
    /// The share of the traffic that it gets, in percent.
    pub weight: u8,
}

/// One step of a deployment; idempotent by release and kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
#[non_exhaustive]
pub enum DeploymentAction {
    /// Give a release this many instances.
    Scale {
        /// The release.
        release: String,
        /// How many.
        replicas: u32,
    },
    /// Give a release this share of the traffic, in percent.
    Shift {
        /// The release.
        release: String,
        /// The share.
        weight: u8,
    },
    /// Wait until all instances of a release answer.
    AwaitReady {
        /// The release.
        release: String,
    },
    /// Remove a release.
    Remove {
        /// The release.
        release: String,
    },
}
