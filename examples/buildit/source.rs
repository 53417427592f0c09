//! The folder that a pipeline belongs to, and that its stages see.

use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// The repository around a file, or the file's own folder outside of any.
pub(crate) fn around(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    repository(folder).unwrap_or_else(|| folder.to_owned())
}

/// The folder that stages see: the one that was named, or else the repository around this folder, or this folder.
pub(crate) fn folder(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let here = Path::new(".");
    let folder = match named {
        Some(named) => named.to_owned(),
        None => repository(here).unwrap_or_else(|| here.to_owned()),
    };
    let folder = folder
        .canonicalize()
        .map_err(|error| Failure::usage(format!("cannot read the source {}: {error}", folder.display())))?;
    // A folder that nobody means: all of a machine, or of a person's files, copied for each stage.
    let is_home = || std::env::var_os("HOME").is_some_and(|home| Path::new(&home) == folder);
    if named.is_none() && (folder.parent().is_none() || is_home()) && !folder.join(".git").exists() {
        let message =
            format!("{} would be copied as the source; name it with --source if that is meant", folder.display());
        return Err(Failure::usage(message));
    }
    Ok(folder)
}

/// Where a repository keeps its `HEAD`: `.git`, or what that names when it is a file, as in a worktree.
pub(crate) fn git_folder(root: &Path) -> PathBuf {
    let dot_git = root.join(".git");
    let named = std::fs::read_to_string(&dot_git).ok();
    let named = named.as_deref().and_then(|text| text.trim_end().strip_prefix("gitdir: "));
    named.map_or(dot_git, |named| root.join(named))
}

/// The repository around a folder: the nearest one that holds `.git` (a file, in a work tree or a submodule).
pub(crate) fn repository(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    folder.ancestors().find(|folder| folder.join(".git").exists()).map(Path::to_owned)
}
