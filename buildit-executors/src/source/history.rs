//! The commit that a source is of. Pure: reads what `git` printed.

use buildit::pipeline::GitContext;

/// What to ask for the state of the working tree and the branch.
pub(super) const STATUS: [&str; 6] =
    ["status", "--porcelain=v2", "--branch", "-z", "--untracked-files=no", "--ignore-submodules=dirty"];

/// What to ask for the commit: author, address, decorations and message, each ended by a NUL.
pub(super) const LOG: [&str; 5] =
    ["log", "-1", "--no-show-signature", "--decorate=full", "--format=%an%x00%ae%x00%D%x00%B%x00"];

/// The commit that these describe; `log` is empty when there is no commit yet.
pub(super) fn context(status: &[u8], log: &[u8]) -> GitContext {
    let mut context = GitContext::default();
    for line in String::from_utf8_lossy(status).split('\0').filter(|line| !line.is_empty()) {
        if let Some(id) = line.strip_prefix("# branch.oid ") {
            context.sha = if id == "(initial)" { String::new() } else { id.to_owned() };
        } else if let Some(branch) = line.strip_prefix("# branch.head ") {
            context.branch = if branch == "(detached)" { String::new() } else { branch.to_owned() };
        } else if !line.starts_with('#') {
            context.dirty = true;
        }
    }
    let log = String::from_utf8_lossy(log);
    let mut parts = log.split('\0');
    let mut next = || parts.next().unwrap_or_default().to_owned();
    context.author = next();
    context.author_email = next();
    let decorations = next();
    context.message = next().trim_end_matches('\n').to_owned();
    if !context.branch.is_empty() {
        context.reference = format!("refs/heads/{}", context.branch);
    } else if let Some(tag) = first_tag(&decorations) {
        // On a branch a tag of the same commit means nothing: the run is of the branch.
        context.tag = tag.to_owned();
        context.reference = format!("refs/tags/{tag}");
    }
    context
}

fn first_tag(decorations: &str) -> Option<&str> {
    decorations.split(", ").find_map(|name| name.strip_prefix("tag: refs/tags/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_read_with_its_commit() {
        let status = b"# branch.oid abc\0# branch.head feature/x\0# branch.upstream origin/x\0";
        let log = "Ann \u{fc}\0ann@example.org\0HEAD -> refs/heads/feature/x, tag: refs/tags/v1\0Subject\n\nBody\n\0\n";
        let context = context(status, log.as_bytes());
        assert_eq!((context.sha.as_str(), context.branch.as_str()), ("abc", "feature/x"));
        assert_eq!((context.tag.as_str(), context.reference.as_str()), ("", "refs/heads/feature/x"));
        assert_eq!((context.author.as_str(), context.message.as_str()), ("Ann ü", "Subject\n\nBody"));
        assert!(!context.dirty);
    }

    #[test]
    fn a_detached_head_may_be_a_tag() {
        let status = b"# branch.oid abc\0# branch.head (detached)\x001 .M N... 100644 100644 100644 a b file\0";
        let context = context(status, b"a\0b\0HEAD, tag: refs/tags/v1.0, refs/heads/main\0m\n\0");
        assert_eq!((context.branch.as_str(), context.tag.as_str()), ("", "v1.0"));
        assert_eq!(context.reference, "refs/tags/v1.0");
        assert!(context.dirty);
    }

    #[test]
    fn a_repository_without_a_commit_has_a_branch() {
        let context = context(b"# branch.oid (initial)\0# branch.head main\0", b"");
        assert_eq!((context.sha.as_str(), context.branch.as_str()), ("", "main"));
    }
}
