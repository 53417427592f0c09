//! Runs in a store on a PostgreSQL server, whose URL for an administrator is in `BUILDIT_TEST_POSTGRES`.
#![cfg(feature = "postgres")]

use std::process::Command;

use crate::common::{Done, Project};

/// A database that is dropped with it.
struct Database {
    server: String,
    name: String,
}

impl Database {
    fn new() -> Self {
        let server = std::env::var("BUILDIT_TEST_POSTGRES").expect("BUILDIT_TEST_POSTGRES has the URL of a server");
        let database = Self { server, name: format!("buildit_cli_{}", std::process::id()) };
        database.execute(&format!("CREATE DATABASE {}", database.name));
        database
    }

    fn execute(&self, statement: &str) {
        let done = Command::new("psql").args([&self.server, "-qc", statement]).output().expect("psql is there");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').expect("a URL with a database");
        format!("{server}/{}", self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

#[test]
#[ignore = "needs postgres"]
fn runs_are_kept_on_a_server() {
    let database = Database::new();
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"echo hello >x\"; run \"cat x\"; artifacts \"x\" }");
    let blobs = format!("file://{}", project.state().join("blobs").display());
    let buildit = |args: &[&str]| {
        let mut command = project.command(args);
        Done::of(command.env("BUILDIT_STORE", database.url()).env("BUILDIT_BLOBS", &blobs).output().unwrap())
    };
    buildit(&["run"]).exits(0);
    buildit(&["rerun", "@1"]).exits(0);
    assert_eq!(buildit(&["runs", "--output", "json"]).exits(0).objects().len(), 2);
    assert!(buildit(&["logs", "@1", "a"]).exits(0).stdout.ends_with("hello\n"));
    let out = project.state().join("out");
    buildit(&["artifacts", "@2", "--out", out.to_str().unwrap()]).exits(0);
    assert_eq!(std::fs::read_to_string(out.join("x")).unwrap(), "hello\n");
    assert!(buildit(&["gc", "--keep", "1", "--grace", "0s"]).exits(0).stdout.starts_with("removed 1 runs"));
    // What the environment says counts for nothing beside a journal.
    buildit(&["run", "--journal", "journal"]).exits(0);
    assert_eq!(buildit(&["runs", "--output", "json"]).exits(0).objects().len(), 1);

    let nowhere = ["runs", "--store", "postgres://ada:s3cr3t-word@127.0.0.1:1/none"];
    let refused = Done::of(project.command(&nowhere).output().unwrap()).exits(3);
    assert!(!refused.stderr.contains("s3cr3t-word"), "{}", refused.stderr);
}
