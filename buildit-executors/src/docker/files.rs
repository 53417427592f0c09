//! The files of a job's container.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bollard::Docker;
use buildit::artifact::BlobStore;
use buildit::executor::JobInputs;
use buildit::id::Digest;

use super::archive::{Download, download};
use super::backend::DockerBackend;
use super::image::{Owner, UserName};
use super::names::{OUTPUT, SUMMARY, WORKSPACE};
use crate::script::Ending;
use crate::workspace::{
    Archived, Base, CachePath, Folders, JobFile, JobFiles, Kind, Limits, Selection, WorkspaceError, read_archive,
    unpack,
};

/// The files of a container that has ended. What is selected is downloaded to a folder of this host and gathered from
/// there, by the same rules as a local job's.
#[derive(Debug)]
pub(super) struct ContainerFiles<'a> {
    pub(super) docker: &'a Docker,
    pub(super) container: &'a str,
    /// What the script said at the end: a file that it says is empty need not be asked for.
    pub(super) ending: Option<Ending>,
    /// The home folder of the job's user, for caches.
    pub(super) home: Option<String>,
}

#[async_trait]
impl JobFiles for ContainerFiles<'_> {
    async fn read(&self, file: JobFile, limit: usize) -> Result<Vec<u8>, WorkspaceError> {
        let (path, empty) = match file {
            JobFile::Output => (OUTPUT, self.ending.is_some_and(|ending| !ending.outputs)),
            JobFile::Summary => (SUMMARY, self.ending.is_some_and(|ending| !ending.summary)),
        };
        if empty {
            return Ok(Vec::new());
        }
        read_file(self.docker, self.container, path, limit).await
    }

    async fn archive(
        &self,
        selection: Selection,
        blobs: &Arc<dyn BlobStore>,
    ) -> Result<Option<Archived>, WorkspaceError> {
        let copy = Copy::new()?;
        let mut any = false;
        for root in selection.roots() {
            any |= copy.fetch(self, WORKSPACE, root, &copy.folders.workspace).await?;
        }
        if any { copy.folders.archive(selection, blobs).await } else { Ok(None) }
    }

    async fn archive_cache(
        &self,
        paths: Vec<CachePath>,
        blobs: &Arc<dyn BlobStore>,
    ) -> Result<Option<(Digest, u64)>, WorkspaceError> {
        let copy = Copy::new()?;
        let mut any = false;
        for (at, cached) in paths.iter().enumerate() {
            // What lies below another path comes with it; fetched by itself it would be laid out through a link that the
            // job may have put there.
            let is_below = |other: &CachePath| other.base == cached.base && cached.path.starts_with(&other.path);
            if paths.iter().enumerate().any(|(of, other)| is_below(other) && (other.path != cached.path || of < at)) {
                continue;
            }
            any |= match (cached.base, &self.home, &copy.folders.home) {
                (Base::Workspace, ..) => copy.fetch(self, WORKSPACE, &cached.path, &copy.folders.workspace).await?,
                (Base::Home, Some(home), Some(to)) => copy.fetch(self, home, &cached.path, to).await?,
                (Base::Home, ..) => false,
            };
        }
        if any { copy.folders.archive_cache(paths, blobs).await } else { Ok(None) }
    }
}

/// A copy of a part of a container's files, which goes when it is dropped.
struct Copy {
    folder: tempfile::TempDir,
    folders: Folders,
}

impl Copy {
    fn new() -> Result<Self, WorkspaceError> {
        let folder = tempfile::Builder::new().prefix("buildit-").tempdir()?;
        let below = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir(&path).map(|()| path)
        };
        let folders = Folders {
            workspace: below("workspace")?,
            home: Some(below("home")?),
            output: folder.path().join("output"),
            summary: folder.path().join("summary"),
        };
        Ok(Self { folder, folders })
    }

    /// Downloads `base`/`path` to `to`/`path` and says whether there was such a thing.
    async fn fetch(
        &self,
        files: &ContainerFiles<'_>,
        base: &str,
        path: &Path,
        to: &Path,
    ) -> Result<bool, WorkspaceError> {
        // An archive begins with the last part of the path that was asked for; for all of the workspace that is the
        // name of its folder here too.
        let (parent, whole) = match path.parent() {
            Some(parent) => (to.join(parent), Path::new(base).join(path)),
            None => (self.folder.path().to_owned(), PathBuf::from(base)),
        };
        let whole = whole.to_string_lossy().into_owned();
        let got = download(files.docker, files.container, &whole, move |archive| {
            fs::create_dir_all(&parent).map_err(WorkspaceError::file("make", &parent))?;
            unpack(archive, &parent, Limits::strict().with_links_anywhere())
        });
        Ok(matches!(got.await?, Download::Read(())))
    }
}

impl DockerBackend {
    /// Who a user of a container is; `None` when the image does not know. The home folder is looked up for caches only.
    pub(super) async fn look_up(
        &self,
        container: &str,
        user: &UserName<'_>,
        home: Home,
    ) -> Result<Option<Owner>, WorkspaceError> {
        if home == Home::Unneeded
            && let Some(owner) = user.by_number()
        {
            return Ok(Some(owner));
        }
        let file = |path| async move {
            let bytes = read_file(&self.docker, container, path, MAX_USERS).await?;
            Ok::<_, WorkspaceError>(String::from_utf8_lossy(&bytes).into_owned())
        };
        let passwd = file("/etc/passwd").await?;
        let group = if user.has_named_group() { file("/etc/group").await? } else { String::new() };
        Ok(user.look_up(&passwd, &group))
    }
}

/// Whether the home folder of a user has to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// It has, for caches.
    Needed,
    /// It has not.
    Unneeded,
}

impl Home {
    pub(super) fn of(inputs: &JobInputs) -> Self {
        if inputs.caches.is_empty() { Self::Unneeded } else { Self::Needed }
    }
}

/// No image has more users than fit into this many bytes.
const MAX_USERS: usize = 1024 * 1024;

/// The content of a plain file in a container, cut at `limit` bytes; empty when there is none.
async fn read_file(docker: &Docker, container: &str, path: &str, limit: usize) -> Result<Vec<u8>, WorkspaceError> {
    let got = download(docker, container, path, move |archive| {
        let mut bytes = Vec::new();
        // Any kind of thing may lie there: a job can put a link or a folder in the place of its output file.
        read_archive(archive, Limits::strict().with_links_anywhere(), |entry, content| {
            if bytes.is_empty() && matches!(entry.kind, Kind::File(_)) && entry.path.components().count() == 1 {
                content.take(limit as u64).read_to_end(&mut bytes)?;
            }
            Ok(())
        })?;
        Ok(bytes)
    });
    match got.await {
        Ok(Download::Read(bytes)) => Ok(bytes),
        Ok(Download::Missing) => Ok(Vec::new()),
        Err(WorkspaceError::Archive(error)) => Err(io::Error::other(error).into()),
        Err(error) => Err(error),
    }
}
