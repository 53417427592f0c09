//! Cacheable stages on the command line, and what `explain` says of them.

use std::fs;

use crate::common::{Done, Project};

const SHOP: &str = r##"pipeline "shop"
stage "build" {
    cacheable #true
    inputs "src/**"
    run "cat src/a; echo version=7 >> $BUILDIT_OUTPUT; cp src/a app.txt"
    artifacts "app.txt"
}
stage "test" { needs "build"; run "cat app.txt; echo ${stages.build.outputs.version}" }
stage "ship" {
    needs "test"
    when branch="main"
    run "true"
}
"##;

#[test]
fn an_unchanged_stage_is_taken_with_its_log_and_artifact_and_explained() {
    let project = Project::new(SHOP);
    fs::create_dir_all(project.path().join("src")).unwrap();
    fs::write(project.path().join("src/a"), "one\n").unwrap();
    let first = project.in_store(&["run", "--branch", "dev", "--output", "json"]).exits(0);
    fs::write(project.path().join("other"), "new\n").unwrap();
    let second = project.in_store(&["run", "--branch", "dev", "--output", "json"]).exits(0);
    let of_type = |done: &Done, kind: &str| -> Vec<serde_json::Value> {
        done.objects().into_iter().filter(|object| object["type"] == kind && object["stage"] == "build").collect()
    };
    assert_eq!(of_type(&first, "stage_finished")[0]["cached"], false);
    let finished = &of_type(&second, "stage_finished")[0];
    assert_eq!((&finished["cached"], &finished["status"]), (&true.into(), &"succeeded".into()));
    assert!(of_type(&second, "attempt_started").is_empty());
    let texts = |done: &Done| -> Vec<serde_json::Value> {
        of_type(done, "log").iter().map(|line| line["text"].clone()).collect()
    };
    assert_eq!(texts(&second), texts(&first));
    assert_eq!(of_type(&second, "log")[0]["attempt"], 1, "attempts are counted from 1");

    assert_eq!(project.in_store(&["logs", "@1", "build"]).exits(0).lines()[1..], ["one"]);
    let test = project.in_store(&["logs", "@1", "test"]).exits(0);
    assert_eq!(test.lines()[1..], ["one", "7"]);
    let out = project.state().join("out");
    project.in_store(&["artifacts", "@1", "app.txt", "--out", out.to_str().unwrap()]).exits(0);
    assert_eq!(fs::read_to_string(out.join("app.txt")).unwrap(), "one\n");

    fs::write(project.path().join("src/a"), "two\n").unwrap();
    project.in_store(&["run", "--branch", "dev"]).exits(0);
    let explained = project.in_store(&["explain", "@1"]).exits(0);
    let text = explained.stdout.replace(project.path().to_str().unwrap(), "");
    for said in [
        "shop #3 succeeded",
        "ran: file `src/a` changed",
        "the tools of the host are no part of what it is made of",
        "ran: what it needs is done: `build`",
        "did not run: its condition is false: branch=\"main\"",
        "at .buildit.kdl:11:17",
    ] {
        assert!(text.contains(said), "{said} in\n{text}");
    }
    let hit = project.in_store(&["explain", "@2", "build", "--output", "json"]).exits(0);
    let hit = &hit.objects()[0];
    let run = &first.objects()[0]["run"];
    assert_eq!((&hit["why"], &hit["from"], &hit["attempt"]), (&"hit".into(), &"build".into(), &1.into()));
    assert_eq!(&hit["from_run"], run);
    let by_number = "taken from `build` of run #1, attempt 1";
    assert!(hit["message"].as_str().unwrap().starts_with(by_number), "{hit}");
    let text = project.in_store(&["explain", "@2", "build"]).exits(0).stdout;
    assert!(text.contains(by_number) && !text.contains(run.as_str().unwrap()), "{text}");
    project.in_store(&["explain", "@2", "none"]).exits(2);
}

#[test]
fn in_place_nothing_is_taken() {
    let project = Project::new(r#"stage "build" { cacheable #true; run "echo hello >made.txt" }"#);
    project.in_store(&["run"]).exits(0);
    let again = project.in_store(&["run", "--in-place", "--output", "json"]).exits(0);
    let finished = again.objects().into_iter().find(|object| object["type"] == "stage_finished").unwrap();
    assert_eq!(finished["cached"], false);
    assert!(project.path().join("made.txt").exists());
}
