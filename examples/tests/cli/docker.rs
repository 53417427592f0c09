//! Stages in containers, from the command line.

use std::process::Command;

use crate::common::Project;

/// Made on the spot by `.ci/services`.
const IMAGE: &str = "busybox:local";

fn project() -> Project {
    Project::new(&format!(
        r##"
        pipeline "p"
        stage "make" {{ image "{IMAGE}" pull="never"; run "echo from a container > made.txt"; artifacts "made.txt" }}
        stage "use" {{ needs "make"; run "cat made.txt" }}
        stage "fail" {{ needs "make"; image "{IMAGE}" pull="never"; run "cat made.txt; exit 3" }}
        "##
    ))
}

#[test]
#[ignore = "needs docker"]
fn containers_and_the_host_share_artifacts() {
    let done = project().json(&[]).exits(1);
    assert_eq!(done.log("use"), ["from a container"]);
    assert_eq!(done.log("fail"), ["from a container"]);
    let executors: Vec<_> = done
        .of_type("attempt_started")
        .iter()
        .map(|start| start["executor"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(executors.iter().filter(|name| *name == "docker").count(), 2, "{executors:?}");
}

#[test]
#[ignore = "needs docker"]
fn a_container_that_is_kept_is_there_and_named() {
    let done = project().buildit(&["run", "--keep", "--stage", "fail"]).exits(1);
    let names: Vec<&str> =
        done.stderr.lines().filter_map(|line| line.split_once(": container ")).map(|(_, name)| name).collect();
    assert_eq!(names.len(), 2, "{}", done.stderr);
    let removed = Command::new("docker").args(["rm", "--force"]).args(&names).output();
    let removed = removed.unwrap_or_else(|error| panic!("{error}"));
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    assert_eq!(String::from_utf8_lossy(&removed.stdout).lines().count(), 2);
}

#[test]
#[ignore = "needs docker"]
fn g8_a_container_that_a_killed_run_left_goes_with_its_run() {
    use std::io::{BufRead, BufReader};
    let project = Project::new(&format!(
        r##"
        pipeline "p"
        stage "waits" {{ image "{IMAGE}" pull="never"; run "echo up; sleep 1000" }}
        "##
    ));
    let mut command = project.command(&["run", "--output", "json", "--stage", "waits"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{error}"));
    let mut lines = BufReader::new(child.stdout.take().unwrap_or_else(|| panic!("no output"))).lines();
    let started = lines.find_map(|line| line.ok().filter(|line| line.contains("\"up\"")));
    let started: serde_json::Value = serde_json::from_str(&started.unwrap_or_default()).unwrap_or_default();
    let run = started["run"].as_str().unwrap_or_default().replace('-', "");
    assert!(child.kill().is_ok() && child.wait().is_ok());
    let there = || {
        let filter = format!("name=bi-{run}");
        let output = Command::new("docker").args(["ps", "--all", "--quiet", "--filter", &filter]).output();
        let output = output.unwrap_or_else(|error| panic!("{error}"));
        String::from_utf8_lossy(&output.stdout).lines().count()
    };
    assert_eq!(there(), 1);
    let mut resume = project.command(&["resume"]);
    let resume = resume.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn();
    let mut resume = resume.unwrap_or_else(|error| panic!("{error}"));
    let mut told = BufReader::new(resume.stderr.take().unwrap_or_else(|| panic!("no output"))).lines();
    let process = nix::unistd::Pid::from_raw(resume.id().cast_signed());
    for word in ["started", "cancelling"] {
        assert!(told.any(|line| line.is_ok_and(|line| line.contains(word))), "no `{word}`");
        assert!(nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGINT).is_ok());
    }
    assert!(told.all(|line| line.is_ok()));
    assert!(resume.wait().is_ok_and(|status| status.code() == Some(130)));
    assert_eq!((there(), project.left()), (0, Vec::new()));
}
