//! Whether an event starts a run: the `on` nodes.

use super::{GlobError, Globs, properties};
use crate::pipeline::{RunContext, Trigger};

/// Why a trigger does not start a run for what happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotTriggered {
    /// It is for another event.
    #[error("it is for `{wanted}`, and this is `{event}`")]
    Event {
        /// The trigger's event.
        wanted: String,
        /// What happened.
        event: String,
    },
    /// The branch is none of those that it names.
    #[error("branch `{branch}` does not match")]
    Branch {
        /// The branch; for a pull request the one that it is to be merged into.
        branch: String,
    },
    /// No path that changed is one of those that it names.
    #[error("no changed path matches")]
    Paths,
    /// The tag does not match.
    #[error("tag `{tag}` does not match")]
    Tag {
        /// The tag.
        tag: String,
    },
    /// A glob is malformed; the loader of a file says so before.
    #[error(transparent)]
    Glob(#[from] GlobError),
}

/// Whether a trigger starts a run for what happened. A schedule and a webhook are known by their event alone: when a
/// schedule is due and whether a caller knows the secret is for whoever makes the event to say.
///
/// # Errors
///
/// [`NotTriggered`] with the first thing that does not match.
pub fn triggers(trigger: &Trigger, context: &RunContext) -> Result<(), NotTriggered> {
    if trigger.event != context.event {
        return Err(NotTriggered::Event { wanted: trigger.event.clone(), event: context.event.clone() });
    }
    let globs = |globs: &[String]| Globs::new(globs.iter().map(String::as_str));
    if !trigger.branches.is_empty() {
        let branch = context.pull_request.as_ref().map_or(&context.git.branch, |request| &request.base);
        if branch.is_empty() || !globs(&trigger.branches)?.is_match(branch) {
            return Err(NotTriggered::Branch { branch: branch.clone() });
        }
    }
    if let Some(pattern) = &trigger.pattern {
        let tag = &context.git.tag;
        if tag.is_empty() || !Globs::new([pattern.as_str()])?.is_match(tag) {
            return Err(NotTriggered::Tag { tag: tag.clone() });
        }
    }
    if !trigger.paths.is_empty() && !properties::changed(&globs(&trigger.paths)?, context) {
        return Err(NotTriggered::Paths);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{GitContext, PullRequest};

    fn context(event: &str) -> RunContext {
        RunContext { event: event.into(), ..RunContext::default() }
    }

    #[test]
    fn filters_must_all_hold() {
        let trigger = Trigger {
            branches: vec!["main".into(), "release/*".into()],
            paths: vec!["src/**".into(), "!src/docs/**".into()],
            ..Trigger::new("push")
        };
        let push = |branch: &str, changes: Option<&[&str]>| {
            let changes = changes.map(|paths| paths.iter().map(|&path| path.into()).collect());
            let git = GitContext { branch: branch.into(), ..GitContext::default() };
            triggers(&trigger, &RunContext { git, changes, ..context("push") })
        };
        assert_eq!(push("main", None), Ok(()), "without a base everything counts as changed");
        assert_eq!(push("release/1", Some(&["src/a.rs"])), Ok(()));
        assert_eq!(push("main", Some(&["src/docs/a.md"])), Err(NotTriggered::Paths));
        assert_eq!(push("dev", None), Err(NotTriggered::Branch { branch: "dev".into() }));
        assert!(matches!(triggers(&trigger, &context("tag")), Err(NotTriggered::Event { .. })));
    }

    #[test]
    fn a_pull_request_is_matched_by_its_target() {
        let trigger = Trigger { branches: vec!["main".into()], ..Trigger::new("pull_request") };
        let git = GitContext { branch: "topic".into(), ..GitContext::default() };
        let request = PullRequest { base: "main".into(), head: "topic".into(), ..PullRequest::default() };
        let context = RunContext { git, pull_request: Some(request), ..context("pull_request") };
        assert_eq!(triggers(&trigger, &context), Ok(()));
    }

    #[test]
    fn a_tag_must_match_its_pattern() {
        let trigger = Trigger { pattern: Some("v*".into()), ..Trigger::new("tag") };
        let tag =
            |tag: &str| RunContext { git: GitContext { tag: tag.into(), ..GitContext::default() }, ..context("tag") };
        assert_eq!(triggers(&trigger, &tag("v1")), Ok(()));
        assert_eq!(triggers(&trigger, &tag("")), Err(NotTriggered::Tag { tag: String::new() }));
    }
}
