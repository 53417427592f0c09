//! Caches: folders of the workspace or of the home folder, in archives whose paths say which.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::guard::safe_path;
use super::pack::Packer;
use super::read::{Limits, read_archive};
use super::unpack::Tree;
use super::{ArchiveError, WorkspaceError};

/// Where a path of a cache begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Base {
    /// The workspace.
    Workspace,
    /// The home folder.
    Home,
}

impl Base {
    /// The folder of an archive that holds what begins there.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Home => "home",
        }
    }
}

/// A path of a cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CachePath {
    /// Where it begins.
    pub base: Base,
    /// The rest of it, safe and not empty.
    pub path: PathBuf,
}

impl CachePath {
    /// Reads `target` or `~/.cargo/registry`.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Path`] for a path that leaves its base or is all of it: a whole home folder is no cache.
    pub fn parse(text: &str) -> Result<Self, ArchiveError> {
        let (base, rest) = match text.strip_prefix("~/") {
            Some(rest) => (Base::Home, rest),
            None => (Base::Workspace, text),
        };
        let path = safe_path(Path::new(rest))?;
        if path.as_os_str().is_empty() || text == "~" {
            return Err(ArchiveError::Path(text.into()));
        }
        Ok(Self { base, path })
    }

    /// Reads several.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_all(texts: &[String]) -> Result<Vec<Self>, ArchiveError> {
        texts.iter().map(|text| Self::parse(text)).collect()
    }

    /// Whether there is anything at it.
    pub(super) fn exists(&self, workspace: &Path, home: Option<&Path>) -> bool {
        base_folder(self.base, workspace, home).is_some_and(|base| fs::symlink_metadata(base.join(&self.path)).is_ok())
    }

    /// Its path in an archive.
    #[must_use]
    pub fn in_archive(&self) -> PathBuf {
        Path::new(self.base.folder()).join(&self.path)
    }
}

/// What a path in a cache's archive means: the base and the rest. `None` for the folders that hold the bases.
///
/// # Errors
///
/// [`ArchiveError::Path`] when it lies in none of the cache's own paths: an archive cannot bring other files along.
pub fn place_of(path: &Path, declared: &[CachePath]) -> Result<Option<CachePath>, ArchiveError> {
    for base in [Base::Workspace, Base::Home] {
        if let Ok(rest) = path.strip_prefix(base.folder()) {
            let of_base = || declared.iter().filter(|declared| declared.base == base);
            if of_base().any(|declared| rest.starts_with(&declared.path)) {
                return Ok(Some(CachePath { base, path: rest.to_owned() }));
            }
            if of_base().any(|declared| declared.path.starts_with(rest)) {
                return Ok(None);
            }
        }
    }
    if path.as_os_str().is_empty() { Ok(None) } else { Err(ArchiveError::Path(path.to_owned())) }
}

/// Archives what is there of a cache and says whether anything was.
///
/// # Errors
///
/// [`WorkspaceError`] when something cannot be read or written.
pub fn pack_cache<W: Write>(
    paths: &[CachePath],
    workspace: &Path,
    home: Option<&Path>,
    to: &mut Packer<W>,
) -> Result<bool, WorkspaceError> {
    let mut any = false;
    for cached in paths {
        let Some(base) = base_folder(cached.base, workspace, home) else { continue };
        let start = base.join(&cached.path);
        // What it leads to is not what the cache names, and in a copy of a container's files it is the host's.
        if fs::symlink_metadata(&start).is_ok_and(|found| found.is_symlink()) {
            continue;
        }
        for entry in walkdir::WalkDir::new(&start).sort_by_file_name() {
            // What vanishes while it is read, or may not be read, is not worth losing the cache for.
            let Ok(entry) = entry else { continue };
            let inner = entry.path().strip_prefix(base).unwrap_or(entry.path());
            any |= to.add_place(&Path::new(cached.base.folder()).join(inner), entry.path())?;
        }
    }
    Ok(any)
}

/// Lays a cache out. A path in the home folder that is there already is left as it is: the host's own folder is at
/// least as warm, and not ours to overwrite.
///
/// # Errors
///
/// [`ArchiveError`] when the archive is refused or brings what the cache does not name.
pub fn unpack_cache(
    archive: impl Read,
    paths: &[CachePath],
    workspace: &Path,
    home: Option<&Path>,
) -> Result<(), WorkspaceError> {
    let kept: Vec<&CachePath> = paths
        .iter()
        .filter(|cached| cached.base == Base::Home)
        .filter(|cached| home.is_none_or(|home| fs::symlink_metadata(home.join(&cached.path)).is_ok()))
        .collect();
    let mut trees = (Tree::new(workspace), home.map(Tree::new));
    read_archive(archive, Limits::strict().with_links_anywhere(), |mut entry, content| {
        let Some(place) = place_of(&entry.path, paths)? else { return Ok(()) };
        if let super::Kind::Same(other) = &entry.kind {
            match place_of(other, paths)? {
                Some(other) if other.base == place.base => entry.kind = super::Kind::Same(other.path),
                _ => return Err(ArchiveError::Path(other.clone()).into()),
            }
        }
        let kept = place.base == Base::Home && kept.iter().any(|kept| place.path.starts_with(&kept.path));
        entry.path = place.path;
        match (place.base, &mut trees) {
            (Base::Workspace, (workspace, _)) => workspace.put(entry, content),
            (Base::Home, (_, Some(home))) if !kept => home.put(entry, content),
            (Base::Home, _) => Ok(()),
        }
    })
}

fn base_folder<'a>(base: Base, workspace: &'a Path, home: Option<&'a Path>) -> Option<&'a Path> {
    match base {
        Base::Workspace => Some(workspace),
        Base::Home => home,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_declared_places_are_touched() {
        let declared = CachePath::parse_all(&["target".into(), "~/.cargo/registry".into()]).unwrap();
        let place =
            |path: &str| place_of(Path::new(path), &declared).map(|place| place.map(|place| place.in_archive()));
        assert_eq!(place("workspace/target/debug").unwrap().unwrap(), Path::new("workspace/target/debug"));
        assert_eq!(place("home/.cargo").unwrap(), None);
        for other in ["home/.bashrc", "workspace/src/main.rs", "etc/passwd", "home/target", "workspace/targets"] {
            assert!(place(other).is_err(), "{other}");
        }
        for bad in ["~", "~/", "/etc", "..", "", "~/../x"] {
            assert!(CachePath::parse(bad).is_err(), "{bad}");
        }
    }
}
