//! A run survives the death of the process that drives it.

mod common;

use std::fs;
use std::process::Stdio;

use common::{Done, Project};

#[test]
fn g2_a_run_goes_on_after_kill_9() {
    let project = Project::new(
        r##"
        pipeline "p"
        stage "before" { run #"echo before >> "$EFFECTS""# }
        stage "during" {
            needs "before"
            run #"echo one; echo during >> "$EFFECTS"; echo go > "$STARTED""#
            run #"read -r answer < "$GO"; echo "got $answer""#
            run #"echo "value=$answer" >> "$BUILDIT_OUTPUT""#
        }
        stage "after" { needs "during"; run #"echo "after ${stages.during.outputs.value}" >> "$EFFECTS""# }
        "##,
    );
    let (begun, go) = (project.pipe("started"), project.pipe("go"));
    let effects = project.state().join("effects");
    let pairs = [
        format!("STARTED={}", begun.display()),
        format!("GO={}", go.display()),
        format!("EFFECTS={}", effects.display()),
    ];
    let journal = project.state().join("journal");
    let mut args = vec!["run", "--output", "json", "--journal", journal.to_str().unwrap()];
    pairs.iter().for_each(|pair| args.extend(["--env", pair]));

    let mut child = project.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(fs::read_to_string(&begun).unwrap(), "go\n");
    child.kill().unwrap();
    child.wait().unwrap();

    // The pipeline is kept with the run: that the file changes meanwhile changes nothing.
    project.write(".buildit.kdl", "pipeline \"another\"\nstage \"x\" { run \"false\" }");
    let child = project.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Opening it waits for the job, which has been there all the time.
    fs::write(&go, "42\n").unwrap();
    let done = Done::of(child.wait_with_output().unwrap()).exits(0);
    assert_eq!(fs::read_to_string(&effects).unwrap(), "before\nduring\nafter 42\n", "each happened once (G1)");
    assert_eq!(done.log("during"), ["one", "got 42"], "the log is whole (G3)");
    let seqs: Vec<_> = done.objects().iter().map(|object| object["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    assert_eq!(done.of_type("run_started")[0]["pipeline"], "p");

    // Nothing is open any more, so that the next one is a run of its own.
    let next = project.json(&["--journal", journal.to_str().unwrap()]).exits(1);
    assert_eq!(next.of_type("run_started")[0]["pipeline"], "another");
}

#[test]
fn a_journal_in_the_source_is_no_part_of_it() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"ls -A\" }");
    let done = project.json(&["--journal", "journal"]).exits(0);
    assert_eq!(done.log("a"), [".buildit.kdl", ".git"]);
    assert_eq!(project.json(&["--journal", "journal"]).exits(0).log("a"), [".buildit.kdl", ".git"]);
}

#[test]
fn runs_of_one_journal_are_numbered() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"true\" }");
    let number = || project.json(&["--journal", "journal"]).exits(0).of_type("run_started")[0]["number"].clone();
    assert_eq!((number(), number()), (1.into(), 2.into()));
}
