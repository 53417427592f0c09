//! Approvals without a terminal.

use crate::common::Project;

const ASKS: &str = r#"
pipeline "p"
stage "a" { run "true" }
stage "ship" { needs "a"; approval { message "Ship it?" }; run "echo by ${approval.by}" }
"#;

#[test]
fn a_run_that_would_wait_for_ever_is_refused() {
    let project = Project::new(ASKS);
    let done = project.json(&[]).exits(2);
    assert_eq!(done.objects()[0]["code"], "approval-needed");
    assert!(done.of_type("run_started").is_empty());
    let done = project.buildit(&["run"]).exits(2);
    assert!(done.stderr.contains("--approve"), "{}", done.stderr);
}

#[test]
fn approvals_are_given_in_advance() {
    for args in [["--approve", "ship"].as_slice(), &["--approve-all"]] {
        let done = Project::new(ASKS).json(args).exits(0);
        assert_eq!(done.of_type("approval_requested")[0]["message"], "Ship it?");
        let given = &done.of_type("approval_given")[0];
        assert_eq!((given["by"].as_str(), given["approved"].as_bool()), (Some("ann"), Some(true)));
        assert_eq!(done.log("ship"), ["by ann"]);
    }
}

#[test]
fn a_stage_that_will_not_run_needs_no_approval() {
    let project = Project::new(ASKS);
    project.json(&["--stage", "a"]).exits(0);
    let project = Project::new(&ASKS.replace("approval {", "when branch=\"release\"; approval {"));
    project.json(&[]).exits(0);
    project.json(&["--branch", "release"]).exits(2);
}

#[test]
fn a_stage_that_runs_only_after_a_failure_may_ask_too() {
    let project = Project::new(
        r#"
        pipeline "p"
        stage "check" { run "exit 1" }
        stage "roll-back" { needs "check"; when "failure()"; approval; run "echo rolled back" }
        "#,
    );
    let done = project.json(&[]).exits(2);
    assert_eq!(done.objects()[0]["code"], "approval-needed");
    assert_eq!(project.json(&["--approve", "roll-back"]).exits(1).log("roll-back"), ["rolled back"]);
    // It is not asked for.
    project.json(&["--stage", "check"]).exits(1);
}

#[test]
fn fields_are_filled_in() {
    let asks =
        ASKS.replace("message", "field \"note\" required=#true; message").replace("approval.by", "approval.note");
    let project = Project::new(&asks);
    let done = project.json(&["--approve-all"]).exits(2);
    assert_eq!(done.objects()[0]["code"], "approval-field-missing");
    let done = project.json(&["--approve-all", "--approve-field", "note=it's time"]).exits(0);
    assert_eq!(done.log("ship"), ["by it's time"]);
}

#[test]
fn a_field_that_nobody_asks_for_is_refused() {
    let asks = ASKS.replace("message", "field \"note\"; field \"speed\"; message");
    let done = Project::new(&asks).json(&["--approve-all", "--approve-field", "bogus=1"]).exits(2);
    let told = &done.objects()[0];
    assert_eq!((&told["code"], &told["help"]), (&"unknown-field".into(), &"the fields are note and speed".into()));
    let plain = Project::new("pipeline \"p\"\nstage \"a\" { run \"true\" }");
    let done = plain.buildit(&["run", "--approve-field", "bogus=1"]).exits(2);
    assert!(done.stderr.contains("`bogus`") && done.stderr.contains("no stage asks for a field"), "{}", done.stderr);
}

#[test]
fn a_run_that_goes_on_is_refused_as_one_that_starts_is() {
    let project = Project::new(
        r##"
        pipeline "p"
        stage "a" { run #"echo go > "$STARTED"; read -r answer < "$GO"; echo "got $answer""# }
        stage "ship" { needs "a"; approval { message "Ship it?" }; run "echo by ${approval.by}" }
        "##,
    );
    let (begun, go) = (project.pipe("started"), project.pipe("go"));
    let pairs = [format!("STARTED={}", begun.display()), format!("GO={}", go.display())];
    let journal = project.state().join("journal");
    let mut args = vec!["run", "--output", "json", "--journal", journal.to_str().unwrap()];
    pairs.iter().for_each(|pair| args.extend(["--env", pair]));
    let given: Vec<&str> = args.iter().copied().chain(["--approve", "ship"]).collect();
    let mut child = project.command(&given).stdout(std::process::Stdio::piped()).spawn().unwrap();
    assert_eq!(std::fs::read_to_string(&begun).unwrap(), "go\n");
    child.kill().unwrap();
    child.wait().unwrap();
    let done = project.buildit(&args).exits(2);
    assert_eq!(done.objects()[0]["code"], "approval-needed");
    assert!(done.of_type("run_started").is_empty());
    // It is as it was, and so is its job.
    let child = project.command(&given).stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::fs::write(&go, "it\n").unwrap();
    let done = crate::common::Done::of(child.wait_with_output().unwrap()).exits(0);
    assert_eq!((done.log("a"), done.log("ship")), (vec!["got it".to_owned()], vec!["by ann".to_owned()]));
}
