//! Which paths and links an archive may hold. Pure: nothing is looked up.

use std::path::{Component, Path, PathBuf};

use super::ArchiveError;

/// What is done with a symbolic link that leads out of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// The archive is refused. For what another stage left.
    Inside,
    /// It is kept as it is, and nothing is ever written or read through it. For a source tree and for caches, where
    /// such links are a matter of course (`venv/bin/python -> /usr/bin/python3`) and the job could make them itself.
    Anywhere,
}

/// The path of an entry with `.` taken out, if it stays in the tree. The root itself is the empty path.
///
/// # Errors
///
/// [`ArchiveError::Path`] for an absolute path, one with `..`, and one with a NUL.
pub fn safe_path(path: &Path) -> Result<PathBuf, ArchiveError> {
    let mut safe = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) if !name.as_encoded_bytes().contains(&0) => safe.push(name),
            Component::CurDir => {}
            _ => return Err(ArchiveError::Path(path.to_owned())),
        }
    }
    Ok(safe)
}

/// Whether a symbolic link at `path` (safe, relative to the root) that points to `target` stays in the tree, read as
/// text. Links of links are each judged by themselves, so a chain of them cannot leave either.
#[must_use]
pub fn link_stays_inside(path: &Path, target: &Path) -> bool {
    let mut depth = path.components().count().saturating_sub(1);
    let mut below = false;
    for component in target.components() {
        match component {
            // `a/../..` is refused even where it would come out inside: `a` may itself be a link.
            Component::ParentDir if below => return false,
            Component::ParentDir => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return false,
            },
            Component::Normal(_) => below = true,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    !target.as_os_str().is_empty() && !target.as_os_str().as_encoded_bytes().contains(&0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_that_leave_the_tree_are_refused() {
        for bad in ["/etc/passwd", "..", "a/../../b", "a/..", "../a", "a\0b"] {
            assert!(safe_path(Path::new(bad)).is_err(), "{bad}");
        }
        for (good, safe) in [("./a//b/.", "a/b"), ("a", "a"), (".", ""), ("..a/b..", "..a/b..")] {
            assert_eq!(safe_path(Path::new(good)).unwrap(), Path::new(safe));
        }
    }

    #[test]
    fn links_are_judged_from_where_they_lie() {
        for (path, target, inside) in [
            ("a", "b", true),
            ("a/b", "../c", true),
            ("a/b", "../../c", false),
            ("a", "..", false),
            ("a", "/etc", false),
            ("a/b", "c/../../d", false),
            ("a", "", false),
        ] {
            assert_eq!(link_stays_inside(Path::new(path), Path::new(target)), inside, "{path} -> {target}");
        }
    }

    proptest! {
        #[test]
        fn a_safe_path_never_leaves(path in "[a./\\\\~]{0,24}") {
            if let Ok(safe) = safe_path(Path::new(&path)) {
                prop_assert!(safe.components().all(|part| matches!(part, Component::Normal(_))));
            }
        }

        #[test]
        fn an_inner_link_never_leaves(path in "([ab]/){0,3}[ab]", target in "((\\.\\.|[ab]|\\.)/){0,5}[ab]?") {
            if link_stays_inside(Path::new(&path), Path::new(&target)) {
                let mut depth = path.matches('/').count() as i64;
                for part in target.split('/') {
                    depth += match part { ".." => -1, "" | "." => 0, _ => 1 };
                    prop_assert!(depth >= 0);
                }
            }
        }
    }
}
