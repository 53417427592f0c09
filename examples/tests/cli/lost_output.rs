//! What is printed and does not arrive.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::process::Stdio;

use crate::common::{Done, Project};

const GOOD: &str = "pipeline \"p\"\nstage \"a\" { run \"echo done > $MARK\" }";
const FAILS: &str = "pipeline \"p\"\nstage \"a\" { run \"exit 1\" }";
const WARNS: &str = "pipeline \"p\"\nstage \"a\" { run \"true\" }\nstage \"c\" { run \"true\" }\nstage \"b\" needs=\"a\" needs=\"c\" { run \"true\" }";

/// The command with a standard output that takes nothing.
fn onto_a_full_disk(project: &Project, args: &[&str]) -> Done {
    let full = File::options().write(true).open("/dev/full").unwrap();
    Done::of(project.command(args).stdout(full).stderr(Stdio::piped()).output().unwrap())
}

#[test]
fn lost_output_is_told_once_and_is_no_success() {
    let project = Project::new(GOOD);
    let mark = project.state().join("mark");
    let pair = format!("MARK={}", mark.display());
    project.write("warns.kdl", WARNS);
    let commands: [&[&str]; 9] = [
        &["graph", ".buildit.kdl", "--format", "json"],
        &["run", "--output", "json", "--env", &pair],
        &["run", "--env", &pair],
        &["run", "--output", "human", "--env", &pair],
        &["plan"],
        &["validate"],
        &["validate", "--output", "json", "warns.kdl"],
        &["completions", "bash"],
        &["--help"],
    ];
    for args in commands {
        let done = onto_a_full_disk(&project, args).exits(3);
        assert_eq!(done.stderr.matches("No space left on device").count(), 1, "{args:?}: {}", done.stderr);
        if args[0] == "run" {
            assert_eq!(std::fs::read_to_string(&mark).unwrap(), "done\n", "the run is not harmed");
            std::fs::remove_file(&mark).unwrap();
        }
    }
}

#[test]
fn another_end_keeps_its_code() {
    onto_a_full_disk(&Project::new(FAILS), &["run"]).exits(1);
    onto_a_full_disk(&Project::new(FAILS), &["validate", "--output", "json", "missing.kdl"]).exits(2);
}

#[test]
fn progress_that_is_lost_counts_too() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    Done::of(Project::new(FAILS.replace("exit 1", "true").as_str()).command(&["run"]).stderr(full).output().unwrap())
        .exits(3);
}

#[test]
fn a_reader_who_leaves_changes_nothing() {
    for (pipeline, code) in [(FAILS, 1), (WARNS, 0)] {
        let project = Project::new(pipeline);
        for output in ["plain", "json", "human"] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let mut command = project.command(&["run", "--output", output]);
            let done = Done::of(command.stdout(writer).stderr(Stdio::piped()).output().unwrap()).exits(code);
            assert!(!done.stderr.contains("cannot write"), "{}", done.stderr);
        }
    }
}
