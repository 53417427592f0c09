//! `${checksum.GLOB}`.

use std::fs::symlink_metadata;
use std::io;
use std::path::{Path, PathBuf};

use crate::workspace::{Selection, WorkspaceError, open_plain};

/// The digest of the files that match: of their paths and contents, so that a moved file counts. Of no file it is the
/// digest of nothing. As in an archive, what is neither a file nor a link is passed over: a fifo would be waited for.
pub(super) fn checksum(folder: &Path, files: &[PathBuf], glob: &str) -> Result<String, WorkspaceError> {
    let selection = Selection::new([glob])?;
    let mut all = blake3::Hasher::new();
    for path in files.iter().filter(|path| selection.matches(path)) {
        let place = folder.join(path);
        let mut content = blake3::Hasher::new();
        let found = match symlink_metadata(&place) {
            Ok(found) => found,
            // Deleted in the working tree, which is as good as not being there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(WorkspaceError::file("look at", place)(error)),
        };
        if found.is_symlink() {
            let target = std::fs::read_link(&place).map_err(WorkspaceError::file("read", &place))?;
            content.update(target.as_os_str().as_encoded_bytes());
        } else if found.is_file() {
            let file = open_plain(&place).map_err(WorkspaceError::file("read", &place))?;
            if !file.metadata().map_err(WorkspaceError::file("look at", &place))?.is_file() {
                continue;
            }
            content.update_reader(file).map_err(WorkspaceError::file("read", &place))?;
        } else {
            continue;
        }
        all.update(path.as_os_str().as_encoded_bytes()).update(&[0]).update(content.finalize().as_bytes());
    }
    Ok(all.finalize().to_hex().to_string())
}
