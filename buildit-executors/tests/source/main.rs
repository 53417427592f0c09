//! Sources of real repositories.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::allow_attributes)]

#[path = "../local/host.rs"]
#[allow(dead_code)]
mod host;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use buildit::artifact::BlobStore;
use buildit::pipeline::CheckoutSpec;
use buildit_executors::source::{Base, Source};
use buildit_executors::workspace::{Limits, unpack};
use host::Blobs;
use tempfile::TempDir;

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "init.defaultBranch=main"])
        .args(["-c", "protocol.file.allow=always", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .current_dir(folder)
        .env_remove("GIT_DIR")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn write(folder: &Path, path: &str, text: &str) {
    let place = folder.join(path);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(place, text).unwrap();
}

fn repository() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "-q"]);
    write(folder.path(), ".gitignore", "ignored\n");
    write(folder.path(), "src/a", "a\n");
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-qm", "First\n\nBody"]);
    folder
}

/// The source as a stage finds it.
async fn laid_out(source: &Source, checkout: &CheckoutSpec) -> TempDir {
    let blobs = Arc::new(Blobs::default());
    let store: Arc<dyn BlobStore> = blobs.clone();
    let (digest, bytes) = source.store(&store, checkout).await.unwrap();
    let archive = blobs.get(&digest);
    assert_eq!(archive.len() as u64, bytes);
    let folder = tempfile::tempdir().unwrap();
    unpack(&archive[..], folder.path(), Limits::strict().with_links_anywhere()).unwrap();
    folder
}

