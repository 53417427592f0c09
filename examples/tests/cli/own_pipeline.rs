//! The repository's own pipeline, `.buildit.kdl`, run with a `cargo` that only notes what it was asked: its stages, their
//! order and their cache really happen, and nothing is built.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::common::{Done, Project};

/// Notes its arguments, makes what a build would leave, and fails at the command that `FAILS` names.
const CARGO: &str = r#"#!/bin/sh
printf '%s|%s|%s\n' "$*" "$RUSTDOCFLAGS" "$CARGO_TERM_COLOR" >> "$CALLS"
[ -e target/built ] && echo "target was restored"
mkdir -p target
echo built > target/built
case "$1" in "$FAILS") exit 101 ;; esac
"#;

struct Own(Project);

impl Own {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
        let project = Project::new(&read(".buildit.kdl"));
        project.write("Cargo.lock", &read("Cargo.lock"));
        project.write(".gitignore", "/target\n/bin\n/journal\n");
        project.write("bin/cargo", CARGO);
        let cargo = project.path().join("bin/cargo");
        std::fs::set_permissions(cargo, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(project)
    }

    fn run(&self, fails: &str) -> (Done, Vec<String>) {
        let calls = self.0.state().join("calls");
        let _ = std::fs::remove_file(&calls);
        let given = [format!("CALLS={}", calls.display()), format!("FAILS={fails}")];
        let args = ["run", "--output", "json", "--journal", "journal", "--env", &given[0], "--env", &given[1]];
        let path = format!("{}:{}", self.0.path().join("bin").display(), std::env::var("PATH").unwrap());
        let done = Done::of(self.0.command(&args).env("PATH", path).output().unwrap());
        let calls = std::fs::read_to_string(calls).unwrap_or_default();
        (done, calls.lines().map(str::to_owned).collect())
    }
}

#[test]
fn it_formats_lints_documents_and_tests() {
    let own = Own::new();
    own.0.buildit(&["validate"]).exits(0);
    let (done, mut calls) = own.run("");
    let done = done.exits(0);
    let mut ended = done.ended();
    assert_eq!(ended[..2], [("fmt".into(), "succeeded".into()), ("clippy".into(), "succeeded".into())]);
    ended.sort();
    let all = ["clippy", "doc", "fmt", "test"].map(|stage| (stage.to_owned(), "succeeded".to_owned()));
    assert_eq!(ended, all);
    assert_eq!(calls[0], "fmt --all --check||always");
    assert_eq!(calls[1], "clippy --workspace --all-targets --all-features -- -D warnings||always");
    calls[2..].sort();
    assert_eq!(calls[2..], ["doc --workspace --no-deps --all-features|-D warnings|always", "test --workspace||always"]);
    // What `clippy` left in its cache, the two behind it find, and so does the next run.
    assert_eq!(done.log("clippy"), [""; 0]);
    for stage in ["doc", "test"] {
        assert_eq!(done.log(stage), ["target was restored"], "{stage}");
    }
    assert_eq!(own.run("").0.exits(0).log("clippy"), ["target was restored"]);
    assert!(!own.0.path().join("target").exists(), "each stage has a folder of its own");
}

#[test]
fn what_fails_stops_what_needs_it() {
    let (done, calls) = Own::new().run("clippy");
    let done = done.exits(1);
    assert_eq!((done.status("fmt"), done.status("clippy")), ("succeeded".into(), "failed".into()));
    assert_eq!((done.status("doc"), done.status("test")), ("skipped".into(), "skipped".into()));
    assert_eq!(calls.len(), 2);
}
