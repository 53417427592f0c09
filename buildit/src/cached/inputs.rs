//! [`InputGlobs`].

use std::path::{Component, Path, PathBuf};

use crate::condition::{GlobError, Globs};

/// Which files of a source a cacheable stage sees: the one place that decides it, for the key and for the workspace.
///
/// A glob that matches a folder means all in it; one that begins with `!` takes away. Without a glob there is no file,
/// and `.git` is never among them.
#[derive(Clone, Debug)]
pub struct InputGlobs(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Nothing,
    /// Most stages name no more, and to compile a glob takes longer than to look through a source.
    Plain(Vec<Plain>),
    Globs(Globs),
}

/// All that lies below a path: `src/**`, and with the path itself: `src`, `src/lib.rs`.
#[derive(Clone, Debug)]
struct Plain {
    root: PathBuf,
    is_below: bool,
}

impl Plain {
    /// What a glob says, if that is all.
    fn new(glob: &str) -> Option<Self> {
        let glob = normal(glob);
        let below = glob.strip_suffix("/**");
        let path = below.unwrap_or(&glob);
        let is_plain = !path.is_empty() && !path.contains(['*', '?', '[', ']', '{', '}', '!', '\\']);
        let is_inner = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        (is_plain && is_inner).then(|| Self { root: path.into(), is_below: below.is_some() })
    }

    fn is_match(&self, path: &Path) -> bool {
        path.starts_with(&self.root) && !(self.is_below && path == self.root)
    }
}

impl InputGlobs {
    /// Compiles the `inputs` of a stage.
    ///
    /// # Errors
    ///
    /// [`GlobError`] for the first that is malformed.
    pub fn new<'g>(inputs: impl IntoIterator<Item = &'g str>) -> Result<Self, GlobError> {
        let inputs: Vec<&str> = inputs.into_iter().collect();
        if inputs.is_empty() {
            return Ok(Self(Kind::Nothing));
        }
        if let Some(plain) = inputs.iter().map(|glob| Plain::new(glob)).collect() {
            return Ok(Self(Kind::Plain(plain)));
        }
        let both = |written: &str| {
            let (sign, glob) = written.strip_prefix('!').map_or(("", written), |glob| ("!", glob));
            let glob = Some(normal(glob)).filter(|glob| !glob.is_empty()).unwrap_or_else(|| "**".to_owned());
            [format!("{sign}{glob}"), format!("{sign}{glob}/**")]
        };
        let all: Vec<String> = inputs.into_iter().flat_map(both).collect();
        Ok(Self(Kind::Globs(Globs::new(all.iter().map(String::as_str))?)))
    }

    /// Whether a path of the source, relative to its root, is seen.
    #[must_use]
    pub fn is_match(&self, path: &Path) -> bool {
        let is_meant = match &self.0 {
            Kind::Nothing => false,
            Kind::Plain(plain) => plain.iter().any(|plain| plain.is_match(path)),
            Kind::Globs(globs) => globs.is_path_match(path),
        };
        is_meant && !path.components().any(|part| part == Component::Normal(".git".as_ref()))
    }

    /// The folder or file below which everything lies that these globs can match.
    pub(super) fn root<'g>(inputs: impl IntoIterator<Item = &'g str>) -> String {
        let mut root: Option<String> = None;
        for glob in inputs.into_iter().filter(|glob| !glob.starts_with('!')) {
            let glob = normal(glob);
            let literal = glob.find(['*', '?', '[', '{', '\\']).map_or(&*glob, |at| &glob[..at]);
            root = Some(match root {
                None => literal.to_owned(),
                Some(known) => known.chars().zip(literal.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect(),
            });
        }
        let root = root.unwrap_or_default();
        root.trim_end_matches('/').to_owned()
    }
}

/// A glob without the levels that say nothing, empty ones and `.`: paths are compared by their levels, and looked up by
/// their bytes, which is the same only where neither has any.
fn normal(glob: &str) -> String {
    let levels: Vec<&str> = glob.split('/').filter(|level| !matches!(*level, "" | ".")).collect();
    levels.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sees(inputs: &[&str], path: &str) -> bool {
        InputGlobs::new(inputs.iter().copied()).unwrap().is_match(Path::new(path))
    }

    #[test]
    fn what_is_named_is_seen_and_nothing_else() {
        for (inputs, path, seen) in [
            (&["src/**"][..], "src/a/b.rs", true),
            (&["src/**"], "tests/a.rs", false),
            (&["src"], "src/a/b.rs", true),
            (&["src"], "srcs/a", false),
            (&["src/**"], "src", false),
            (&["src/**", "a?"], "src", false),
            (&["src/lib.rs"], "src/lib.rs", true),
            (&["src"], "src/.git/a", false),
            (&["./src/"], "src/a", true),
            (&["Cargo.*"], "Cargo.lock", true),
            (&["Cargo.*"], "inner/Cargo.lock", false),
            (&["**"], "a/b", true),
            (&["."], "a/b", true),
            (&["src/**", "!src/doc"], "src/doc/a", false),
            (&["!docs/**"], "src/a", true),
            (&["!docs/**"], "docs/a", false),
            (&[], "a", false),
            (&["**"], ".git/config", false),
            (&[".git/**"], ".git/config", false),
            (&["**"], "inner/.git", false),
        ] {
            assert_eq!(sees(inputs, path), seen, "{inputs:?} {path}");
        }
        assert!(InputGlobs::new(["a["]).is_err());
    }

    #[test]
    fn the_root_is_above_all_that_can_match() {
        for (inputs, root) in [
            (&["src/**"][..], "src"),
            (&["src/lib.rs"], "src/lib.rs"),
            (&["crates/a1/**", "crates/a2/**"], "crates/a"),
            (&["src/**", "Cargo.*"], ""),
            (&["./src/**"], "src"),
            (&["src//a/./**"], "src/a"),
            (&["src/.b/**"], "src/.b"),
            (&["**/*.rs"], ""),
            (&["."], ""),
            (&["!docs/**"], ""),
            (&[], ""),
        ] {
            assert_eq!(InputGlobs::root(inputs.iter().copied()), root, "{inputs:?}");
        }
    }
}
