//! The pipeline as a whole.

use std::num::NonZeroU32;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Origin, Origins, StageSpec, Trigger};

/// A pipeline: what is asked, with everything that a run needs to know and nothing of how a run goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PipelineSpec {
    /// The name that people know it by.
    pub name: String,
    /// One line about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The repository that it belongs to, as a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// How many jobs of one run may run at once; `None`: as many as the engine allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<NonZeroU32>,
    /// Whether the first failure that counts cancels what still runs.
    #[serde(default)]
    pub fail_fast: bool,
    /// Runs of one group wait for each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<ConcurrencySpec>,
    /// How the source is checked out.
    #[serde(default)]
    pub checkout: CheckoutSpec,
    /// What starts a run by itself; a run that is asked for starts whatever they say.
    #[serde(default)]
    pub triggers: Vec<Trigger>,
    /// What a run can be given.
    #[serde(default)]
    pub params: Vec<ParamSpec>,
    /// Environment variables of every stage. Values may hold references.
    #[serde(default)]
    pub env: IndexMap<String, String>,
    /// The caches that stages can name.
    #[serde(default)]
    pub caches: Vec<CacheSpec>,
    /// The stages, in the order in which they were written.
    pub stages: Vec<Arc<StageSpec>>,
    /// Where the parts of the pipeline itself were written (`pipeline`, `concurrency`, `env.NAME`, …).
    #[serde(default, skip_serializing_if = "Origins::is_empty")]
    pub origins: Origins,
}

impl PipelineSpec {
    /// The stage of this name.
    #[must_use]
    pub fn stage(&self, name: &str) -> Option<&Arc<StageSpec>> {
        self.stages.iter().find(|stage| stage.name == *name)
    }
}

/// Runs of one group of a pipeline run one after another, in the order in which they were created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConcurrencySpec {
    /// The group's name. May hold references: `deploy-${git.branch}`.
    pub group: String,
    /// Whether a new run cancels the one of its group that is under way.
    #[serde(default)]
    pub cancel_in_progress: bool,
}

/// How the source is checked out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckoutSpec {
    /// How many commits of history; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<NonZeroU32>,
    /// Whether submodules are checked out too.
    #[serde(default)]
    pub submodules: bool,
    /// Whether files of Git LFS are fetched.
    #[serde(default)]
    pub lfs: bool,
}

/// Something that a run can be given: `param "region" default="eu" { choices "eu" "us" }`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParamSpec {
    /// Its name, as in `${params.region}`.
    pub name: String,
    /// The value of a run that was given none; without one the parameter is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The values that are allowed; empty for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// One line for the person who starts a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// Folders that are kept between runs under a key, and may be lost at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheSpec {
    /// The name by which stages use it.
    pub name: String,
    /// What is kept: paths in the workspace, or in the home folder (`~/.cargo/registry`).
    pub paths: Vec<String>,
    /// The key. May hold references: `cargo-${checksum.Cargo.lock}`.
    pub key: String,
    /// Beginnings of keys that will do when there is no exact one; the newest match of the first that has one wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restore_keys: Vec<String>,
    /// Where it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}
