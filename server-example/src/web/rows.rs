//! Runs in lists.

use buildit::store::RunSummary;
use jiff::Timestamp;

use super::page::{When, part};
use crate::view::words;

/// A run in a list.
#[derive(Clone, Debug)]
pub(crate) struct RunRow {
    pub(crate) link: String,
    pub(crate) status: &'static str,
    pub(crate) number: u64,
    pub(crate) pipeline: String,
    pub(crate) title: String,
    pub(crate) branch: String,
    pub(crate) author: String,
    pub(crate) created_at: Timestamp,
    /// When it began, while it goes on.
    pub(crate) since: Option<Timestamp>,
    pub(crate) took: String,
}

impl RunRow {
    pub(crate) fn new(root: &str, run: RunSummary) -> Self {
        let title = if run.message.is_empty() { format!("{} run", run.event) } else { run.message };
        Self {
            link: format!("{root}/pipelines/{}/runs/{}", part(&run.pipeline), run.number),
            status: run.status.as_str(),
            number: run.number,
            pipeline: run.pipeline,
            title,
            branch: run.branch,
            author: run.author,
            created_at: run.created_at,
            since: run.started_at.filter(|_| run.finished_at.is_none()),
            took: run
                .duration
                .map(|took| words::duration(u64::try_from(took.as_millis()).unwrap_or(0)))
                .unwrap_or_default(),
        }
    }

    pub(super) fn age(&self) -> When {
        When(self.created_at)
    }
}
