//! The names and labels of what is made for a job. They follow from its id, so that any engine finds them.

use std::collections::HashMap;

use buildit::id::{JobId, RunId};

/// The label that holds the run's id: what [`reap`](buildit::executor::Executor::reap) looks for.
pub(super) const RUN: &str = "buildit.run";
/// The label that holds the job's backend name.
pub(super) const JOB: &str = "buildit.job";

/// The folder of all that is ours in a container.
pub(super) const HOME: &str = "/buildit";
/// The workspace. It is in the container's own layer, so that a remote engine needs nothing of this host.
pub(super) const WORKSPACE: &str = "/buildit/workspace";
/// What `$BUILDIT_OUTPUT` names.
pub(super) const OUTPUT: &str = "/buildit/output";
/// What `$BUILDIT_SUMMARY` names.
pub(super) const SUMMARY: &str = "/buildit/summary";

/// The labels of all that belongs to a job.
pub(super) fn labels(job: &JobId) -> HashMap<String, String> {
    HashMap::from([
        (RUN.to_owned(), job.run.to_string()),
        (JOB.to_owned(), job.backend_name()),
        ("buildit.stage".to_owned(), job.stage.to_string()),
        ("buildit.attempt".to_owned(), job.attempt.to_string()),
    ])
}

/// A filter for all that belongs to a run.
pub(super) fn of_run(run: RunId) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{RUN}={run}")])])
}

/// A filter for all that belongs to a job.
pub(super) fn of_job(job: &JobId) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{JOB}={}", job.backend_name())])])
}

/// The private network of a job with services. One for each job and not for the run: two stages that run at the same
/// time may both have a service `db`.
pub(super) fn network(job: &JobId) -> String {
    job.backend_name()
}

/// The container of a job's service, by its place in the stage.
pub(super) fn service(job: &JobId, index: usize) -> String {
    format!("{}-s{index}", job.backend_name())
}
