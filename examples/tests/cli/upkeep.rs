//! What a run does by itself for the store that it is kept in.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use crate::common::{Done, Project, files};

const HELLO: &str = r##"
    pipeline "hello"
    stage "greet" { run #"echo hello; if [ -n "$GO" ]; then echo on > "$GO"; read -r x < "$GO"; fi"# }
"##;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How many files the store has beside its database: more when logs were moved out of that.
fn blobs(project: &Project) -> usize {
    files(&project.state().join("buildit/runs.db.blobs")).len()
}

/// Makes the last upkeep one of the day before yesterday.
fn make_due(project: &Project) -> File {
    let mark = File::options().write(true).open(project.state().join("buildit/runs.db.upkeep")).unwrap();
    mark.set_modified(SystemTime::now() - 2 * DAY).unwrap();
    mark
}

#[test]
fn a_day_after_the_last_upkeep_a_run_tidies_its_store() {
    let project = Project::new(HELLO);
    project.buildit(&["run"]).exits(0);
    let none = blobs(&project);
    project.buildit(&["run"]).exits(0);
    assert_eq!(blobs(&project), none, "a new store has a day to go");

    let mark = make_due(&project);
    let off = Done::of(project.command(&["run"]).env("BUILDIT_GC", "off").output().unwrap());
    off.exits(0);
    assert_eq!(blobs(&project), none, "it was turned off");
    mark.lock().unwrap();
    project.buildit(&["run"]).exits(0);
    assert_eq!(blobs(&project), none, "another process does it");
    drop(mark);

    let mut tidied = none;
    // What takes too long is left to the next time, and the machine may be slow.
    for _ in 0..30 {
        if tidied > none {
            break;
        }
        make_due(&project);
        let done = project.buildit(&["run", "--output", "human"]).exits(0);
        assert!(!done.stderr.contains("could not be tidied") && !done.stderr.contains("forgot"), "{}", done.stderr);
        tidied = blobs(&project);
    }
    assert!(tidied > none, "logs were moved");
    project.buildit(&["run"]).exits(0);
    assert_eq!(blobs(&project), tidied, "done within a day");
    let runs = project.buildit(&["runs", "--output", "json"]).exits(0).objects().len();
    assert!(runs >= 6, "no run has gone, and {runs} are there");
    assert_eq!(project.buildit(&["logs", "@2"]).exits(0).stdout.lines().last(), Some("greet | hello"));
}

#[test]
fn a_store_that_another_run_uses_is_left_alone() {
    let project = Project::new(HELLO);
    let pipe = project.pipe("go");
    let go = format!("GO={}", pipe.display());
    let mut other =
        project.command(&["run", "--env", &go]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(fs::read_to_string(&pipe).unwrap(), "on\n");
    project.buildit(&["run"]).exits(0);
    let mark = make_due(&project);
    let age = || mark.metadata().unwrap().modified().unwrap().elapsed().unwrap();
    project.buildit(&["run"]).exits(0);
    assert!(age() > DAY, "it is still to be done");
    fs::write(&pipe, "on\n").unwrap();
    assert!(other.wait().unwrap().success());
    assert!(age() < DAY, "the last to end does it");
}
