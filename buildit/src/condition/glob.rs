//! Globs of branches, tags, events and paths.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// How long a glob may be. A longer one is no path, and some would take long to compile.
const LONGEST_GLOB: usize = 1024;

/// Globs of which any may match, less those that begin with `!`.
///
/// `*` stays within one level of a path, `**` crosses levels; `release/*` matches `release/1` and not `release/1/a`.
#[derive(Clone, Debug)]
pub struct Globs {
    wanted: GlobSet,
    unwanted: GlobSet,
    all: bool,
}

/// A glob is malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{glob}` is no glob: {reason}")]
pub struct GlobError {
    /// The glob.
    pub glob: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Globs {
    /// Compiles globs. With none, or with nothing but `!globs`, all matches but what those take away.
    ///
    /// # Errors
    ///
    /// [`GlobError`] for the first that is malformed.
    pub fn new<'g>(globs: impl IntoIterator<Item = &'g str>) -> Result<Self, GlobError> {
        let (mut wanted, mut unwanted) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        let mut all = true;
        for glob in globs {
            let error = |reason: String| GlobError { glob: glob.to_owned(), reason };
            let (set, pattern) = match glob.strip_prefix('!') {
                Some(pattern) => (&mut unwanted, pattern),
                None => {
                    all = false;
                    (&mut wanted, glob)
                }
            };
            if pattern.is_empty() || pattern.len() > LONGEST_GLOB {
                return Err(error(format!("it must have 1 to {LONGEST_GLOB} characters")));
            }
            let compiled = GlobBuilder::new(pattern).literal_separator(true).build();
            set.add(compiled.map_err(|source| error(source.kind().to_string()))?);
        }
        let build = |set: GlobSetBuilder| {
            set.build().map_err(|source| GlobError { glob: String::new(), reason: source.kind().to_string() })
        };
        Ok(Self { wanted: build(wanted)?, unwanted: build(unwanted)?, all })
    }

    /// Whether the text matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.is_path_match(Path::new(text))
    }

    /// Whether a path matches, which need not be text.
    #[must_use]
    pub fn is_path_match(&self, path: &Path) -> bool {
        (self.all || self.wanted.is_match(path)) && !self.unwanted.is_match(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(globs: &[&str], text: &str) -> bool {
        Globs::new(globs.iter().copied()).unwrap().is_match(text)
    }

    #[test]
    fn levels_and_negation() {
        assert!(is_match(&["release/*"], "release/1"));
        assert!(!is_match(&["release/*"], "release/1/a"));
        assert!(is_match(&["src/**"], "src/a/b.rs"));
        assert!(!is_match(&["src/**", "!src/doc/**"], "src/doc/a"));
        assert!(is_match(&["!main"], "dev"));
        assert!(!is_match(&["!main"], "main"));
        assert!(is_match(&[], "anything"));
    }

    #[test]
    fn what_is_no_glob_is_named() {
        assert_eq!(Globs::new(["a["]).unwrap_err().glob, "a[");
        assert!(Globs::new([""]).is_err());
        assert!(Globs::new(["!"]).is_err());
    }
}
