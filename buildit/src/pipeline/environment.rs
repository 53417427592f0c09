//! [`EnvironmentSpec`]: where a stage works, with the rules for whoever wants to.

use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::serde_duration;

/// What a stage with `environment "production"` gets and must keep to. A run keeps it as it was when the run was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentSpec {
    /// Environment variables of the stage's job, also read as `${environment.NAME}`. The values are text: a reference in
    /// one means nothing.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub variables: IndexMap<String, String>,
    /// What must be before the stage starts.
    #[serde(default)]
    pub protection: Protection,
}

/// What must be before a stage starts that names the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// How many people must agree.
    #[serde(default)]
    pub approvals: u32,
    /// Who may answer: `role:admin`, `user:ann`; empty for anybody who may answer at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// Whether whoever started the run may be one of them.
    #[serde(default)]
    pub starter: StarterRule,
    /// Globs of the branches whose runs may work there; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<String>,
    /// How long the stage waits once all that it needs has ended. People may answer meanwhile.
    #[serde(default, with = "serde_duration", skip_serializing_if = "Duration::is_zero")]
    pub wait: Duration,
}

/// Whether whoever started a run may agree to a stage of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StarterRule {
    /// They may.
    #[default]
    May,
    /// It takes somebody else.
    MayNot,
}

impl Protection {
    /// Whether somebody or some time is waited for.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.approvals > 0 || !self.wait.is_zero()
    }
}
