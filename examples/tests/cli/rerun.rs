//! Kept runs that run again.

use std::fs;

use crate::common::Project;

const SHOP: &str = r##"
    pipeline "shop"
    param "region" default="eu"
    stage "build" {
        run #"echo building >> "$EFFECTS"; echo app > app.txt; echo "version=1.2" >> "$BUILDIT_OUTPUT""#
        artifacts "app.txt"
        approval
    }
    stage "test" { needs "build"; run #"test -e "$FIXED"; cat app.txt"# }
    stage "ship" {
        needs "test"
        secrets "TOKEN"
        run #"echo "ship ${stages.build.outputs.version} to ${params.region}"; test "$TOKEN" = s3cr3t-token"#
    }
    stage "docs" { run "echo docs" }
"##;

/// A project whose first run has failed in `test`.
fn failed() -> Project {
    let project = Project::new(SHOP);
    let mut args = vec!["--secret", "TOKEN", "--approve", "build", "--param", "region=us"];
    let effects = format!("EFFECTS={}", project.state().join("effects").display());
    let fixed = format!("FIXED={}", project.state().join("fixed").display());
    args.extend(["--env", &effects, "--env", &fixed]);
    let all: Vec<&str> = ["run", "--output", "json"].into_iter().chain(args).collect();
    let run = crate::common::Done::of(project.command(&all).env("TOKEN", "s3cr3t-token").output().unwrap()).exits(1);
    assert_eq!(run.of_type("stage_finished").len(), 4);
    project
}

fn rerun(project: &Project, args: &[&str]) -> crate::common::Done {
    let all: Vec<&str> = ["rerun", "--output", "json"].iter().chain(args).copied().collect();
    crate::common::Done::of(project.command(&all).env("TOKEN", "s3cr3t-token").output().unwrap())
}

#[test]
fn from_failed_runs_what_failed_and_what_follows() {
    let project = failed();
    // What the file and the source say now has no part in it.
    project.write(".buildit.kdl", "not a pipeline");
    fs::write(project.state().join("fixed"), "").unwrap();
    let done = rerun(&project, &["@1", "--from-failed"]).exits(0);
    let started: Vec<_> = done.of_type("attempt_started").iter().map(|event| event["stage"].clone()).collect();
    assert_eq!(started, ["test", "ship"]);
    let finished = done.of_type("stage_finished");
    let cached: Vec<_> = finished.iter().filter(|event| event["cached"] == true).map(|event| &event["stage"]).collect();
    assert_eq!(cached, ["build", "docs"]);
    assert_eq!(done.log("test"), ["app"], "the artifact of the earlier run");
    assert_eq!(done.log("ship"), ["ship 1.2 to us"]);
    assert_eq!(done.of_type("run_started")[0]["number"], 2);
    assert_eq!(fs::read_to_string(project.state().join("effects")).unwrap(), "building\n");

    let logs = project.buildit(&["logs", "@1", "docs"]).exits(0);
    assert_eq!(logs.stdout, "+ echo docs\ndocs\n", "what was carried has its log");
    let out = project.state().join("out");
    project.buildit(&["artifacts", "@1", "app.txt", "--out", out.to_str().unwrap()]).exits(0);
    assert_eq!(fs::read_to_string(out.join("app.txt")).unwrap(), "app\n");
    let nothing = rerun(&project, &["@1", "--from-failed"]).exits(2);
    assert!(nothing.stderr.contains("nothing failed"), "{}", nothing.stderr);
}

#[test]
fn all_of_it_runs_again_with_what_it_was_given() {
    let project = failed();
    fs::write(project.state().join("fixed"), "").unwrap();
    // It asks again, and nobody is there.
    rerun(&project, &["@1"]).exits(2);
    let done = rerun(&project, &["@1", "--approve", "build"]).exits(0);
    assert_eq!(done.log("ship"), ["ship 1.2 to us"]);
    assert_eq!(fs::read_to_string(project.state().join("effects")).unwrap(), "building\nbuilding\n");
    // A secret that is nowhere to be found refuses it, as it does a run.
    let all = ["rerun", "@1", "--approve", "build", "--output", "json"];
    let refused = project.buildit(&all).exits(2);
    assert!(refused.stdout.contains("missing-secret"), "{}", refused.stdout);
    assert_eq!(project.buildit(&["runs", "--output", "json"]).exits(0).objects().len(), 2);
}
