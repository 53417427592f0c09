//! Ctrl-C, twice, and SIGTERM.

use std::fs;
use std::process::{Child, Stdio};

use crate::common::{Done, Project};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A run whose only stage says that it started and then waits to be stopped.
fn started(stage: &str) -> (Project, Child) {
    let project = Project::new(&format!("pipeline \"p\"\nstage \"a\" {{ run #\"{stage}\"# }}"));
    let pipe = project.pipe("started");
    let pair = format!("STARTED={}", pipe.display());
    let mut command = project.command(&["run", "--output", "json", "--env", &pair]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Opening it waits for the stage to do the same, and reading for it to close.
    assert_eq!(fs::read_to_string(&pipe).unwrap(), "go\n");
    (project, child)
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

const POLITE: &str = "trap 'echo bye; exit 0' TERM; echo go > $STARTED; sleep 1000 & wait";

#[test]
fn one_ctrl_c_ends_a_run_in_good_order() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (_project, child) = started(POLITE);
        send(&child, signal);
        let done = Done::of(child.wait_with_output().unwrap()).exits(130);
        assert_eq!(done.log("a"), ["bye"], "the log is kept to its end");
        assert_eq!(done.status("a"), "cancelled");
        assert_eq!(done.of_type("run_finished")[0]["status"], "cancelled");
    }
}

#[test]
fn a_second_ctrl_c_kills() {
    let stubborn = "trap '' TERM; echo go > $STARTED; while :; do sleep 1000; done";
    let (project, mut child) = started(stubborn);
    send(&child, Signal::SIGINT);
    // It is known to have been seen once it is in the record: two signals at once may become one.
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("\"cancel_requested\"") {
        text.clear();
        assert_ne!(std::io::BufRead::read_line(&mut out, &mut text).unwrap(), 0, "the run ended by itself");
    }
    send(&child, Signal::SIGINT);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut out, &mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.contains("\"run_finished\""), "{rest}");
    assert!(!project.state().join("buildit/jobs").read_dir().is_ok_and(|mut jobs| jobs.next().is_some()));
}

#[test]
fn a_signal_is_heeded_before_anything_starts() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"true\" }");
    // Reading it waits for somebody who writes to it, and nobody does.
    let pipe = project.pipe("variables");
    for (signal, journal) in [(Signal::SIGINT, None), (Signal::SIGTERM, Some("journal"))] {
        let mut args = vec!["run", "--output", "json", "--env-file", pipe.to_str().unwrap()];
        args.extend(journal.iter().flat_map(|journal| ["--journal", journal]));
        let child = project.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Opening it waits for the command to do the same.
        let held = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
        send(&child, signal);
        let done = Done::of(child.wait_with_output().unwrap()).exits(130);
        drop(held);
        assert!(done.of_type("run_started").is_empty());
        assert_eq!(project.left(), Vec::<std::path::PathBuf>::new());
    }
    // Nothing is open in the journal, and nobody holds it.
    assert_eq!(project.json(&["--journal", "journal"]).exits(0).of_type("run_started")[0]["number"], 1);
}

#[test]
fn a_signal_ends_the_programs_that_prepare() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"true\" }");
    let pipe = project.pipe("asked");
    // A `git` that takes for ever; as long as one of them lives, it holds the pipe.
    let git = project.state().join("bin/git");
    fs::create_dir(git.parent().unwrap()).unwrap();
    fs::write(&git, format!("#!/bin/sh\nexec > '{}'\necho asked\nexec sleep 100\n", pipe.display())).unwrap();
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", git.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = project.command(&["run"]);
    let child = command.env("PATH", path).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = std::time::Instant::now();
    let mut asked = std::io::BufReader::new(fs::File::open(&pipe).unwrap());
    std::io::BufRead::read_line(&mut asked, &mut String::new()).unwrap();
    send(&child, Signal::SIGINT);
    Done::of(child.wait_with_output().unwrap()).exits(130);
    std::io::Read::read_to_string(&mut asked, &mut String::new()).unwrap();
    assert!(begun.elapsed().as_secs() < 90, "they ended by themselves");
    assert_eq!(project.left(), Vec::<std::path::PathBuf>::new());
}
