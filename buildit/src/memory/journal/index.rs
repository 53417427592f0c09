//! What a list of runs shows, so that opening a folder does not read the files of thousands of runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::{At, NAME};
use super::file::{FrameReader, GrowingFile};
use super::folder::{Folder, private_file};
use crate::id::{FencingToken, PipelineId, RunId};
use crate::store::{RunSummary, StoreError};

/// A run in the index.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in super::super) struct IndexEntry {
    /// Its place in the order of creation.
    pub(in super::super) place: u64,
    pub(in super::super) pipeline: PipelineId,
    /// With the name that the pipeline had when the run was created.
    pub(in super::super) summary: RunSummary,
    pub(in super::super) token: FencingToken,
    pub(in super::super) is_closed: bool,
}

/// The file. It follows from the runs' own files: a damaged one is made again.
#[derive(Debug)]
pub(in super::super) struct Index(GrowingFile);

impl Index {
    /// Reads the index, the later entry of a run winning; what of it cannot be read is left out, since the files of
    /// runs that are missing here are read themselves.
    pub(in super::super) fn open(folder: &Folder) -> Result<(Self, BTreeMap<RunId, IndexEntry>), StoreError> {
        let path = folder.root().join("index");
        let mut entries = BTreeMap::new();
        if !path.exists() {
            return Ok((Self(GrowingFile::create(path)?), entries));
        }
        let mut reader = FrameReader::open(&path, 0, None)?;
        loop {
            match reader.next() {
                Ok(Some(payload)) => match serde_json::from_slice::<IndexEntry>(&payload) {
                    Ok(entry) => drop(entries.insert(entry.summary.id, entry)),
                    Err(_) => return Self::start_again(path),
                },
                Ok(None) => break,
                Err(StoreError::Corrupt(what)) => {
                    tracing::warn!(%what, "the index of runs is damaged and is made again");
                    return Self::start_again(path);
                }
                Err(error) => return Err(error),
            }
        }
        Ok((Self(GrowingFile::recovered(path, reader.offset())?), entries))
    }

    fn start_again(path: PathBuf) -> Result<(Self, BTreeMap<RunId, IndexEntry>), StoreError> {
        private_file().write(true).truncate(true).open(&path).at("write", &path)?;
        Ok((Self(GrowingFile::recovered(path, 0)?), BTreeMap::new()))
    }

    /// The runs that have a file.
    pub(in super::super) fn runs(folder: &Folder) -> Result<Vec<RunId>, StoreError> {
        let path = folder.runs();
        let mut runs = Vec::new();
        for entry in std::fs::read_dir(&path).at("read", &path)? {
            let name = entry.at("read", &path)?.file_name();
            runs.extend(name.to_str().and_then(|name| name.parse::<RunId>().ok()));
        }
        runs.sort_unstable();
        Ok(runs)
    }

    /// Notes a run. Not synced: a crash of the machine may lose it, and the run's own file is read then.
    pub(in super::super) fn note(&mut self, entry: &IndexEntry) -> Result<(), StoreError> {
        let payload = serde_json::to_vec(entry).map_err(|error| StoreError::backend(NAME, error))?;
        self.0.append(&payload).map(drop)
    }
}
