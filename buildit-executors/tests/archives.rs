//! Archives of all kinds: what honest ones bring arrives, what hostile ones want does not happen (guarantee G7).
#![allow(missing_docs, clippy::unwrap_used, clippy::allow_attributes)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use buildit_executors::workspace::{
    CachePath, Entry, Kind, Limits, Packer, Refitted, Selection, Times, WorkspaceError, pack_cache, refit, unpack,
    unpack_cache,
};
use proptest::prelude::*;
use tempfile::TempDir;

/// A folder in a folder, so that it shows when something was written beside it.
struct Place {
    outer: TempDir,
    root: PathBuf,
}

impl Place {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        fs::create_dir(&root).unwrap();
        Self { outer, root }
    }

    fn assert_only_root(&self) {
        let names: Vec<_> = fs::read_dir(self.outer.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["root"]);
    }
}

/// What a folder holds: files with their content, links with their target.
fn tree(folder: &Path) -> BTreeMap<String, String> {
    let mut tree = BTreeMap::new();
    for entry in walkdir::WalkDir::new(folder).min_depth(1) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(folder).unwrap().to_string_lossy().into_owned();
        if entry.file_type().is_symlink() {
            tree.insert(path, format!("-> {}", fs::read_link(entry.path()).unwrap().display()));
        } else if entry.file_type().is_file() {
            tree.insert(path, fs::read_to_string(entry.path()).unwrap());
        }
    }
    tree
}

#[test]
fn every_hostile_archive_is_refused_and_harms_nothing() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/tar");
    let mut seen = 0;
    let mut messages = BTreeMap::new();
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let archive = fs::read(&path).unwrap();
        let place = Place::new();
        let refused = unpack(&archive[..], &place.root, Limits::strict());
        place.assert_only_root();
        assert!(!Path::new("/tmp/buildit-escaped").exists(), "{}", path.display());
        let error = refused.expect_err(&path.display().to_string());
        assert!(matches!(error, WorkspaceError::Archive(_)), "{}: {error:?}", path.display());
        let mut message = error.to_string();
        message.truncate(100);
        messages.insert(path.file_stem().unwrap().to_string_lossy().into_owned(), message);
        seen += 1;
    }
    assert!(seen >= 25, "the corpus is gone");
    insta::assert_json_snapshot!(messages);
}

#[test]
fn nothing_is_written_through_a_link_that_may_lead_anywhere() {
    let place = Place::new();
    let mut packer = Packer::new(Vec::new(), Times::Dropped);
    let link = Entry { path: "out".into(), kind: Kind::Link("..".into()), mode: 0o777, mtime: 0 };
    packer.add(&link, &mut std::io::empty()).unwrap();
    packer.add_bytes(Path::new("out/escaped"), 0o644, b"x").unwrap();
    let archive = packer.finish().unwrap();
    assert!(unpack(&archive[..], &place.root, Limits::strict().with_links_anywhere()).is_err());
    place.assert_only_root();
    // Nor when the link was there before: another layer brought it.
    let mut packer = Packer::new(Vec::new(), Times::Dropped);
    packer.add_bytes(Path::new("out/escaped"), 0o644, b"x").unwrap();
    let archive = packer.finish().unwrap();
    assert!(unpack(&archive[..], &place.root, Limits::strict()).is_err());
    place.assert_only_root();
    // A file takes the place of a link, and never of what the link leads to.
    fs::write(place.outer.path().join("root/target"), "kept").unwrap();
    std::os::unix::fs::symlink("target", place.root.join("file")).unwrap();
    let mut packer = Packer::new(Vec::new(), Times::Dropped);
    packer.add_bytes(Path::new("file"), 0o644, b"new").unwrap();
    unpack(&packer.finish().unwrap()[..], &place.root, Limits::strict()).unwrap();
    assert_eq!(tree(&place.root)["target"], "kept");
    assert_eq!(tree(&place.root)["file"], "new");
}

#[test]
fn limits_bound_bytes_and_entries() {
    let mut packer = Packer::new(Vec::new(), Times::Dropped);
    for index in 0..10 {
        packer.add_bytes(Path::new(&format!("file{index}")), 0o644, &[b'x'; 100]).unwrap();
    }
    let archive = packer.finish().unwrap();
    let strict = Limits::strict();
    for (limits, fits) in [
        (strict, true),
        (Limits { entries: 10, bytes: 1000, ..strict }, true),
        (Limits { entries: 9, ..strict }, false),
        (Limits { bytes: 999, ..strict }, false),
    ] {
        let place = Place::new();
        assert_eq!(unpack(&archive[..], &place.root, limits).is_ok(), fits, "{limits:?}");
    }
}

#[test]
fn a_setuid_bit_does_not_travel() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o6755);
    header.set_size(1);
    builder.append_data(&mut header, "tool", &b"x"[..]).unwrap();
    unpack(&builder.into_inner().unwrap()[..], &place.root, Limits::strict()).unwrap();
    let mode = fs::metadata(place.root.join("tool")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7000, 0);
    assert_eq!(mode & 0o100, 0o100);
}