fn files(source: &Source) -> Vec<String> {
    source.files().iter().map(|path| path.to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn a_working_tree_is_taken_as_it_is() {
    let tree = repository();
    write(tree.path(), "src/a", "changed\n");
    write(tree.path(), "new file", "new\n");
    write(tree.path(), "ignored/x", "x\n");
    write(tree.path(), "state/journal", "ours\n");
    let source = Source::open(tree.path(), &[tree.path().join("state"), "/nowhere".into()]).await.unwrap();
    assert_eq!(files(&source), [".gitignore", "new file", "src/a"]);
    let context = source.git();
    assert_eq!(context.sha, git(tree.path(), &["rev-parse", "HEAD"]));
    assert_eq!((context.branch.as_str(), context.reference.as_str()), ("main", "refs/heads/main"));
    assert_eq!((context.message.as_str(), context.author_email.as_str()), ("First\n\nBody", "ann@example.org"));
    assert!(context.dirty);
    let stage = laid_out(&source, &CheckoutSpec::default()).await;
    assert_eq!(std::fs::read_to_string(stage.path().join("src/a")).unwrap(), "changed\n");
    assert!(!stage.path().join("ignored").exists() && !stage.path().join("state").exists());
    assert_eq!(git(stage.path(), &["status", "--porcelain"]), "M src/a\n?? \"new file\"");
    assert_eq!(git(stage.path(), &["log", "--format=%s"]), "First");
}

#[tokio::test]
async fn the_same_files_give_the_same_archive() {
    let tree = repository();
    let blobs: Arc<dyn BlobStore> = Arc::new(Blobs::default());
    let store = async || {
        let source = Source::open(tree.path(), &[]).await.unwrap();
        assert!(!source.git().dirty);
        source.store(&blobs, &CheckoutSpec::default()).await.unwrap()
    };
    assert_eq!(store().await, store().await);
}

#[tokio::test]
async fn a_repository_without_a_commit_and_a_plain_folder() {
    let tree = tempfile::tempdir().unwrap();
    write(tree.path(), "a", "a\n");
    write(tree.path(), "b/c", "c\n");
    let plain = Source::open(tree.path(), &[]).await.unwrap();
    assert_eq!(files(&plain), ["a", "b/c"]);
    assert_eq!(plain.git(), &buildit::pipeline::GitContext::default());
    assert_eq!(plain.changes(&Base::Upstream).await.unwrap(), None);
    git(tree.path(), &["init", "-q"]);
    let fresh = Source::open(tree.path(), &[]).await.unwrap();
    assert_eq!((fresh.git().sha.as_str(), fresh.git().branch.as_str()), ("", "main"));
    assert!(fresh.git().dirty);
    let stage = laid_out(&fresh, &CheckoutSpec::default()).await;
    assert_eq!(git(stage.path(), &["status", "--porcelain", "-uall"]), "?? a\n?? b/c");
}

#[tokio::test]
async fn a_detached_head_is_of_its_tag() {
    let tree = repository();
    git(tree.path(), &["tag", "v1"]);
    assert_eq!(Source::open(tree.path(), &[]).await.unwrap().git().tag, "");
    git(tree.path(), &["checkout", "-q", "v1"]);
    let source = Source::open(tree.path(), &[]).await.unwrap();
    assert_eq!((source.git().branch.as_str(), source.git().tag.as_str()), ("", "v1"));
}

#[tokio::test]
async fn a_linked_worktree_becomes_a_repository_of_its_own() {
    let tree = repository();
    let place = tempfile::tempdir().unwrap();
    let linked = place.path().join("linked");
    git(tree.path(), &["worktree", "add", "-q", "-b", "side", linked.to_str().unwrap()]);
    write(&linked, "side", "x\n");
    git(&linked, &["add", "side"]);
    git(&linked, &["commit", "-qm", "Side"]);
    let source = Source::open(&linked, &[]).await.unwrap();
    assert_eq!(source.git().branch, "side");
    let stage = laid_out(&source, &CheckoutSpec::default()).await;
    assert!(stage.path().join(".git").is_dir());
    assert_eq!(git(stage.path(), &["status", "--porcelain", "--branch"]), "## side");
    assert_eq!(git(stage.path(), &["log", "--format=%s"]), "Side\nFirst");
}

#[tokio::test]
async fn borrowed_objects_come_along() {
    let tree = repository();
    let place = tempfile::tempdir().unwrap();
    let clone = place.path().join("clone");
    git(place.path(), &["clone", "-q", "--shared", tree.path().to_str().unwrap(), "clone"]);
    let source = Source::open(&clone, &[]).await.unwrap();
    let stage = laid_out(&source, &CheckoutSpec::default()).await;
    assert!(!stage.path().join(".git/objects/info/alternates").exists());
    git(stage.path(), &["fsck", "--strict"]);
}

#[tokio::test]
async fn submodules_are_empty_or_whole() {
    let inner = repository();
    let tree = repository();
    git(tree.path(), &["submodule", "--quiet", "add", inner.path().to_str().unwrap(), "sub"]);
    git(tree.path(), &["commit", "-qm", "Sub"]);
    write(tree.path(), "sub/src/new", "n\n");
    let source = Source::open(tree.path(), &[]).await.unwrap();
    let empty = laid_out(&source, &CheckoutSpec::default()).await;
    assert!(empty.path().join("sub").is_dir() && !empty.path().join("sub/src").exists());
    let checkout = CheckoutSpec { submodules: true, ..CheckoutSpec::default() };
    let whole = laid_out(&source, &checkout).await;
    assert!(whole.path().join("sub/src/a").exists() && whole.path().join("sub/src/new").exists());
    assert_eq!(git(&whole.path().join("sub"), &["log", "--format=%s"]), "First");
}

#[tokio::test]
async fn a_folder_within_a_repository_is_taken_alone() {
    let tree = repository();
    write(tree.path(), "ignored/x/y", "y\n");
    let inner = Source::open(tree.path().join("src"), &[]).await.unwrap();
    assert_eq!((files(&inner), inner.git().branch.as_str()), (vec!["a".to_owned()], "main"));
    assert!(!laid_out(&inner, &CheckoutSpec::default()).await.path().join(".git").exists());
    let ignored = Source::open(tree.path().join("ignored"), &[]).await.unwrap();
    assert_eq!(files(&ignored), ["x/y"]);
}

#[tokio::test]
async fn what_changed_is_told_against_a_base() {
    let tree = repository();
    let first = git(tree.path(), &["rev-parse", "HEAD"]);
    git(tree.path(), &["checkout", "-qb", "side"]);
    write(tree.path(), "b", "b\n");
    git(tree.path(), &["add", "b"]);
    git(tree.path(), &["commit", "-qm", "Second"]);
    git(tree.path(), &["checkout", "-q", "main"]);
    write(tree.path(), "only-on-main", "x\n");
    git(tree.path(), &["add", "."]);
    git(tree.path(), &["commit", "-qm", "Main goes on"]);
    git(tree.path(), &["checkout", "-q", "side"]);
    write(tree.path(), "src/a", "changed\n");
    write(tree.path(), "untracked", "u\n");
    let source = Source::open(tree.path(), &[]).await.unwrap();
    let expected = Some(vec!["b".to_owned(), "src/a".into(), "untracked".into()]);
    assert_eq!(source.changes(&Base::Branch("main".into())).await.unwrap(), expected);
    assert_eq!(source.changes(&Base::Commit(first)).await.unwrap(), expected);
    assert_eq!(source.changes(&Base::Commit("0".repeat(40))).await.unwrap(), None);
    assert_eq!(source.changes(&Base::Upstream).await.unwrap(), None);
    assert_eq!(source.changes(&Base::Commit("--output=x".into())).await.unwrap(), None);
}

#[tokio::test]
async fn checksums_follow_names_and_contents() {
    let tree = repository();
    let of = async |glob: &str| {
        let source = Source::open(tree.path(), &[]).await.unwrap();
        source.checksums(vec![glob.to_owned()]).await.unwrap()[glob].clone()
    };
    let (one, all, none) = (of("src/a").await, of("**").await, of("nothing").await);
    assert_eq!(of("src/a").await, one);
    write(tree.path(), "src/b", "b\n");
    assert_eq!(of("src/a").await, one);
    assert_ne!(of("**").await, all);
    assert_eq!(of("missing/*").await, none);
    write(tree.path(), "src/a", "b\n");
    assert_ne!(of("src/a").await, one);
    let source = Source::open(tree.path(), &[]).await.unwrap();
    assert!(source.checksums(vec!["../x".into()]).await.is_err());
}

#[tokio::test]
async fn g7_what_is_no_file_is_not_read_for_a_checksum() {
    let tree = tempfile::tempdir().unwrap();
    write(tree.path(), "a", "a\n");
    let of = async || {
        let source = Source::open(tree.path(), &[]).await.unwrap();
        source.checksums(vec!["**".into()]).await.unwrap()["**"].clone()
    };
    let before = of().await;
    // Nobody ever writes to it.
    nix::unistd::mkfifo(&tree.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.path().join("socket")).unwrap();
    assert_eq!(of().await, before);
    std::os::unix::fs::symlink("/dev/zero", tree.path().join("link")).unwrap();
    assert_ne!(of().await, before, "a link is what it names, and is not followed");
}

#[tokio::test]
async fn what_buildit_keeps_is_no_part_of_a_source_wherever_it_lies() {
    let keep = |folder: &Path| {
        write(folder, "old/journal/runs/1", "ours\n");
        write(folder, "old/journal/FORMAT", "buildit-journal 1\n");
        write(folder, "old/FORMAT", "of somebody else\n");
        write(folder, "state/jobs/bi-1/workspace/x", "ours\n");
        buildit::kept::mark(&folder.join("state"), "state", 1).unwrap();
    };
    let plain = tempfile::tempdir().unwrap();
    keep(plain.path());
    write(plain.path(), "a", "a\n");
    assert_eq!(files(&Source::open(plain.path(), &[]).await.unwrap()), ["a", "old/FORMAT"]);

    let tree = repository();
    keep(tree.path());
    keep(&tree.path().join(".git"));
    // Also where the mark alone is ignored, and where somebody committed it all.
    write(tree.path(), ".gitignore", "ignored\n/state/FORMAT\n");
    let expected = [".gitignore", "old/FORMAT", "src/a"];
    let source = Source::open(tree.path(), &[]).await.unwrap();
    assert_eq!(files(&source), expected);
    let stage = laid_out(&source, &CheckoutSpec::default()).await;
    assert!(stage.path().join(".git/old/FORMAT").exists() && stage.path().join("old/FORMAT").exists());
    for ours in ["old/journal", "state", ".git/old/journal", ".git/state"] {
        assert!(!stage.path().join(ours).exists(), "{ours}");
    }
    git(tree.path(), &["add", "--force", "."]);
    git(tree.path(), &["commit", "-qm", "Too much"]);
    assert_eq!(files(&Source::open(tree.path(), &[]).await.unwrap()), expected);
}

#[tokio::test]
async fn refusals_of_git_are_told() {
    let tree = repository();
    std::fs::write(tree.path().join(".git/HEAD"), "nonsense\n").unwrap();
    let error = Source::open(tree.path(), &[]).await.unwrap_err();
    assert!(error.to_string().contains("not a git repository"), "{error}");
    assert!(Source::open(PathBuf::from("/no/such/folder"), &[]).await.is_err());
}
