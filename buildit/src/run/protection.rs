//! What the environment of a stage demands before the stage starts.

use super::Fixed;
use crate::condition::Globs;
use crate::event::StageReason;
use crate::pipeline::{Protection, RunContext};

/// The environment of this stage and its rules, if it has one. Of one that the run was not given there are none: an
/// engine starts no such run.
pub(super) fn of(fixed: &Fixed, at: u32) -> Option<(&str, &Protection)> {
    let name = fixed.stage(at).environment.as_deref()?;
    Some((name, &fixed.context.environments.get(name)?.protection))
}

/// How many people must agree before this stage starts; 0 when nobody is asked.
pub(super) fn needed(fixed: &Fixed, at: u32) -> u32 {
    let of_environment = of(fixed, at).map_or(0, |(_, rules)| rules.approvals);
    of_environment.max(u32::from(fixed.stage(at).approval.is_some()))
}

/// Why no stage of a run in this context may work in the environment.
pub(super) fn refusal(context: &RunContext, name: &str, rules: &Protection) -> Option<StageReason> {
    if rules.branches.is_empty() {
        return None;
    }
    // Whoever has a fork names its branches as they like.
    let is_fork = context.pull_request.as_ref().is_some_and(|request| request.fork);
    let branch = if is_fork { "" } else { context.git.branch.as_str() };
    // Rules that cannot be read allow nothing.
    let allowed = Globs::new(rules.branches.iter().map(String::as_str));
    if !branch.is_empty() && allowed.is_ok_and(|globs| globs.is_match(branch)) {
        return None;
    }
    let (environment, branch) = (name.to_owned(), branch.to_owned());
    Some(StageReason::BranchNotAllowed { environment, branch, allowed: rules.branches.clone() })
}
