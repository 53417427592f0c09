//! [`ArchiveIndexer`].

use std::collections::HashMap;
use std::error::Error;
use std::io::Read;
use std::path::{Component, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use buildit::artifact::BlobStore;
use buildit::cached::{FileKind, SourceFile, SourceIndex, SourceIndexer};
use buildit::id::Digest;

use crate::workspace::{ArchiveError, Kind, Limits, WorkspaceError, load_archive, read_archive};

/// Reads the archives that [`Source::store`](super::Source::store) makes: once, and every file in it but those of `.git`,
/// which no cacheable stage sees.
#[derive(Clone, Copy, Debug, Default)]
pub struct ArchiveIndexer;

#[async_trait]
impl SourceIndexer for ArchiveIndexer {
    async fn index(
        &self,
        source: &Digest,
        blobs: &Arc<dyn BlobStore>,
    ) -> Result<SourceIndex, Box<dyn Error + Send + Sync>> {
        Ok(load_archive(blobs, source, |archive| read(archive)).await?)
    }
}

fn read(archive: &mut dyn Read) -> Result<SourceIndex, WorkspaceError> {
    let mut files = Vec::new();
    // What further names of a file lead to.
    let mut contents: HashMap<PathBuf, (FileKind, Digest)> = HashMap::new();
    read_archive(archive, Limits::strict().with_links_anywhere(), |entry, content| {
        if entry.path.components().any(|part| part == Component::Normal(".git".as_ref())) {
            return Ok(());
        }
        let (kind, digest) = match entry.kind {
            Kind::File(_) => {
                let mut hasher = blake3::Hasher::new();
                hasher.update_reader(content)?;
                let found = (FileKind::File(entry.mode), Digest::from(hasher.finalize()));
                contents.insert(entry.path.clone(), found);
                found
            }
            Kind::Folder => (FileKind::Folder(entry.mode), Digest::of(b"")),
            Kind::Link(target) => (FileKind::Link, Digest::of(target.as_os_str().as_encoded_bytes())),
            Kind::Same(other) => match contents.get(&other) {
                Some(found) => *found,
                None => return Err(ArchiveError::Link { path: entry.path, target: other }.into()),
            },
        };
        files.push(SourceFile::new(entry.path, kind, &digest));
        Ok(())
    })?;
    Ok(SourceIndex::new(files))
}
