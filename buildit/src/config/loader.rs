//! Where included files come from.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Gives the text of a file of the source tree.
pub trait SourceLoader: Debug + Send + Sync {
    /// The text of the file at this path, which is relative to the tree's root, has `/` between its parts and
    /// neither `.` nor `..` among them.
    ///
    /// At most `limit` bytes are wanted: a larger file is refused before it is read whole.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when there is no such text, or it must not be read.
    fn load(&self, path: &str, limit: usize) -> Result<String, SourceError>;
}

/// Why a file of the source tree could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is no such file.
    #[error("there is no file `{0}` in the source tree")]
    NotFound(String),
    /// It is a folder.
    #[error("`{0}` is a folder, not a file")]
    Folder(String),
    /// It leads out of the source tree.
    #[error("`{0}` leads out of the source tree")]
    Outside(String),
    /// It is larger than allowed.
    #[error("`{path}` is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: String,
        /// How large it may be.
        limit: usize,
    },
    /// It is no text in UTF-8.
    #[error("`{0}` is not written in UTF-8")]
    NotText(String),
    /// It could not be read.
    #[error("`{path}` could not be read")]
    Io {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A folder on disk. Links that lead out of it are refused.
#[derive(Clone, Debug)]
pub struct SourceTree {
    root: PathBuf,
}

impl SourceTree {
    /// The tree below this folder.
    ///
    /// # Errors
    ///
    /// [`SourceError::Io`] when the folder is not there or cannot be read.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, SourceError> {
        let root = root.as_ref();
        root.canonicalize().map(|root| Self { root }).map_err(|source| io(&root.display().to_string(), source))
    }
}

impl SourceLoader for SourceTree {
    fn load(&self, path: &str, limit: usize) -> Result<String, SourceError> {
        let file = self.root.join(path).canonicalize().map_err(|source| io(path, source))?;
        if !file.starts_with(&self.root) {
            return Err(SourceError::Outside(path.to_owned()));
        }
        read(path, &file, limit)
    }
}

/// Reads a text of at most `limit` bytes; `name` is for messages.
pub(crate) fn read(name: &str, file: &Path, limit: usize) -> Result<String, SourceError> {
    let opened = std::fs::File::open(file).map_err(|source| io(name, source))?;
    let metadata = opened.metadata().map_err(|source| io(name, source))?;
    if metadata.is_dir() {
        return Err(SourceError::Folder(name.to_owned()));
    }
    // A pipe or a device would block or never end.
    if !metadata.is_file() {
        return Err(SourceError::NotFound(name.to_owned()));
    }
    let mut bytes = Vec::new();
    opened.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|source| io(name, source))?;
    if bytes.len() > limit {
        return Err(SourceError::TooLarge { path: name.to_owned(), limit });
    }
    String::from_utf8(bytes).map_err(|_| SourceError::NotText(name.to_owned()))
}

fn io(path: &str, source: std::io::Error) -> SourceError {
    match source.kind() {
        std::io::ErrorKind::NotFound => SourceError::NotFound(path.to_owned()),
        _ => SourceError::Io { path: path.to_owned(), source },
    }
}

/// Texts in memory, by path: for tests, and for a program that has them from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct MemorySources(BTreeMap<String, String>);

impl MemorySources {
    /// The same with one more text.
    #[must_use]
    pub fn with(mut self, path: impl Into<String>, text: impl Into<String>) -> Self {
        self.0.insert(path.into(), text.into());
        self
    }
}

impl SourceLoader for MemorySources {
    fn load(&self, path: &str, limit: usize) -> Result<String, SourceError> {
        match self.0.get(path) {
            None => Err(SourceError::NotFound(path.to_owned())),
            Some(text) if text.len() > limit => Err(SourceError::TooLarge { path: path.to_owned(), limit }),
            Some(text) => Ok(text.clone()),
        }
    }
}

/// The path with `.`, `..` and doubled `/` resolved; `None` when it leads out of the tree.
pub(crate) fn normalised(path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains(['\\', '\0']) {
        return None;
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() { None } else { Some(parts.join("/")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised() {
        assert_eq!(normalised("ci/./a/../common.kdl").as_deref(), Some("ci/common.kdl"));
        for bad in ["/etc/passwd", "../x", "a/../../x", "", ".", "a\\b"] {
            assert_eq!(normalised(bad), None, "{bad}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_out_of_the_tree_are_refused() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.kdl"), "x").unwrap();
        let tree = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret.kdl"), tree.path().join("link.kdl")).unwrap();
        std::fs::write(tree.path().join("own.kdl"), "y").unwrap();
        std::os::unix::fs::symlink("own.kdl", tree.path().join("inner.kdl")).unwrap();
        let tree = SourceTree::open(tree.path()).unwrap();
        assert!(matches!(tree.load("link.kdl", 10), Err(SourceError::Outside(_))));
        assert_eq!(tree.load("inner.kdl", 10).unwrap(), "y");
        assert!(matches!(tree.load("none.kdl", 10), Err(SourceError::NotFound(_))));
        assert!(matches!(tree.load("own.kdl", 0), Err(SourceError::TooLarge { .. })));
    }
}
