//! What goes wrong with files, said with the file's name.

use std::io;
use std::path::{Path, PathBuf};

use crate::artifact::BlobError;
use crate::store::StoreError;

/// The name of the store in its errors.
pub(super) const NAME: &str = "journal";

#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}", path.display())]
struct FileError {
    doing: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Says what was being done to which file.
pub(super) trait At<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T, StoreError>;
    fn blob_at(self, doing: &'static str, path: &Path) -> Result<T, BlobError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::backend(NAME, FileError { doing, path: path.to_owned(), source }))
    }

    fn blob_at(self, doing: &'static str, path: &Path) -> Result<T, BlobError> {
        self.map_err(|source| {
            let source = Box::new(FileError { doing, path: path.to_owned(), source });
            BlobError::Backend { name: NAME, source }
        })
    }
}

/// A file holds what cannot have been written.
pub(super) fn corrupt(path: &Path, offset: u64, what: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("{} at byte {offset}: {what}", path.display()))
}
