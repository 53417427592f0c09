//! A file of changes that are applied one after another: the queue's, the caches', the secrets', the accounts'.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{At, NAME};
use super::file::{FrameReader, GrowingFile};
use super::folder::{Folder, sync_folder, write_whole};
use super::frame::frame;
use crate::store::StoreError;

/// Changes, the oldest first.
#[derive(Debug)]
pub(in super::super) struct ChangeFile(GrowingFile);

impl ChangeFile {
    /// Opens the file of this name and applies what is in it.
    pub(in super::super) fn open<C: DeserializeOwned>(
        folder: &Folder,
        name: &str,
        mut apply: impl FnMut(C),
    ) -> Result<Self, StoreError> {
        let path = folder.root().join(name);
        if !path.exists() {
            let file = GrowingFile::create(path)?;
            // What is appended durably is not there for long if its file is not.
            sync_folder(folder.root())?;
            return Ok(Self(file));
        }
        let mut reader = FrameReader::open(&path, 0, None)?;
        while let Some(payload) = reader.next()? {
            apply(serde_json::from_slice(&payload).map_err(|error| reader.damage(error))?);
        }
        GrowingFile::recovered(path, reader.offset()).map(Self)
    }

    /// The length of the file.
    pub(in super::super) fn length(&self) -> u64 {
        self.0.length()
    }

    /// Puts these changes in the place of all that are there.
    pub(in super::super) fn replace<C: Serialize>(&mut self, changes: &[C]) -> Result<(), StoreError> {
        let mut content = Vec::new();
        for change in changes {
            content.extend(framed(change)?);
        }
        write_whole(self.0.path(), &content)?;
        self.0 = GrowingFile::recovered(self.0.path().to_owned(), content.len() as u64)?;
        Ok(())
    }

    /// Appends a change, not synced.
    pub(in super::super) fn append(&mut self, change: &impl Serialize) -> Result<(), StoreError> {
        let payload = serde_json::to_vec(change).map_err(|error| StoreError::backend(NAME, error))?;
        self.0.append(&payload).map(drop)
    }

    /// Appends changes, all or none, and makes them durable.
    pub(in super::super) fn append_durably<C: Serialize>(&mut self, changes: &[C]) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        for change in changes {
            bytes.extend(framed(change)?);
        }
        let write = |file: &mut std::fs::File| std::io::Write::write_all(file, &bytes);
        let (_, file) = self.0.append_with(bytes.len() as u64, write)?;
        file.sync_data().inspect_err(|error| self.0.sync_failed(error)).at("sync", self.0.path())
    }
}

pub(super) fn framed(change: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let payload = serde_json::to_vec(change).map_err(|error| StoreError::backend(NAME, error))?;
    frame(&payload).ok_or_else(|| StoreError::backend(NAME, "more than 4 GiB cannot be written at once"))
}
