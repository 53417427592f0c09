//! What a run is started with.

use std::sync::LazyLock;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{EnvironmentSpec, StageSpec};

/// What a run is started with: the event, the commit, the parameters. It is stored with the run and never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunContext {
    /// What started the run: `push`, `pull_request`, `tag`, `schedule`, `webhook`, `manual`.
    pub event: String,
    /// The commit; all empty outside a repository.
    #[serde(default)]
    pub git: GitContext,
    /// The pull request, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequest>,
    /// The parameters that were given; the defaults of the others come from the pipeline.
    #[serde(default)]
    pub params: IndexMap<String, String>,
    /// Environment variables that win over all others.
    #[serde(default)]
    pub env: IndexMap<String, String>,
    /// Values of the embedding program, read as `${custom.NAME}`.
    #[serde(default)]
    pub custom: IndexMap<String, String>,
    /// Paths that changed against the base (`changed()` and `path`); `None` when there is no base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<String>>,
    /// Digests of what `${checksum.PATH}` names, by path or glob, as taken from the source.
    #[serde(default)]
    pub checksums: IndexMap<String, String>,
    /// The address of the run's page; empty without one.
    #[serde(default)]
    pub url: String,
    /// An id of the pipeline at the embedding program; empty without one.
    #[serde(default)]
    pub pipeline_id: String,
    /// Stages to run, with what they need; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Who asked for the run, as an approval names people; empty when nobody did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub started_by: String,
    /// The environments that the pipeline's stages name, as they were when the run was made. The engine fills them in
    /// from its [`EnvironmentSource`](crate::environment::EnvironmentSource), whatever stood here.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub environments: IndexMap<String, EnvironmentSpec>,
}

impl RunContext {
    /// A run that somebody asked for, outside any repository.
    #[must_use]
    pub fn manual() -> Self {
        Self { event: "manual".into(), ..Self::default() }
    }

    /// Whether somebody who may is answerable for what a run of this does: not for a pull request from a fork, whose code
    /// anybody may write, unless somebody has [looked at it](PullRequest::may_have_secrets).
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.pull_request.as_ref().is_none_or(PullRequest::may_have_secrets)
    }

    /// What the environment of this stage sets; nothing for a stage without one.
    #[must_use]
    pub fn variables_of(&self, stage: &StageSpec) -> &IndexMap<String, String> {
        static NOTHING: LazyLock<IndexMap<String, String>> = LazyLock::new(IndexMap::new);
        let environment = stage.environment.as_deref().and_then(|name| self.environments.get(name));
        environment.map_or(&NOTHING, |environment| &environment.variables)
    }
}

/// The commit that a run is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitContext {
    /// The full commit id.
    pub sha: String,
    /// The branch; for a pull request the source branch.
    pub branch: String,
    /// The tag, if the run is of one.
    pub tag: String,
    /// The full ref: `refs/heads/main`.
    pub reference: String,
    /// The commit's message.
    pub message: String,
    /// The author's name.
    pub author: String,
    /// The author's e-mail address.
    pub author_email: String,
    /// Whether the source had changes that were not committed.
    pub dirty: bool,
}

impl GitContext {
    /// The commit id as people read it: its first 7 characters.
    #[must_use]
    pub fn short_sha(&self) -> &str {
        self.sha.get(..7).unwrap_or(&self.sha)
    }
}

/// The pull request that a run is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Its number at the forge.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// The branch that it is to be merged into.
    pub base: String,
    /// The commit at which it has left that branch, where it is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub merge_base: String,
    /// The branch that it comes from.
    pub head: String,
    /// Whether it comes from another repository.
    pub fork: bool,
    /// Who has looked at what it would do, and lets it have secrets all the same; empty when nobody has.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub approved_by: String,
}

impl PullRequest {
    /// Whether a run of it may have secrets: anybody may have written what one of a fork does, so somebody must have looked
    /// at that.
    #[must_use]
    pub fn may_have_secrets(&self) -> bool {
        !self.fork || !self.approved_by.is_empty()
    }
}
