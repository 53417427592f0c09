//! What the globs of a stage select.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::guard::{link_stays_inside, safe_path};
use super::pack::Packer;
use super::read::{Entry, Kind};
use super::{ArchiveError, WorkspaceError};

/// Globs of files in a workspace. `*` stays within a folder, `**` does not; a folder that matches means all in it.
#[derive(Clone, Debug)]
pub struct Selection {
    globs: GlobSet,
    roots: Vec<PathBuf>,
}

impl Selection {
    /// What these globs, relative to the workspace, select together.
    ///
    /// # Errors
    ///
    /// [`WorkspaceError::Glob`] for one that cannot be read, [`ArchiveError::Path`] for one that leaves the workspace.
    pub fn new<'a>(globs: impl IntoIterator<Item = &'a str>) -> Result<Self, WorkspaceError> {
        let mut set = GlobSetBuilder::new();
        let mut roots = Vec::new();
        for written in globs {
            let glob = written.strip_prefix("./").unwrap_or(written).trim_end_matches('/');
            let glob = if glob.is_empty() || glob == "." { "**" } else { glob };
            let root = safe_path(&literal_root(glob))?;
            if Path::new(glob).components().any(|part| !matches!(part, Component::Normal(_))) {
                return Err(ArchiveError::Path(written.into()).into());
            }
            for glob in [glob, &format!("{glob}/**")] {
                let built = GlobBuilder::new(glob).literal_separator(true).build();
                set.add(built.map_err(|source| WorkspaceError::Glob { glob: written.to_owned(), source })?);
            }
            roots.push(root);
        }
        roots.sort();
        // A root below another one is walked with it.
        roots.dedup_by(|later, earlier| later.starts_with(earlier));
        let globs = set.build().map_err(|source| WorkspaceError::Glob { glob: String::new(), source })?;
        Ok(Self { globs, roots })
    }

    /// Whether a file of this path, relative to the workspace, is meant.
    #[must_use]
    pub fn matches(&self, path: &Path) -> bool {
        self.globs.is_match(path)
    }

    /// The files or folders, relative to the workspace, below which everything lies that can match; none below
    /// another. The workspace itself is the empty path.
    #[must_use]
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// The files and links in `workspace` that match, sorted. `.git` is left out unless a glob begins with it.
    ///
    /// # Errors
    ///
    /// [`WorkspaceError::File`] when a folder cannot be read, [`ArchiveError`] when the way to what is meant leads out of
    /// the workspace over a link.
    pub fn find(&self, workspace: &Path) -> Result<Vec<PathBuf>, WorkspaceError> {
        let real = fs::canonicalize(workspace).map_err(WorkspaceError::file("look at", workspace))?;
        let mut found = Vec::new();
        for root in &self.roots {
            let start = workspace.join(root);
            match fs::canonicalize(start.parent().unwrap_or(&start)) {
                // The way to the root may lead over links, but not out of the workspace.
                Ok(parent) if root.as_os_str().is_empty() || parent.starts_with(&real) => {}
                Ok(_) => return Err(ArchiveError::Through(root.clone()).into()),
                Err(_) => continue,
            }
            if let Ok(target) = fs::read_link(&start)
                && fs::canonicalize(&start).is_ok_and(|end| !end.starts_with(&real))
            {
                return Err(ArchiveError::Link { path: root.clone(), target }.into());
            }
            let walk = walkdir::WalkDir::new(&start).sort_by_file_name().into_iter();
            for entry in walk.filter_entry(|entry| entry.depth() == 0 || entry.file_name() != ".git") {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error) if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) => {
                        continue;
                    }
                    Err(error) => return Err(WorkspaceError::file("read", &start)(error.into())),
                };
                let path = entry.path().strip_prefix(workspace).unwrap_or(entry.path());
                if !entry.file_type().is_dir() && self.matches(path) {
                    found.push(path.to_owned());
                }
            }
        }
        Ok(found)
    }

    /// Archives what matches in `workspace` and gives the paths of what it archived, sorted, with `/` between their
    /// parts. A link to a file that is not selected itself becomes a copy of it, so that no link hangs in the air.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Link`] for a link that leads out of the workspace; else when something cannot be read or
    /// written.
    pub fn pack<W: Write>(&self, workspace: &Path, to: &mut Packer<W>) -> Result<Vec<String>, WorkspaceError> {
        let real = fs::canonicalize(workspace).map_err(WorkspaceError::file("look at", workspace))?;
        let found = self.find(workspace)?;
        let selected: HashSet<&Path> = found.iter().map(PathBuf::as_path).collect();
        let mut paths = Vec::with_capacity(found.len());
        for path in &found {
            let place = workspace.join(path);
            let packed = match fs::read_link(&place) {
                Ok(target) => pack_link(path, &place, target, &real, &selected, to)?,
                Err(_) => to.add_place(path, &place)?,
            };
            if packed {
                paths.push(slashed(path));
            }
        }
        Ok(paths)
    }
}

fn pack_link<W: Write>(
    path: &Path,
    place: &Path,
    target: PathBuf,
    real: &Path,
    selected: &HashSet<&Path>,
    to: &mut Packer<W>,
) -> Result<bool, WorkspaceError> {
    let end = fs::canonicalize(place).ok();
    let inner = end.as_ref().map(|end| end.strip_prefix(real).map(Path::to_owned));
    match inner {
        Some(Err(_)) => Err(ArchiveError::Link { path: path.to_owned(), target }.into()),
        Some(Ok(inner)) if !selected.contains(inner.as_path()) && real.join(&inner).is_file() => {
            to.add_place(path, &real.join(inner))
        }
        _ if link_stays_inside(path, &target) => {
            let entry = Entry { path: path.to_owned(), kind: Kind::Link(target), mode: 0o777, mtime: 0 };
            to.add(&entry, &mut io::empty()).map(|()| true)
        }
        _ => Err(ArchiveError::Link { path: path.to_owned(), target }.into()),
    }
}

/// The parts of a glob before the first that is more than a name.
fn literal_root(glob: &str) -> PathBuf {
    let parts = glob.split('/').take_while(|part| !part.contains(['*', '?', '[', '{', '\\']));
    parts.collect()
}

/// A path as people and other systems read it.
pub(crate) fn slashed(path: &Path) -> String {
    let text = path.to_string_lossy();
    if std::path::MAIN_SEPARATOR == '/' { text.into_owned() } else { text.replace(std::path::MAIN_SEPARATOR, "/") }
}
