//! The files of a job in folders of this host.

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use buildit::artifact::BlobStore;
use buildit::id::Digest;

use super::caches::{CachePath, pack_cache};
use super::harvest::{Archived, JobFile, JobFiles};
use super::pack::{Packer, Times, open_plain};
use super::stream::store_archive;
use super::{Selection, WorkspaceError};

/// The files of a job in folders of this host.
#[derive(Clone, Debug)]
pub struct Folders {
    /// The workspace.
    pub workspace: PathBuf,
    /// The home folder, for caches; none without one.
    pub home: Option<PathBuf>,
    /// The file that `$BUILDIT_OUTPUT` names.
    pub output: PathBuf,
    /// The file that `$BUILDIT_SUMMARY` names.
    pub summary: PathBuf,
}

#[async_trait]
impl JobFiles for Folders {
    async fn read(&self, file: JobFile, limit: usize) -> Result<Vec<u8>, WorkspaceError> {
        let path = match file {
            JobFile::Output => &self.output,
            JobFile::Summary => &self.summary,
        };
        // The job could have put a link or a fifo in its place: neither is followed or waited for. At most a
        // mebibyte is read, so that another thread would cost more than it saves.
        let is_plain = |found: fs::Metadata| found.is_file().then_some(found.len());
        let mut bytes = Vec::new();
        match fs::symlink_metadata(path).map(is_plain) {
            Ok(Some(1..)) => {}
            _ => return Ok(bytes),
        }
        let file = open_plain(path).map_err(WorkspaceError::file("read", path))?;
        file.take(limit as u64).read_to_end(&mut bytes).map_err(WorkspaceError::file("read", path))?;
        Ok(bytes)
    }

    async fn archive(
        &self,
        selection: Selection,
        blobs: &Arc<dyn BlobStore>,
    ) -> Result<Option<Archived>, WorkspaceError> {
        let workspace = self.workspace.clone();
        let found = {
            let (selection, workspace) = (selection.clone(), workspace.clone());
            let find = move || selection.find(&workspace).map(|found| !found.is_empty());
            tokio::task::spawn_blocking(find).await.map_err(io::Error::other)??
        };
        if !found {
            return Ok(None);
        }
        let stored = store_archive(blobs, move |to| {
            let mut packer = Packer::new(to, Times::Dropped);
            let paths = selection.pack(&workspace, &mut packer)?;
            Ok((paths, packer.finish()?))
        });
        let (digest, bytes, paths) = stored.await?;
        Ok((!paths.is_empty()).then_some(Archived { digest, bytes, paths }))
    }

    async fn archive_cache(
        &self,
        paths: Vec<CachePath>,
        blobs: &Arc<dyn BlobStore>,
    ) -> Result<Option<(Digest, u64)>, WorkspaceError> {
        let (workspace, home) = (self.workspace.clone(), self.home.clone());
        if !paths.iter().any(|cached| cached.exists(&workspace, home.as_deref())) {
            return Ok(None);
        }
        let stored = store_archive(blobs, move |to| {
            let mut packer = Packer::new(to, Times::Kept);
            let any = pack_cache(&paths, &workspace, home.as_deref(), &mut packer)?;
            Ok((any, packer.finish()?))
        });
        let (digest, bytes, any) = stored.await?;
        Ok(any.then_some((digest, bytes)))
    }
}