#[test]
fn a_container_engines_archive_becomes_an_artifact() {
    let mut packer = Packer::new(Vec::new(), Times::Kept);
    packer.add_bytes(Path::new("out/bin/tool"), 0o755, b"tool").unwrap();
    packer.add_bytes(Path::new("out/log"), 0o644, b"log").unwrap();
    for (path, other) in [("out/bin/alias", "out/bin/tool"), ("out/bin/log", "out/log")] {
        let entry = Entry { path: path.into(), kind: Kind::Same(other.into()), mode: 0o755, mtime: 9 };
        packer.add(&entry, &mut std::io::empty()).unwrap();
    }
    let archive = packer.finish().unwrap();
    let selection = Selection::new(["out/bin"]).unwrap();
    let mut packer = Packer::new(Vec::new(), Times::Dropped);
    let place = |entry: &Entry| Ok(selection.matches(&entry.path).then(|| Path::new("dist").join(&entry.path)));
    let refitted = refit(&archive[..], Limits::strict(), &mut packer, place).unwrap();
    let paths = ["dist/out/bin/tool", "dist/out/bin/alias"].map(str::to_owned).to_vec();
    assert_eq!(refitted, Refitted { paths, detached: vec!["dist/out/bin/log".into()] });
    let to = Place::new();
    unpack(&packer.finish().unwrap()[..], &to.root, Limits::strict()).unwrap();
    assert_eq!(tree(&to.root)["dist/out/bin/alias"], "tool");
}

#[test]
fn a_cache_brings_only_what_it_names_and_leaves_the_hosts_home_alone() {
    let (from, to) = (Place::new(), Place::new());
    for path in ["work/target/a", "work/other", "home/.tool/b", "home/.there/c"] {
        let path = from.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "cached").unwrap();
    }
    let paths = CachePath::parse_all(&["target".into(), "~/.tool".into(), "~/.there".into(), "gone".into()]).unwrap();
    let mut packer = Packer::new(Vec::new(), Times::Kept);
    assert!(pack_cache(&paths, &from.root.join("work"), Some(&from.root.join("home")), &mut packer).unwrap());
    let archive = packer.finish().unwrap();
    fs::create_dir_all(to.root.join("home/.there")).unwrap();
    fs::create_dir(to.root.join("work")).unwrap();
    unpack_cache(&archive[..], &paths, &to.root.join("work"), Some(&to.root.join("home"))).unwrap();
    let laid_out: Vec<String> = tree(&to.root).into_keys().collect();
    assert_eq!(laid_out, ["home/.tool/b", "work/target/a"]);
    let fewer = CachePath::parse_all(&["target".into()]).unwrap();
    assert!(unpack_cache(&archive[..], &fewer, &to.root.join("work"), Some(&to.root.join("home"))).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is packed is unpacked, and the same files give the same bytes.
    #[test]
    fn trees_travel_whole(
        files in proptest::collection::btree_map("([a-c]{1,2}/){0,3}[d-f]{1,3}( [é-ü])?", "\\PC{0,40}", 0..12),
        long in 1_usize..240,
    ) {
        let from = Place::new();
        for (path, text) in files.iter().chain([(&"n".repeat(long), &"long".to_owned())]) {
            let place = from.root.join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, text).unwrap();
        }
        let all = Selection::new(["**"]).unwrap();
        let pack = || {
            let mut packer = Packer::new(Vec::new(), Times::Dropped);
            let paths = all.pack(&from.root, &mut packer).unwrap();
            (paths, packer.finish().unwrap())
        };
        let (paths, archive) = pack();
        prop_assert_eq!(&pack().1, &archive);
        let to = Place::new();
        unpack(&archive[..], &to.root, Limits::strict()).unwrap();
        prop_assert_eq!(tree(&to.root), tree(&from.root));
        let mut known: Vec<String> = tree(&from.root).into_keys().collect();
        known.sort_by(|one, other| Path::new(one).cmp(Path::new(other)));
        let mut paths = paths;
        paths.sort_by(|one, other| Path::new(one).cmp(Path::new(other)));
        prop_assert_eq!(paths, known);
    }

    /// Whatever is done to an archive, nothing is written beside the folder and nothing panics.
    #[test]
    fn broken_archives_harm_nothing(
        entries in proptest::collection::vec(("(\\.\\./|/|a/|b/|\\./){0,3}[ab]?", 0_u8..9, "(\\.\\./|/|a|b){0,3}"), 0..8),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, target) in &entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::new(b"0125346SL"[usize::from(*kind)]));
            header.set_size(0);
            let name = &mut header.as_old_mut().name;
            name[..path.len()].copy_from_slice(path.as_bytes());
            let link = &mut header.as_old_mut().linkname;
            link[..target.len()].copy_from_slice(target.as_bytes());
            header.set_cksum();
            builder.append(&header, std::io::empty()).unwrap();
        }
        let mut archive = builder.into_inner().unwrap();
        for (at, byte) in &damage {
            let at = at.index(archive.len());
            archive[at] = *byte;
        }
        for limits in [Limits::strict(), Limits::strict().with_links_anywhere()] {
            let place = Place::new();
            let _ = unpack(&archive[..], &place.root, Limits { entries: 100, bytes: 1 << 20, ..limits });
            place.assert_only_root();
        }
    }
}

#[test]
fn globs_select_as_people_expect() {
    let place = Place::new();
    for path in ["a.log", "sub/b.log", "sub/deep/c.log", "dist/x", "dist/y/z", ".git/d.log"] {
        let path = place.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().write_all(b"x").unwrap();
    }
    let found = |glob: &str| {
        let found = Selection::new([glob]).unwrap().find(&place.root).unwrap();
        found.iter().map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("*.log"), ["a.log"]);
    assert_eq!(found("**/*.log"), ["a.log", "sub/b.log", "sub/deep/c.log"]);
    assert_eq!(found("./dist/"), ["dist/x", "dist/y/z"]);
    assert_eq!(found("sub/{b,deep/c}.log"), ["sub/b.log", "sub/deep/c.log"]);
    assert_eq!(found(".git/*.log"), [".git/d.log"]);
    assert_eq!(found("missing"), Vec::<String>::new());
    for bad in ["../x", "/etc/*", "a/../b", "[a"] {
        assert!(Selection::new([bad]).is_err(), "{bad}");
    }
}
