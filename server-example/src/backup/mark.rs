//! The mark of a folder that is being restored to.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Its name.
const NAME: &str = "RESTORING";

/// Whether a restore to this folder was begun and has not ended.
pub(crate) fn is_unfinished(data: &Path) -> bool {
    data.join(NAME).exists()
}

/// Marks the folder, in which there is no such mark, before anything is in it.
pub(super) fn set(data: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(data.join(NAME))?.sync_all()?;
    sync(data)
}

/// Takes the mark away, once everything in the folder would outlast a crash of the machine.
pub(super) fn clear(data: &Path) -> io::Result<()> {
    sync(data)?;
    std::fs::remove_file(data.join(NAME))?;
    sync(data)
}

/// Makes the names in a folder outlast a crash of the machine.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
