//! Runs that work in the source folder itself, and were broken off.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use crate::common::{Done, Project};

const PIPELINE: &str = r##"
    pipeline "p"
    stage "before" { run "echo before > made.txt" }
    stage "during" {
        needs "before"
        run #"echo once >> effects.txt; echo go > "$STARTED"; read -r answer < "$GO"; cat made.txt edited.txt"#
    }
    stage "after" { needs "during"; run "cat made.txt effects.txt" }
"##;

/// A run in place that was killed while its second stage waits for a word in the pipe.
fn killed(more: &[&str]) -> (Project, PathBuf) {
    let project = Project::new(PIPELINE);
    let (started, go) = (project.pipe("started"), project.pipe("go"));
    let given = [("STARTED", &started), ("GO", &go)].map(|(name, path)| format!("{name}={}", path.display()));
    let args = [&["run", "--in-place", "--env", &given[0], "--env", &given[1]], more].concat();
    let mut run = project.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(fs::read_to_string(started).unwrap(), "go\n");
    run.kill().unwrap();
    run.wait().unwrap();
    (project, go)
}

/// What the command does that goes on with the run, once that gets its word.
fn goes_on(project: &Project, args: &[&str], go: &PathBuf) -> Done {
    let mut command = project.command(args);
    // Where it is called from does not matter.
    let child = command.current_dir(project.state()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    fs::write(go, "on\n").unwrap();
    let done = Done::of(child.wait_with_output().unwrap()).exits(0);
    assert_eq!(done.log("during"), ["before", "edited"]);
    assert_eq!(done.log("after"), ["before", "once"], "each happened once (G1), in the same folder");
    let told = format!("goes on in place, in {} as it is now", project.path().canonicalize().unwrap().display());
    assert!(done.stderr.contains(&told), "{}", done.stderr);
    done
}

#[test]
fn g2_a_run_in_place_goes_on_in_its_folder_as_it_is() {
    let (project, go) = killed(&[]);
    project.write("edited.txt", "edited\n");
    goes_on(&project, &["resume", "--output", "json"], &go);

    let refused = project.buildit(&["rerun", "@1"]).exits(2).stderr;
    let folder = project.path().canonicalize().unwrap().display().to_string();
    assert!(refused.contains(&folder) && refused.contains("what is there now"), "{refused}");
    assert!(project.buildit(&["rerun", "@1", "--from-failed"]).exits(2).stderr.contains("in place"));
}

#[test]
fn a_run_in_place_does_not_go_on_in_another_folder() {
    let (project, go) = killed(&[]);
    let moved = project.state().join("moved");
    fs::rename(project.path(), &moved).unwrap();
    let resume = |project: &Project| {
        let mut command = project.command(&["resume", "--output", "json"]);
        Done::of(command.current_dir(project.state()).output().unwrap()).exits(0).stderr
    };
    let gone = resume(&project);
    assert!(gone.contains("run #1 of `p` worked in place") && gone.contains("is gone; left open"), "{gone}");
    fs::create_dir(project.path()).unwrap();
    let other = resume(&project);
    assert!(other.contains("where another folder is by now; left open"), "{other}");
    project.write("quick.kdl", r#"stage "quick" { run "true" }"#);
    let quick = project.buildit(&["run", "quick.kdl", "--source", ".", "--output", "human"]).exits(0).stderr;
    assert!(!quick.contains("broken off"), "nothing can go on with it: {quick}");

    fs::remove_dir_all(project.path()).unwrap();
    fs::rename(&moved, project.path()).unwrap();
    project.write("edited.txt", "edited\n");
    goes_on(&project, &["resume", "--output", "json"], &go);
}

#[test]
fn a_run_in_place_of_a_journal_goes_on_there_whatever_is_said_now() {
    let journal = tempfile::tempdir().unwrap();
    let journal = journal.path().to_str().unwrap().to_owned();
    let (project, go) = killed(&["--journal", &journal]);
    project.write("edited.txt", "edited\n");
    let file = project.path().join(".buildit.kdl").display().to_string();
    let source = project.path().display().to_string();
    let args = ["run", &file, "--source", &source, "--journal", &journal, "--output", "json"];
    let done = goes_on(&project, &args, &go);
    assert!(done.stderr.contains("resuming run #1 of `p` as it was started"), "{}", done.stderr);
}
