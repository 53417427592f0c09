//! What a list of runs shows, and what narrows it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{NewRun, RunProgress};
use crate::event::RunStatus;
use crate::id::{RunId, TenantId};
use crate::pipeline::serde_duration;

/// How many characters of a commit's message a list shows.
const MESSAGE: usize = 200;

/// A line of a list of runs. Texts that a run has not are empty. A store may cut long ones, and make what it cannot hold
/// another character: the whole is in the run's [`RunRecord`](super::RunRecord).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Its id.
    pub id: RunId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its number within the pipeline.
    pub number: u64,
    /// The name that its pipeline has now.
    pub pipeline: String,
    /// Where it is.
    pub status: RunStatus,
    /// What started it.
    pub event: String,
    /// The branch.
    pub branch: String,
    /// The full id of the commit.
    pub commit: String,
    /// The first line of the commit's message, at most 200 characters of it.
    pub message: String,
    /// The author of the commit.
    pub author: String,
    /// The number of the pull request.
    pub pull_request: Option<u64>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it left its queue.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How long it worked, once it has ended: from the start of its first attempt to the end of its last one, in whole
    /// milliseconds.
    #[serde(default, with = "serde_duration::option")]
    pub duration: Option<Duration>,
}

impl RunSummary {
    /// What a list shows of a run that was just created.
    #[must_use]
    pub fn of_new(run: &NewRun, number: u64) -> Self {
        let (context, git) = (&run.context, &run.context.git);
        Self {
            id: run.id,
            tenant: run.tenant,
            number,
            pipeline: run.plan.name.clone(),
            status: RunStatus::default(),
            event: context.event.clone(),
            branch: git.branch.clone(),
            commit: git.sha.clone(),
            message: git.message.lines().next().unwrap_or_default().chars().take(MESSAGE).collect(),
            author: git.author.clone(),
            pull_request: context.pull_request.as_ref().map(|pull| pull.number),
            created_at: run.created_at,
            started_at: None,
            finished_at: None,
            duration: None,
        }
    }

    /// The same when the run has come so far.
    #[must_use]
    pub fn with_progress(self, progress: &RunProgress) -> Self {
        Self {
            status: progress.status,
            started_at: progress.started_at,
            finished_at: progress.finished_at,
            duration: progress.duration(),
            ..self
        }
    }
}

/// Which runs a list has: those for which everything holds that is said here. No run has an empty text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Those of this tenant, or of [nobody](TenantId::NONE).
    pub tenant: Option<TenantId>,
    /// Those of pipelines that have this name now.
    pub pipeline: Option<String>,
    /// Those that are there.
    pub status: Option<RunStatus>,
    /// Those of this branch.
    pub branch: Option<String>,
    /// Those of this commit, by its whole id.
    pub commit: Option<String>,
    /// Those of a commit by this author.
    pub author: Option<String>,
    /// Those of the pull request of this number.
    pub pull_request: Option<u64>,
    /// Those that this started.
    pub event: Option<String>,
    /// Those behind this one in the list: the last one of the page before.
    pub before: Option<RunId>,
}

impl RunFilter {
    /// The runs of pipelines of this name.
    #[must_use]
    pub fn of_pipeline(name: impl Into<String>) -> Self {
        Self { pipeline: Some(name.into()), ..Self::default() }
    }

    /// The runs of this tenant.
    #[must_use]
    pub fn of_tenant(tenant: TenantId) -> Self {
        Self { tenant: Some(tenant), ..Self::default() }
    }

    /// Whether it asks for more than whose runs these are.
    pub(crate) fn asks_of_the_run(&self) -> bool {
        let Self { status, branch, commit, author, pull_request, event, .. } = self;
        status.is_some() || pull_request.is_some() || [branch, commit, author, event].into_iter().any(Option::is_some)
    }

    /// Whether a run is in the list, wherever that begins.
    #[must_use]
    pub fn lets_through(&self, run: &RunSummary) -> bool {
        let is = |wanted: &Option<String>, text: &str| {
            wanted.as_ref().is_none_or(|wanted| !wanted.is_empty() && wanted == text)
        };
        self.tenant.is_none_or(|tenant| tenant == run.tenant)
            && self.status.is_none_or(|status| status == run.status)
            && self.pull_request.is_none_or(|number| run.pull_request == Some(number))
            && self.pipeline.as_ref().is_none_or(|name| *name == run.pipeline)
            && is(&self.branch, &run.branch)
            && is(&self.commit, &run.commit)
            && is(&self.author, &run.author)
            && is(&self.event, &run.event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{GitContext, PipelineSpec, RunContext};

    #[test]
    fn a_line_shows_the_beginning_of_the_message() {
        let message = format!("{}\nand more", "\u{fc}".repeat(300));
        let git = GitContext { message, ..GitContext::default() };
        let context = RunContext { git, ..RunContext::manual() };
        let run = NewRun::new(PipelineSpec::default(), context, Timestamp::UNIX_EPOCH);
        assert_eq!(RunSummary::of_new(&run, 1).message, "\u{fc}".repeat(200));
    }
}
