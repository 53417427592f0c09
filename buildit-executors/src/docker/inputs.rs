//! Uploading what a job starts with, as one archive.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard::query_parameters::UploadToContainerOptionsBuilder;
use bollard::{body_try_stream, errors::Error};
use buildit::artifact::{BlobError, BlobStore};
use buildit::executor::JobInputs;
use futures_util::stream;

use super::archive::UploadWriter;
use super::backend::DockerBackend;
use super::image::Owner;
use super::names::{HOME, WORKSPACE};
use crate::workspace::{
    ArchiveError, Base, CachePath, Entry, Kind, Limits, Packer, Times, WorkspaceError, check_conflicts, load_archive,
    place_of, read_archive, seen,
};

/// Why inputs could not be uploaded.
#[derive(Debug)]
pub(super) enum InputError {
    /// They cannot be read, or are refused.
    Workspace(WorkspaceError),
    /// The container engine failed.
    Engine(Error),
}

/// Whether there is anything to upload.
pub(super) fn is_needed(inputs: &JobInputs) -> bool {
    inputs.source.is_some() || !inputs.artifacts.is_empty() || inputs.caches.iter().any(|cache| cache.archive.is_some())
}

impl DockerBackend {
    /// Uploads the workspace with all inputs and the folder of our own, owned by whom the job runs as.
    pub(super) async fn upload(
        &self,
        container: &str,
        inputs: &JobInputs,
        blobs: &Arc<dyn BlobStore>,
        owner: &Owner,
        now: u64,
    ) -> Result<(), InputError> {
        let (writer, mut pieces) = UploadWriter::new();
        let spoiler = writer.spoiler();
        let body = body_try_stream(stream::poll_fn(move |cx| pieces.poll_recv(cx)));
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let upload = self.docker.upload_to_container(container, Some(options), body);
        let fill = async {
            let filled = fill(writer, inputs, blobs, owner, now).await;
            if filled.is_err() {
                let _ = spoiler.send(Err(io::ErrorKind::Interrupted.into())).await;
            }
            drop(spoiler);
            filled
        };
        match tokio::join!(fill, upload) {
            (Ok(()), Ok(())) => Ok(()),
            // A writer that cannot go on because the engine has hung up is not to blame.
            (Err(WorkspaceError::Io(error)), Err(engine)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(InputError::Engine(engine))
            }
            (Err(error), _) => Err(InputError::Workspace(error)),
            (Ok(()), Err(engine)) => Err(InputError::Engine(engine)),
        }
    }
}

async fn fill(
    writer: UploadWriter,
    inputs: &JobInputs,
    blobs: &Arc<dyn BlobStore>,
    owner: &Owner,
    now: u64,
) -> Result<(), WorkspaceError> {
    check_conflicts(&inputs.artifacts)?;
    let mut tree = Tree::new(writer, owner, now);
    tree.folder(Path::new(inner(WORKSPACE)))?;
    let seen = seen(inputs)?;
    let source = inputs.source.iter().map(|source| (source, Limits::strict().with_links_anywhere(), seen.clone()));
    let artifacts = inputs.artifacts.iter().map(|artifact| (&artifact.archive, Limits::strict(), None));
    for (archive, limits, seen) in source.chain(artifacts) {
        tree = load_archive(blobs, archive, move |reader| {
            read_archive(reader, limits, |entry, content| match &seen {
                Some(seen) if !seen.is_match(&entry.path) => Ok(()),
                _ => tree.put(entry, content, Path::new(inner(WORKSPACE))),
            })?;
            Ok(tree)
        })
        .await?;
    }
    for cache in &inputs.caches {
        let Some(archive) = &cache.archive else { continue };
        // A cache may be lost at any time; asked before, because half of it cannot be taken back.
        match blobs.contains(archive).await {
            Ok(true) => {}
            Ok(false) | Err(BlobError::Missing(_)) => continue,
            Err(error) => return Err(error.into()),
        }
        let paths = CachePath::parse_all(&cache.paths)?;
        let home = owner.home.clone().map(PathBuf::from);
        tree = load_archive(blobs, archive, move |reader| {
            put_cache(&mut tree, reader, &paths, home.as_deref())?;
            Ok(tree)
        })
        .await?;
    }
    tokio::task::spawn_blocking(move || tree.finish()).await.map_err(io::Error::other)?
}

fn put_cache<W: Write>(
    tree: &mut Tree<W>,
    archive: &mut dyn Read,
    paths: &[CachePath],
    home: Option<&Path>,
) -> Result<(), WorkspaceError> {
    read_archive(archive, Limits::strict().with_links_anywhere(), |mut entry, content| {
        let Some(place) = place_of(&entry.path, paths)? else { return Ok(()) };
        if let Kind::Same(other) = &entry.kind {
            match place_of(other, paths)? {
                Some(other) if other.base == place.base => entry.kind = Kind::Same(other.path),
                _ => return Err(ArchiveError::Path(other.clone()).into()),
            }
        }
        let base = match (place.base, home) {
            (Base::Workspace, _) => Path::new(WORKSPACE),
            (Base::Home, Some(home)) => home,
            (Base::Home, None) => return Ok(()),
        };
        entry.path = place.path;
        tree.put(entry, content, base.strip_prefix("/").unwrap_or(base))
    })
}

