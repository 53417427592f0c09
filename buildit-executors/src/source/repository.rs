//! What of a repository goes into a source as `.git`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files::is_ours;

/// What no copy of a repository needs: other worktrees, and what only the machine that it lies on has to do with.
const LEFT_OUT: [&str; 8] =
    ["worktrees", "hooks", "logs", "lost-found", "gc.log", "fsmonitor--daemon.ipc", "description", "COMMIT_EDITMSG"];

/// The folders by which `git` knows a repository, whether or not anything is in them.
const REQUIRED: [&str; 2] = ["objects", "refs"];

/// What is ignored beside what `.gitignore` says; `git init` makes one that says nothing.
const EXCLUDE: &str = "info/exclude";

/// What a linked worktree has of its own beside what is shared.
const LINKS: [&str; 3] = ["commondir", "gitdir", "locked"];

/// Where a repository's own files lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repository {
    /// `HEAD`, the index.
    own: PathBuf,
    /// Objects, refs, the configuration: another folder for a linked worktree.
    shared: PathBuf,
    /// Whether `.git` is a file that names a folder elsewhere.
    linked: bool,
}

/// A file or folder of `.git`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// This file or link.
    Place(PathBuf),
    /// This folder.
    Folder(PathBuf),
    /// A file of this content.
    Text(Vec<u8>),
}

impl Repository {
    /// The repository whose top is this folder; `None` when it is none.
    pub(super) fn at(folder: &Path) -> io::Result<Option<Self>> {
        let dot_git = folder.join(".git");
        let found = match fs::metadata(&dot_git) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if found.is_dir() {
            let own = dot_git;
            return Ok(own.join("HEAD").exists().then(|| Self { shared: own.clone(), own, linked: false }));
        }
        let text = fs::read_to_string(dot_git)?;
        let Some(named) = text.trim_end().strip_prefix("gitdir: ") else { return Ok(None) };
        let own = folder.join(named);
        let shared = match fs::read_to_string(own.join("commondir")) {
            Ok(common) => own.join(common.trim_end()),
            Err(_) => own.clone(),
        };
        Ok(Some(Self { own, shared, linked: true }))
    }

    /// Its files by their path below `.git`.
    pub(super) fn items(&self) -> io::Result<BTreeMap<PathBuf, Item>> {
        let mut items = BTreeMap::new();
        collect(&self.shared, Path::new(""), &LEFT_OUT, &mut items)?;
        if self.own != self.shared {
            for own in ["HEAD", "index", "ORIG_HEAD", "config.worktree"] {
                items.remove(Path::new(own));
            }
            let left_out: Vec<&str> = LEFT_OUT.into_iter().chain(LINKS).collect();
            collect(&self.own, Path::new(""), &left_out, &mut items)?;
        }
        if self.linked {
            let config = fs::read(self.shared.join("config"))?;
            items.insert("config".into(), Item::Text(unbound(&config)));
        }
        let mut borrowed = vec![self.shared.join("objects")];
        let mut seen = 0;
        while let Some(objects) = borrowed.get(seen).cloned() {
            seen += 1;
            if seen > 1 {
                let mut lent = BTreeMap::new();
                collect(&objects, Path::new("objects"), &["info"], &mut lent)?;
                for (path, item) in lent {
                    items.entry(path).or_insert(item);
                }
            }
            let names = fs::read_to_string(objects.join("info/alternates")).unwrap_or_default();
            for name in names.lines().filter(|name| !name.is_empty() && !name.starts_with('#')) {
                let lender = objects.join(name);
                if lender.is_dir() && !borrowed.contains(&lender) {
                    borrowed.push(lender);
                }
            }
        }
        items.remove(Path::new("objects/info/alternates"));
        if let Some(Item::Place(place)) = items.get(Path::new(EXCLUDE))
            && says_nothing(&fs::read(place).unwrap_or_default())
        {
            items.remove(Path::new(EXCLUDE));
        }
        remove_empty_folders(&mut items);
        Ok(items)
    }
}

/// Takes out folders that nothing is in: each is made and removed again for every job.
fn remove_empty_folders(items: &mut BTreeMap<PathBuf, Item>) {
    let files = items.iter().filter(|(_, item)| !matches!(item, Item::Folder(_)));
    let filled: BTreeSet<PathBuf> = files.flat_map(|(path, _)| path.ancestors().skip(1)).map(Path::to_owned).collect();
    let is_required = |path: &Path| REQUIRED.iter().any(|name| path == Path::new(name));
    items.retain(|path, item| !matches!(item, Item::Folder(_)) || filled.contains(path) || is_required(path));
}

/// Whether a file of patterns has none.
fn says_nothing(patterns: &[u8]) -> bool {
    patterns.split(|&byte| byte == b'\n').all(|line| line.trim_ascii().is_empty() || line.starts_with(b"#"))
}

/// The files and folders below `from`, under `path`, but for names at its top that are left out and for locks.
fn collect(from: &Path, path: &Path, left_out: &[&str], items: &mut BTreeMap<PathBuf, Item>) -> io::Result<()> {
    let walk = walkdir::WalkDir::new(from).min_depth(1).into_iter().filter_entry(|entry| {
        let name = entry.file_name().to_string_lossy();
        let is_left_out = entry.depth() == 1 && left_out.contains(&&*name);
        !is_left_out && !name.ends_with(".lock") && !is_ours(entry)
    });
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            // `git` tidies up while we look.
            Err(error) if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) => continue,
            Err(error) => return Err(error.into()),
        };
        let inner = entry.path().strip_prefix(from).unwrap_or(entry.path());
        let path = path.join(inner);
        let is_folder = entry.file_type().is_dir();
        let place = entry.into_path();
        items.insert(path, if is_folder { Item::Folder(place) } else { Item::Place(place) });
    }
    Ok(())
}

/// A configuration without the lines that bind it to its place: where its worktree is, and that it has none.
fn unbound(config: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(config.len());
    for line in config.split_inclusive(|&byte| byte == b'\n') {
        let text = String::from_utf8_lossy(line).to_ascii_lowercase();
        let name = text.split('=').next().unwrap_or_default().trim();
        if !matches!(name, "worktree" | "bare") {
            kept.extend_from_slice(line);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_without_files_are_left_out() {
        let folder = |path: &str| (PathBuf::from(path), Item::Folder(path.into()));
        let file = |path: &str| (PathBuf::from(path), Item::Text(Vec::new()));
        let mut items = BTreeMap::from([
            folder("branches"),
            folder("objects"),
            folder("objects/info"),
            folder("refs"),
            folder("refs/heads"),
            folder("refs/heads/a"),
            file("refs/heads/a/b"),
            folder("refs/tags"),
        ]);
        remove_empty_folders(&mut items);
        let left: Vec<_> = items.keys().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(left, ["objects", "refs", "refs/heads", "refs/heads/a", "refs/heads/a/b"]);
    }

    #[test]
    fn comments_say_nothing() {
        assert!(says_nothing(b"# git ls-files\n\n  \n#*.o\n"));
        assert!(!says_nothing(b"# what\n*.o"));
    }

    #[test]
    fn a_configuration_is_unbound_from_its_place() {
        let config =
            b"[core]\n\tbare = true\n\tworktree = ../../../sub\n\tfilemode = true\n[remote \"origin\"]\n\turl = x\n";
        let kept = String::from_utf8(unbound(config)).unwrap();
        assert_eq!(kept, "[core]\n\tfilemode = true\n[remote \"origin\"]\n\turl = x\n");
    }
}
