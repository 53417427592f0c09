//! [`SourceIndex`]: the files of a source, without a look at their bytes.

use std::collections::HashMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::InputGlobs;
use crate::artifact::BlobStore;
use crate::condition::GlobError;
use crate::id::Digest;

/// Reads the archive of a source: the core knows its address alone, and whoever made it knows its form.
#[async_trait]
pub trait SourceIndexer: Debug + Send + Sync + 'static {
    /// The files of this source.
    ///
    /// # Errors
    ///
    /// When the archive is missing, damaged, or none. Cacheable stages then run.
    async fn index(
        &self,
        source: &Digest,
        blobs: &Arc<dyn BlobStore>,
    ) -> Result<SourceIndex, Box<dyn std::error::Error + Send + Sync>>;
}

/// What an entry of a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A file with these permissions.
    File(u32),
    /// A folder with these permissions.
    Folder(u32),
    /// A symbolic link.
    Link,
}

/// An entry of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path, relative to the root.
    pub path: PathBuf,
    digest: Digest,
}

impl SourceFile {
    /// An entry whose bytes (those of a link are its target) have this digest.
    pub fn new(path: impl Into<PathBuf>, kind: FileKind, content: &Digest) -> Self {
        let (tag, mode) = match kind {
            FileKind::File(mode) => (b'f', mode),
            FileKind::Folder(mode) => (b'd', mode),
            FileKind::Link => (b'l', 0),
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[tag]).update(&mode.to_le_bytes()).update(content.as_bytes());
        Self { path: path.into(), digest: hasher.finalize().into() }
    }

    /// The digest of everything but its path.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

/// The files of a source by their paths.
#[derive(Debug, Default)]
pub struct SourceIndex {
    files: Vec<SourceFile>,
    /// What was selected, by the globs: stages often have the same.
    selected: Mutex<HashMap<Vec<String>, Arc<Selected>>>,
}

/// The files that a stage sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// The files, by path.
    pub files: Vec<SourceFile>,
    /// The digest of all of them.
    pub digest: Digest,
}

impl SourceIndex {
    /// The index of these entries. Of two with one path the later counts, as it does when they are laid out.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = SourceFile>) -> Self {
        let mut files: Vec<SourceFile> = entries.into_iter().collect();
        // Stable, so that the later of two stays the later.
        files.sort_by(|one, other| bytes(one).cmp(bytes(other)));
        files.reverse();
        files.dedup_by(|next, kept| next.path == kept.path);
        files.reverse();
        Self { files, selected: Mutex::default() }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What a stage with these `inputs` sees. The same globs are matched once; others look only below the folder that
    /// all of them name.
    ///
    /// # Errors
    ///
    /// [`GlobError`] when one is malformed.
    pub fn select(&self, inputs: &[String]) -> Result<Arc<Selected>, GlobError> {
        if let Some(known) = self.lock().get(inputs) {
            return Ok(Arc::clone(known));
        }
        let globs = InputGlobs::new(inputs.iter().map(String::as_str))?;
        let root = InputGlobs::root(inputs.iter().map(String::as_str));
        let start = self.files.partition_point(|file| bytes(file) < root.as_bytes());
        let below = self.files[start..].iter().take_while(|file| bytes(file).starts_with(root.as_bytes()));
        let files: Vec<SourceFile> = below.filter(|file| globs.is_match(&file.path)).cloned().collect();
        let selected = Arc::new(Selected { digest: digest_of(&files), files });
        self.lock().insert(inputs.to_vec(), Arc::clone(&selected));
        Ok(selected)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<String>, Arc<Selected>>> {
        self.selected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Selected {
    fn default() -> Self {
        Self { files: Vec::new(), digest: digest_of(&[]) }
    }
}

fn bytes(file: &SourceFile) -> &[u8] {
    file.path.as_os_str().as_encoded_bytes()
}

fn digest_of(files: &[SourceFile]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        let path = bytes(file);
        hasher.update(&(path.len() as u64).to_le_bytes()).update(path).update(file.digest.as_bytes());
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &str) -> SourceFile {
        SourceFile::new(path, FileKind::File(0o644), &Digest::of(content.as_bytes()))
    }

    fn selected(index: &SourceIndex, inputs: &[&str]) -> Arc<Selected> {
        index.select(&inputs.iter().map(|&glob| glob.to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn what_a_stage_does_not_see_changes_nothing() {
        let index = |other: &str| SourceIndex::new([file("src/b", "b"), file("src/a", "a"), file("other", other)]);
        let (one, two) = (index("1"), index("2"));
        let paths: Vec<_> = selected(&one, &["src/**"]).files.iter().map(|file| file.path.clone()).collect();
        assert_eq!(paths, [PathBuf::from("src/a"), "src/b".into()]);
        assert_eq!(selected(&one, &["src/**"]).digest, selected(&two, &["src/**"]).digest);
        assert_ne!(selected(&one, &["**"]).digest, selected(&two, &["**"]).digest);
        assert!(Arc::ptr_eq(&selected(&one, &["src/**"]), &selected(&one, &["src/**"])));
        assert_eq!(*selected(&one, &[]), Selected::default());
    }

    #[test]
    fn what_is_selected_is_what_is_laid_out() {
        let paths =
            ["a", "lib.rs", "src", "src/.a/b", "src/lib.rs", "src/sub/a", "src/sub/b.rs", "srcs", "x/src/lib.rs"];
        let index = SourceIndex::new(paths.map(|path| file(path, path)));
        for (globs, count) in [
            (&["src//lib.rs"][..], 1),
            (&["src/./lib.rs"], 1),
            (&["src//sub/**"], 2),
            (&["src/sub/./**"], 2),
            (&["./src//"], 5),
            (&["././/src/sub//*.rs"], 1),
            (&["src//l*"], 1),
            (&["src/.a/**"], 1),
            (&["src/.*"], 1),
            (&["src//lib.rs", "src/./sub"], 3),
            (&["src//**", "!src/./sub"], 2),
            (&["src//lib.rs", "!./src//sub"], 1),
            (&[".//"], 9),
            (&["src/../lib.rs"], 0),
        ] {
            let seen = InputGlobs::new(globs.iter().copied()).unwrap();
            let laid: Vec<_> = index.files.iter().filter(|file| seen.is_match(&file.path)).cloned().collect();
            assert_eq!(selected(&index, globs).files, laid, "{globs:?}");
            assert_eq!(laid.len(), count, "{globs:?}");
        }
    }

    #[test]
    fn name_kind_permissions_and_content_count_and_the_later_entry_wins() {
        let digest = |entries: Vec<SourceFile>| selected(&SourceIndex::new(entries), &["**"]).digest;
        let content = Digest::of(b"a");
        let kinds = [FileKind::File(0o644), FileKind::File(0o755), FileKind::Folder(0o755), FileKind::Link];
        let mut all: Vec<Digest> =
            kinds.iter().map(|kind| digest(vec![SourceFile::new("a", *kind, &content)])).collect();
        all.push(digest(vec![file("b", "a")]));
        all.push(digest(vec![file("a", "b")]));
        all.push(digest(Vec::new()));
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(digest(vec![file("a", "old"), file("a", "new")]), digest(vec![file("a", "new")]));
    }
}
