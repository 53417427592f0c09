//! An archive made of another: what a container's file system gives becomes an artifact, and the other way round.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::path::PathBuf;

use super::WorkspaceError;
use super::pack::Packer;
use super::read::{Entry, Kind, Limits, read_archive};
use super::select::slashed;

/// What [`refit`] took over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refitted {
    /// The files and links, in the order of the archive, under their new paths.
    pub paths: Vec<String>,
    /// Further names of files whose content was not taken over, under their new paths: each must be fetched by
    /// itself, or its content is missing.
    pub detached: Vec<String>,
}

/// Copies the entries of an archive, each checked, under the path that `place` gives it; `None` leaves it out. The
/// place of a hard link's target is asked for too.
///
/// # Errors
///
/// [`ArchiveError`](super::ArchiveError) when the archive is refused; else when it cannot be read or written.
pub fn refit<W: Write>(
    archive: impl Read,
    limits: Limits,
    to: &mut Packer<W>,
    mut place: impl FnMut(&Entry) -> Result<Option<PathBuf>, WorkspaceError>,
) -> Result<Refitted, WorkspaceError> {
    let mut refitted = Refitted::default();
    let mut files = HashSet::new();
    read_archive(archive, limits, |mut entry, content| {
        let Some(path) = place(&entry)? else { return Ok(()) };
        if let Kind::Same(other) = &entry.kind {
            let other = Entry { path: other.clone(), kind: Kind::File(0), ..entry.clone() };
            match place(&other)?.filter(|other| files.contains(other)) {
                Some(other) => entry.kind = Kind::Same(other),
                None => {
                    refitted.detached.push(slashed(&path));
                    return Ok(());
                }
            }
        }
        entry.path = path;
        match entry.kind {
            Kind::Folder => {}
            Kind::File(_) => {
                files.insert(entry.path.clone());
                refitted.paths.push(slashed(&entry.path));
            }
            _ => refitted.paths.push(slashed(&entry.path)),
        }
        to.add(&entry, content)
    })?;
    Ok(refitted)
}