/// A path in an archive that is laid out at the root of the container.
fn inner(path: &str) -> &str {
    path.trim_start_matches('/')
}

/// The files of a container that is being filled, as one archive. Nothing goes through a link that came before.
struct Tree<W: Write> {
    packer: Packer<W>,
    home: Option<PathBuf>,
    folders: HashSet<PathBuf>,
    links: HashSet<PathBuf>,
    now: u64,
}

impl<W: Write> Tree<W> {
    fn new(to: W, owner: &Owner, now: u64) -> Self {
        let packer = Packer::new(to, Times::Kept).owned_by(owner.uid, owner.gid);
        let home = owner.home.as_deref().map(|home| PathBuf::from(inner(home)));
        Self { packer, home, folders: HashSet::new(), links: HashSet::new(), now }
    }

    /// Adds an entry below `base`.
    fn put(&mut self, mut entry: Entry, content: &mut dyn Read, base: &Path) -> Result<(), WorkspaceError> {
        let path = base.join(&entry.path);
        if entry.kind == Kind::Folder {
            if self.folders.contains(&path) {
                return Ok(());
            }
            self.folders.insert(path.clone());
        }
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        if let Kind::Same(other) = &mut entry.kind {
            *other = base.join(&*other);
            if other.ancestors().any(|above| self.links.contains(above)) {
                return Err(ArchiveError::Through(other.clone()).into());
            }
        }
        match entry.kind {
            Kind::Link(_) => self.links.insert(path.clone()),
            _ => self.links.remove(&path),
        };
        if entry.mtime == 0 {
            // What was packed without times is as old as the job: tools dislike files from 1970.
            entry.mtime = self.now;
        }
        entry.path = path;
        self.packer.add(&entry, content)
    }

    /// Sees to it that a folder and all above it are there, owned by whom the job runs as: below ours, and below a
    /// home folder, which an image may not have.
    fn folder(&mut self, path: &Path) -> Result<(), WorkspaceError> {
        if path.as_os_str().is_empty() || self.folders.contains(path) {
            return Ok(());
        }
        if self.links.contains(path) {
            return Err(ArchiveError::Through(path.to_owned()).into());
        }
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        self.folders.insert(path.to_owned());
        // A folder that the image has keeps its owner and its permissions: only ours are made, and those in the home
        // folder, which the engine would otherwise give to root.
        let in_home = self.home.as_ref().is_some_and(|home| path.starts_with(home) && path != home);
        if path.starts_with(inner(HOME)) || in_home {
            let entry = Entry { path: path.to_owned(), kind: Kind::Folder, mode: 0o755, mtime: self.now };
            self.packer.add(&entry, &mut io::empty())?;
        }
        Ok(())
    }

    fn finish(self) -> Result<(), WorkspaceError> {
        Ok(self.packer.finish()?.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: Kind) -> Entry {
        Entry { path: path.into(), kind, mode: 0o644, mtime: 0 }
    }

    #[test]
    fn everything_lies_below_ours_and_belongs_to_the_user() {
        let owner = Owner { uid: 1000, gid: 1001, home: None };
        let mut bytes = Vec::new();
        let mut tree = Tree::new(&mut bytes, &owner, 42);
        let base = Path::new("buildit/workspace");
        tree.folder(base).unwrap();
        tree.put(entry("a/b", Kind::File(2)), &mut &b"hi"[..], base).unwrap();
        tree.put(entry("a", Kind::Folder), &mut io::empty(), base).unwrap();
        tree.put(entry("c", Kind::Same("a/b".into())), &mut io::empty(), base).unwrap();
        tree.finish().unwrap();
        let mut archive = tar::Archive::new(&*bytes);
        let found: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (1000, 1001, 42));
                entry.path().unwrap().to_string_lossy().trim_end_matches('/').to_owned()
            })
            .collect();
        let expected = ["buildit", "buildit/workspace", "buildit/workspace/a", "buildit/workspace/a/b"];
        assert_eq!(found[..4], expected);
        assert_eq!(found[4..], ["buildit/workspace/c"]);
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let mut tree = Tree::new(Vec::new(), &Owner::ROOT, 1);
        let base = Path::new("buildit/workspace");
        tree.put(entry("etc", Kind::Link("/etc".into())), &mut io::empty(), base).unwrap();
        let through = tree.put(entry("etc/passwd", Kind::File(0)), &mut io::empty(), base);
        assert!(matches!(through, Err(WorkspaceError::Archive(ArchiveError::Through(_)))));
        let through = tree.put(entry("x", Kind::Same("etc/passwd".into())), &mut io::empty(), base);
        assert!(matches!(through, Err(WorkspaceError::Archive(ArchiveError::Through(_)))));
    }
}
