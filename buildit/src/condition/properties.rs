//! `when branch="main" event="push"`.

use super::{ConditionError, GlobError, Globs, Verdict};
use crate::pipeline::{RunContext, WhenProperties};
use crate::variables::{NameError, PieceKind, may_refer, pieces};

/// The properties that a condition names, each with its globs.
fn named(wanted: &WhenProperties) -> impl Iterator<Item = (&'static str, &[String])> {
    [("branch", &wanted.branch), ("event", &wanted.event), ("tag", &wanted.tag), ("path", &wanted.path)]
        .into_iter()
        .filter(|(_, globs)| !globs.is_empty())
        .map(|(name, globs)| (name, globs.as_slice()))
}

pub(super) fn evaluate(wanted: &WhenProperties, context: &RunContext) -> Result<Verdict, ConditionError> {
    let mut whole = String::new();
    for (name, globs) in named(wanted) {
        let clause = clause(name, globs);
        let set = Globs::new(globs.iter().map(String::as_str))?;
        let holds = match name {
            // No tag is no match, whatever the globs say: `tag="!v*"` means a tag that is not of these.
            "tag" => !context.git.tag.is_empty() && set.is_match(&context.git.tag),
            "branch" => !context.git.branch.is_empty() && set.is_match(&context.git.branch),
            "event" => set.is_match(&context.event),
            _ => changed(&set, context),
        };
        if !holds {
            return Ok(Verdict { holds: false, clause });
        }
        if !whole.is_empty() {
            whole.push(' ');
        }
        whole.push_str(&clause);
    }
    Ok(Verdict { holds: true, clause: whole })
}

/// Whether a changed path matches; without a base to compare with, everything counts as changed.
pub(super) fn changed(globs: &Globs, context: &RunContext) -> bool {
    context.changes.as_ref().is_none_or(|paths| paths.iter().any(|path| globs.is_match(path)))
}

fn clause(name: &str, globs: &[String]) -> String {
    globs.iter().fold(name.to_owned(), |mut clause, glob| {
        clause.push_str(if clause.len() == name.len() { "=\"" } else { " \"" });
        clause.push_str(glob);
        clause.push('"');
        clause
    })
}

pub(super) fn check(wanted: &WhenProperties) -> Vec<NameError> {
    let mut errors = Vec::new();
    for glob in named(wanted).flat_map(|(_, globs)| globs) {
        if let Err(GlobError { glob, reason }) = Globs::new([glob.as_str()]) {
            errors.push(NameError::new("bad-glob", format!("`{glob}` is no glob: {reason}")));
        } else if may_refer(glob) && pieces(glob).iter().any(|piece| piece.kind != PieceKind::Text) {
            errors.push(
                NameError::new("reference-not-here", "a property of `when` is a glob and cannot hold a reference")
                    .help("compare in an expression: `when \"git.branch == params.branch\"`"),
            );
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::GitContext;

    fn wanted() -> WhenProperties {
        WhenProperties {
            branch: vec!["main".into(), "release/*".into()],
            event: vec!["push".into()],
            ..Default::default()
        }
    }

    #[test]
    fn all_properties_and_any_of_their_values() {
        let git = GitContext { branch: "release/2".into(), ..Default::default() };
        let mut context = RunContext { event: "push".into(), git, ..Default::default() };
        let verdict = evaluate(&wanted(), &context).unwrap();
        assert_eq!(verdict, Verdict { holds: true, clause: "branch=\"main\" \"release/*\" event=\"push\"".into() });
        context.event = "manual".into();
        assert_eq!(evaluate(&wanted(), &context).unwrap(), Verdict { holds: false, clause: "event=\"push\"".into() });
    }

    #[test]
    fn without_a_base_everything_changed() {
        let wanted = WhenProperties { path: vec!["src/**".into()], ..Default::default() };
        let mut context = RunContext::manual();
        assert!(evaluate(&wanted, &context).unwrap().holds);
        context.changes = Some(vec!["docs/a".into()]);
        assert!(!evaluate(&wanted, &context).unwrap().holds);
        context.changes = Some(vec!["src/a/b".into()]);
        assert!(evaluate(&wanted, &context).unwrap().holds);
    }

    #[test]
    fn no_tag_matches_no_glob() {
        let wanted = WhenProperties { tag: vec!["!v*".into()], ..Default::default() };
        assert!(!evaluate(&wanted, &RunContext::manual()).unwrap().holds);
    }
}
