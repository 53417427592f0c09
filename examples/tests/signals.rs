//! Ctrl-C, twice, and SIGTERM.
#![expect(clippy::unwrap_used, reason = "what fails in a test fails it")]

mod common;

use std::fs;
use std::process::{Child, Stdio};

use common::{Done, Project};
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
