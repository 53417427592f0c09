//! What the local executor can take. Pure.

use buildit::executor::{Missing, Unsupported};
use buildit::job::JobSpec;
use buildit::pipeline::Action;

use super::cgroup::Cgroup;

/// Whether a process of this host can do the job; all that is missing otherwise.
pub(super) fn check(job: &JobSpec, labels: &[String], cgroup: Option<&Cgroup>) -> Result<(), Unsupported> {
    let stage = &job.stage;
    let mut missing = Vec::new();
    let mut lack = |part: &str, reason: String| missing.push(Missing { part: part.to_owned(), reason });
    if !matches!(stage.action, Action::Run(_)) {
        let name = stage.action.name();
        lack(name, format!("the local executor runs commands, and has nothing for `{name}`"));
    }
    if let Some(image) = &stage.image {
        lack("image", format!("the local executor runs no images (`{}`)", image.reference));
    }
    if !stage.services.is_empty() {
        lack("service", "the local executor starts no services".into());
    }
    match cgroup {
        _ if stage.resources.is_empty() => {}
        None => lack("resources", "the local executor has no cgroup of its own to set limits in".into()),
        Some(cgroup) => {
            if let Some(controller) = cgroup.lacks(&stage.resources) {
                lack("resources", format!("the local executor's cgroup has no controller `{controller}`"));
            }
        }
    }
    if !stage.entrypoint.is_empty() {
        lack("entrypoint", "only an image has an entry point".into());
    }
    if stage.privileged {
        lack("privileged", "only a container can be privileged".into());
    }
    let unknown: Vec<&str> = stage.runs_on.iter().filter(|label| !labels.contains(label)).map(String::as_str).collect();
    if !unknown.is_empty() {
        lack("runs-on", format!("this host does not have the labels {}", unknown.join(", ")));
    }
    Unsupported::unless_empty(missing)
}
