//! The mark of folders in which BuildIt keeps something: journals, the folders of jobs, stores.
//!
//! Each such folder has a file [`FORMAT`] whose text begins with [`SIGNATURE`], the name of what is kept there, and
//! the number of its form: `buildit-journal 1`. So a folder is known for what it is wherever it lies, also to a
//! program that did not make it: a snapshot of a source leaves it out.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

/// The name of the file.
pub const FORMAT: &str = "FORMAT";

/// What the file begins with.
pub const SIGNATURE: &str = "buildit-";

/// Whether BuildIt keeps something in this folder.
#[must_use]
pub fn is_marked(folder: &Path) -> bool {
    let path = folder.join(FORMAT);
    // A fifo of that name would be waited for.
    if !std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
        return false;
    }
    let mut begin = [0; SIGNATURE.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && begin == *SIGNATURE.as_bytes()
}

/// Marks a folder as one in which BuildIt keeps `what`, in its form of this number. One that has a mark keeps it.
///
/// # Errors
///
/// [`io::Error`] when the file cannot be written.
pub fn mark(folder: &Path, what: &str, form: u32) -> io::Result<()> {
    let path = folder.join(FORMAT);
    if path.exists() {
        return Ok(());
    }
    // Whole or not at all, and never over the mark of somebody who was quicker.
    let new = folder.join(format!(".{FORMAT}-{}", uuid::Uuid::now_v7().simple()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&new)?;
    let written = file.write_all(format!("{SIGNATURE}{what} {form}\n").as_bytes());
    // Where a file system has no links, the last one wins: what they write is the same.
    let place = || {
        std::fs::hard_link(&new, &path).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Err(error),
            _ => std::fs::rename(&new, &path),
        })
    };
    let placed = written.and_then(|()| place());
    let _ = std::fs::remove_file(&new);
    match placed {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        placed => placed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_folder_is_known_and_another_is_not() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_marked(folder.path()));
        mark(folder.path(), "jobs", 1).unwrap();
        mark(folder.path(), "else", 2).unwrap();
        assert!(is_marked(folder.path()));
        assert_eq!(std::fs::read_to_string(folder.path().join(FORMAT)).unwrap(), "buildit-jobs 1\n");
        std::fs::write(folder.path().join(FORMAT), "ogg").unwrap();
        assert!(!is_marked(folder.path()));
    }
}
