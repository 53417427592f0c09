//! Copies of repositories that lie in a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use buildit::artifact::BlobStore;
use buildit::memory::MemoryStore;
use buildit::pipeline::CheckoutSpec;
use secrecy::SecretString;
use tempfile::TempDir;

use super::{
    Comparison, Credential, Described, Head, Mirror, Remote, RemoteAddress, RemoteError, Revision, ThisMachine, Trust,
    Wanted,
};
use crate::workspace::{Limits, load_archive, unpack};

const GENEROUS: u64 = 1 << 30;

fn git(folder: &Path, arguments: &[&str]) -> String {
    let who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false"];
    let files = ["-c", "protocol.file.allow=always"];
    let command = std::process::Command::new("git").args(who).args(files).args(arguments).current_dir(folder).output();
    let done = command.unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

fn commit(folder: &Path, text: &str) -> String {
    std::fs::write(folder.join("a.txt"), text).unwrap();
    git(folder, &["add", "."]);
    git(folder, &["commit", "-q", "-m", text]);
    git(folder, &["rev-parse", "HEAD"])
}

struct World {
    at: TempDir,
    there: PathBuf,
    mirror: Mirror,
    remote: Remote,
}

impl World {
    fn new() -> Self {
        let at = tempfile::tempdir().unwrap();
        let there = at.path().join("there");
        std::fs::create_dir(&there).unwrap();
        git(&there, &["init", "-q", "-b", "trunk"]);
        commit(&there, "one");
        let mirror = Mirror::new(at.path().join("mirror"), GENEROUS);
        let remote = remote(&there);
        Self { at, there, mirror, remote }
    }
}

fn remote(there: &Path) -> Remote {
    let address = RemoteAddress::parse(there.to_str().unwrap(), ThisMachine::Allowed).unwrap();
    Remote::new(address, Credential::None, ThisMachine::Allowed, Duration::from_secs(60))
}

fn wanted(commit: &str) -> Wanted {
    Wanted {
        commit: commit.to_owned(),
        branch: None,
        tag: None,
        checkout: CheckoutSpec::default(),
        checksums: Vec::new(),
        trust: Trust::Writer,
    }
}

#[tokio::test]
async fn a_later_commit_does_not_change_what_an_earlier_one_holds() {
    let World { at: _at, there, mirror, remote } = World::new();
    mirror.fetch(&remote).await.unwrap();
    let first = mirror.resolve(&Revision::Branch("trunk".into())).await.unwrap();
    let said = mirror.ask(&remote).await.unwrap();
    assert_eq!(said, Head { branch: Some("trunk".into()), commit: Some(first.clone()), host_keys: String::new() });
    assert_eq!(mirror.default_branch().await.unwrap().as_deref(), Some("trunk"));
    let second = commit(&there, "two");
    git(&there, &["tag", "-a", "v1", "-m", "first"]);
    mirror.fetch(&remote).await.unwrap();
    for named in [Revision::Branch("trunk".into()), Revision::Tag("v1".into()), Revision::Commit(second[..9].into())] {
        assert_eq!(mirror.resolve(&named).await.unwrap(), second, "{named:?}");
    }
    assert!(mirror.is_within(&first, "trunk").await.unwrap() && mirror.is_within(&second, "trunk").await.unwrap());
    git(&there, &["checkout", "-q", "-b", "side"]);
    let side = commit(&there, "side");
    mirror.fetch(&remote).await.unwrap();
    assert!(!mirror.is_within(&side, "trunk").await.unwrap());
    git(&there, &["checkout", "-q", "trunk"]);
    git(&there, &["branch", "-q", "-D", "side"]);
    mirror.fetch(&remote).await.unwrap();
    let read = async |commit: &str| mirror.read(commit, "a.txt", 99).await.unwrap().unwrap();
    assert_eq!((read(&first).await, read(&second).await), (b"one".to_vec(), b"two".to_vec()));
    assert_eq!(mirror.read(&second, "a.txt", 2).await.unwrap(), None, "it is larger");
    assert_eq!(mirror.read(&second, "b.txt", 99).await.unwrap(), None, "it is not there");
    let described = mirror.describe(&second).await.unwrap();
    let (message, author) = ("two".to_owned(), "Ann".to_owned());
    let expected = Described { id: second.clone(), message, author, author_email: "ann@example.org".into() };
    assert_eq!(described, expected);
    let changed = mirror.changes(&second, &Comparison::With(first.clone())).await.unwrap();
    assert_eq!(changed, Some(vec!["a.txt".to_owned()]));
    let gone = Comparison::With("1".repeat(40));
    assert_eq!(mirror.changes(&second, &gone).await.unwrap(), None, "its base was overwritten");
    let branches = mirror.branches(9).await.unwrap();
    assert_eq!((branches.len(), &*branches[0].name, &*branches[0].subject), (1, "trunk", "two"));
}

#[tokio::test]
async fn a_branch_that_is_gone_there_is_gone_here() {
    let World { at: _at, there, mirror, remote } = World::new();
    git(&there, &["branch", "side"]);
    mirror.fetch(&remote).await.unwrap();
    let side = Revision::Branch("side".into());
    mirror.resolve(&side).await.unwrap();
    git(&there, &["branch", "-D", "side"]);
    mirror.fetch(&remote).await.unwrap();
    assert!(matches!(mirror.resolve(&side).await, Err(RemoteError::NoRevision(_))));
}

#[tokio::test]
async fn a_change_is_compared_with_where_it_left_its_target() {
    let World { at: _at, there, mirror, remote } = World::new();
    git(&there, &["checkout", "-q", "-b", "topic"]);
    std::fs::write(there.join("it's \u{fc}.txt"), "new").unwrap();
    let topic = commit(&there, "topic");
    git(&there, &["checkout", "-q", "trunk"]);
    std::fs::write(there.join("other"), "").unwrap();
    let trunk = commit(&there, "meanwhile");
    mirror.fetch(&remote).await.unwrap();
    let left = git(&there, &["rev-parse", "trunk~1"]);
    assert_eq!(mirror.merge_base(&trunk, &topic).await.unwrap().as_deref(), Some(left.trim()));
    assert_eq!(mirror.merge_base(&trunk, &"1".repeat(40)).await.unwrap(), None, "it is not there");
    let changed = mirror.changes(&topic, &Comparison::SinceLeaving(trunk)).await.unwrap();
    assert_eq!(changed, Some(vec!["a.txt".to_owned(), "it's \u{fc}.txt".to_owned()]));
}

#[tokio::test]
async fn several_who_fetch_at_once_share_a_fetch() {
    let World { at: _at, there, mirror, remote } = World::new();
    mirror.fetch(&remote).await.unwrap();
    let last = commit(&there, "two");
    let fetches = futures_util::future::join_all((0..8).map(|_| mirror.fetch(&remote))).await;
    fetches.into_iter().for_each(|fetched| fetched.unwrap());
    assert_eq!(mirror.resolve(&Revision::Branch("trunk".into())).await.unwrap(), last);
    let begun = mirror.begun.load(std::sync::atomic::Ordering::SeqCst);
    assert!(begun <= 3, "8 who asked at once fetched {} times", begun - 1);
}

#[tokio::test]
async fn a_copy_that_is_broken_is_made_anew() {
    let World { at: _at, there, mirror, remote } = World::new();
    let first = commit(&there, "two");
    mirror.fetch(&remote).await.unwrap();
    std::fs::write(mirror.repository().join("HEAD"), "rubbish").unwrap();
    mirror.fetch(&remote).await.unwrap();
    assert_eq!(mirror.resolve(&Revision::Branch("trunk".into())).await.unwrap(), first);
    std::fs::remove_dir_all(mirror.repository().join("objects")).unwrap();
    std::fs::create_dir_all(mirror.repository().join("objects")).unwrap();
    let second = commit(&there, "three");
    mirror.fetch(&remote).await.unwrap();
    assert_eq!(mirror.read(&second, "a.txt", 99).await.unwrap().unwrap(), b"three");
    std::fs::remove_dir_all(mirror.repository().join("refs")).unwrap();
    mirror.fetch(&remote).await.unwrap();
    assert_eq!(mirror.resolve(&Revision::Branch("trunk".into())).await.unwrap(), second);
}

#[tokio::test]
async fn what_a_killed_program_has_left_is_removed() {
    let World { at: _at, there: _there, mirror, remote } = World::new();
    let left = mirror.folder().join("work/checkout-1");
    std::fs::create_dir_all(&left).unwrap();
    mirror.fetch(&remote).await.unwrap();
    assert!(!left.exists());
}

#[tokio::test]
async fn a_copy_does_not_outgrow_its_limit() {
    let World { at, there, mirror: _, remote } = World::new();
    std::fs::write(there.join("large"), vec![7; 100]).unwrap();
    commit(&there, "two");
    let mirror = Mirror::new(at.path().join("small"), 99);
    assert!(matches!(mirror.fetch(&remote).await, Err(RemoteError::Large(99))));
}

#[tokio::test]
async fn a_name_with_signs_of_its_own_is_no_branch() {
    let World { at: _at, there: _there, mirror, remote } = World::new();
    mirror.fetch(&remote).await.unwrap();
    for name in ["trunk^{tree}", "trunk~0", "../tags/x", "--help", "trunk:a.txt", "", "none", "a\nb", "$(id)"] {
        let refused = mirror.resolve(&Revision::Branch(name.into())).await;
        assert!(matches!(refused, Err(RemoteError::NoRevision(_))), "{name:?}: {refused:?}");
    }
    for id in ["HEAD", "trunk", "abc", "--all-the-digits", "1111111"] {
        let refused = mirror.resolve(&Revision::Commit(id.into())).await;
        assert!(matches!(refused, Err(RemoteError::NoRevision(_))), "{id:?}: {refused:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_and_not_waited_for() {
    let World { at, there: _there, mirror, remote: _ } = World::new();
    let nothing = remote(&at.path().join("nothing"));
    let said = mirror.ask(&nothing).await.unwrap_err();
    assert!(matches!(said, RemoteError::Git(_)), "{said}");
    let address = RemoteAddress::parse("http://127.0.0.1:1/x", ThisMachine::Allowed).unwrap();
    let closed = |here| {
        Remote::new(address.clone(), Credential::Token(SecretString::from("hunter2")), here, Duration::from_secs(60))
    };
    let said = mirror.ask(&closed(ThisMachine::Allowed)).await.unwrap_err().to_string();
    assert!(said.contains("127.0.0.1") && !said.contains("hunter2"), "{said}");
    let said = mirror.fetch(&closed(ThisMachine::Refused)).await;
    assert!(matches!(said, Err(RemoteError::Host(_))), "{said:?}");
}

/// The files of a snapshot in a folder.
async fn laid_out(blobs: &Arc<dyn BlobStore>, source: &buildit::id::Digest) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    let folder = to.path().to_owned();
    load_archive(blobs, source, move |archive| unpack(archive, &folder, Limits::strict().with_links_anywhere()))
        .await
        .unwrap();
    to
}

#[tokio::test]
async fn a_snapshot_is_a_commit_with_its_history() {
    let World { at: _at, there, mirror, remote } = World::new();
    let first = commit(&there, "two");
    commit(&there, "three");
    mirror.fetch(&remote).await.unwrap();
    let blobs: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
    let branch = Wanted { branch: Some("trunk".into()), checksums: vec!["*.txt".into()], ..wanted(&first) };
    let made = mirror.snapshot(&remote, &branch, &blobs).await.unwrap();
    assert_eq!(made.checksums.len(), 1);
    assert_eq!(mirror.snapshot(&remote, &branch, &blobs).await.unwrap(), made, "the same is made twice");
    let again = Wanted { checksums: Vec::new(), ..branch.clone() };
    std::fs::remove_dir_all(mirror.repository()).unwrap();
    let again = mirror.snapshot(&remote, &again, &blobs).await.unwrap();
    assert_eq!(again.source, made.source, "what is known is not checked out again");

    let folder = laid_out(&blobs, &made.source).await;
    assert_eq!(std::fs::read_to_string(folder.path().join("a.txt")).unwrap(), "two");
    let said = |question: &[&str]| git(folder.path(), question);
    assert_eq!(said(&["rev-parse", "HEAD"]), first);
    assert_eq!(said(&["rev-parse", "--abbrev-ref", "HEAD"]), "trunk");
    assert_eq!(said(&["rev-list", "--count", "HEAD"]), "2");
    assert_eq!(said(&["status", "--porcelain"]), "", "nothing has changed");
    assert_eq!(said(&["config", "remote.origin.url"]), there.to_str().unwrap());
}

#[tokio::test]
async fn a_snapshot_has_as_much_history_as_is_asked_for() {
    let World { at: _at, there, mirror, remote } = World::new();
    let last = commit(&there, "two");
    git(&there, &["tag", "v1"]);
    mirror.fetch(&remote).await.unwrap();
    let blobs: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
    let checkout = CheckoutSpec { depth: std::num::NonZeroU32::new(1), ..CheckoutSpec::default() };
    let shallow = Wanted { tag: Some("v1".into()), checkout, ..wanted(&last) };
    let made = mirror.snapshot(&remote, &shallow, &blobs).await.unwrap();
    let folder = laid_out(&blobs, &made.source).await;
    assert_eq!(git(folder.path(), &["rev-list", "--count", "HEAD"]), "1");
    assert_eq!(git(folder.path(), &["describe", "--tags"]), "v1");
}

#[tokio::test]
async fn submodules_come_along_when_they_are_asked_for_and_may_be_reached() {
    let World { at, there, mirror, remote } = World::new();
    let inner = at.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    git(&inner, &["init", "-q", "-b", "trunk"]);
    commit(&inner, "inner");
    git(&there, &["submodule", "--quiet", "add", inner.to_str().unwrap(), "lib"]);
    let last = commit(&there, "with a submodule");
    mirror.fetch(&remote).await.unwrap();
    let blobs: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
    let plain = mirror.snapshot(&remote, &wanted(&last), &blobs).await.unwrap();
    let folder = laid_out(&blobs, &plain.source).await;
    assert!(!folder.path().join("lib/a.txt").exists());
    let checkout = CheckoutSpec { submodules: true, ..CheckoutSpec::default() };
    let full = Wanted { checkout, ..wanted(&last) };
    let full_one = mirror.snapshot(&remote, &full, &blobs).await.unwrap();
    let folder = laid_out(&blobs, &full_one.source).await;
    assert_eq!(std::fs::read_to_string(folder.path().join("lib/a.txt")).unwrap(), "inner");

    for bad in ["ext::sh -c id", "/etc/x", "http://169.254.169.254/latest"] {
        git(&there, &["config", "-f", ".gitmodules", "submodule.lib.url", bad]);
        let last = commit(&there, bad);
        mirror.fetch(&remote).await.unwrap();
        let strict = Remote::new(remote.address().clone(), Credential::None, ThisMachine::Refused, remote.patience());
        let refused = mirror.snapshot(&strict, &Wanted { commit: last, ..full.clone() }, &blobs).await;
        assert!(matches!(refused, Err(RemoteError::Address(_) | RemoteError::Host(_))), "{bad}: {refused:?}");
    }
}

#[tokio::test]
async fn one_more_reference_is_fetched_by_its_name() {
    let World { at: _at, there, mirror, remote } = World::new();
    mirror.fetch(&remote).await.unwrap();
    git(&there, &["checkout", "-q", "--detach"]);
    let head = commit(&there, "of a pull request");
    git(&there, &["update-ref", "refs/pull/7/head", "HEAD"]);
    assert!(mirror.resolve(&Revision::Commit(head.clone())).await.is_err());
    mirror.fetch_one(&remote, "refs/pull/7/head").await.unwrap();
    assert_eq!(mirror.resolve(&Revision::Commit(head.clone())).await.unwrap(), head);
    mirror.fetch(&remote).await.unwrap();
    assert_eq!(mirror.resolve(&Revision::Commit(head.clone())).await.unwrap(), head, "it stays");
    for bad in ["--upload-pack=id", "refs/pull/../x", "a b"] {
        assert!(mirror.fetch_one(&remote, bad).await.is_err(), "{bad}");
    }
}
