//! Files that are written whole or not at all: beside their place first, so that a full disk leaves no half of one.

use std::fs::metadata;
use std::io::{Result, Write};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// Makes a file that is not there yet.
///
/// # Errors
///
/// `AlreadyExists` when it is there, whatever it is.
pub(crate) fn create(file: &Path, text: &str) -> Result<()> {
    let mut builder = Builder::new();
    // As any new file: what the process's mask leaves of this.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut fresh = builder.tempfile_in(folder(file))?;
    fresh.write_all(text.as_bytes())?;
    fresh.persist_noclobber(file).map_err(|error| error.error)?;
    Ok(())
}

/// Puts the text in the place of a file's. A link stays one, and who may read the file may do so still.
///
/// # Errors
///
/// `NotFound` when there is no such file.
pub(crate) fn replace(file: &Path, text: &str) -> Result<()> {
    let target = file.canonicalize()?;
    let mut fresh = NamedTempFile::new_in(folder(&target))?;
    fresh.write_all(text.as_bytes())?;
    fresh.as_file().set_permissions(metadata(&target)?.permissions())?;
    fresh.persist(&target).map_err(|error| error.error)?;
    Ok(())
}

fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
