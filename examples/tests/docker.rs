//! Stages in containers, from the command line.

mod common;

use std::process::Command;

use common::Project;

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
