//! `${checksum.GLOB}`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::workspace::{Selection, WorkspaceError};

/// The digest of the files that match: of their paths and contents, so that a moved file counts. Of no file it is the
/// digest of nothing.
pub(super) fn checksum(folder: &Path, files: &[PathBuf], glob: &str) -> Result<String, WorkspaceError> {
    let selection = Selection::new([glob])?;
    let mut all = blake3::Hasher::new();
    for path in files.iter().filter(|path| selection.matches(path)) {
        let place = folder.join(path);
        let mut content = blake3::Hasher::new();
        match std::fs::read_link(&place) {
            Ok(target) => drop(content.update(target.as_os_str().as_encoded_bytes())),
            Err(_) => match File::open(&place) {
                Ok(file) => drop(content.update_reader(file).map_err(WorkspaceError::file("read", &place))?),
                // Deleted in the working tree, which is as good as not being there.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(WorkspaceError::file("read", place)(error)),
            },
        }
        all.update(path.as_os_str().as_encoded_bytes()).update(&[0]).update(content.finalize().as_bytes());
    }
    Ok(all.finalize().to_hex().to_string())
}
