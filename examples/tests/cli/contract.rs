//! What scripts may rely on: exit codes, the objects of `--output json`, status words and causes.

use crate::common::Project;

const EVENTS: [(&str, &[&str]); 8] = [
    ("run_started", &["number", "pipeline", "stages"]),
    ("attempt_started", &["stage", "attempt", "executor"]),
    ("log", &["stage", "attempt", "line", "stream", "text"]),
    ("attempt_finished", &["stage", "attempt", "status", "exit_code", "cause", "duration_ms"]),
    ("approval_requested", &["stage", "message", "fields"]),
    ("approval_given", &["stage", "by", "approved"]),
    ("stage_finished", &["stage", "status", "reason", "exit_code", "allowed", "cached"]),
    ("run_finished", &["status", "duration_ms"]),
];

#[test]
fn every_object_of_a_run_has_its_fields_and_its_number() {
    let project = Project::new(
        r#"
        pipeline "sample"
        stage "a" { approval { message "go?"; field "note" default="x" }; run "echo out; echo err >&2"; run "true" }
        stage "b" { needs "a"; run "exit 3"; allow-failure }
        stage "c" { needs "a"; when "false"; run "true" }
        "#,
    );
    let done = project.json(&["--approve", "a"]).exits(0);
    let objects = done.objects();
    for (object, number) in objects.iter().zip(1_u64..) {
        assert_eq!(object["seq"], number, "{object}");
        assert_eq!(object["v"], 1);
        assert_eq!(object["run"], objects[0]["run"]);
        assert!(object["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{object}");
        if let Some((_, fields)) = EVENTS.iter().find(|(kind, _)| object["type"] == *kind) {
            for field in *fields {
                assert!(object.get(field).is_some(), "{object} has no {field}");
            }
        }
    }
    assert_eq!(objects.first().unwrap()["type"], "run_started");
    assert_eq!(objects.last().unwrap()["type"], "run_finished");
    let kinds: std::collections::BTreeSet<_> = objects.iter().map(|object| object["type"].as_str().unwrap()).collect();
    for (kind, _) in EVENTS {
        assert!(kinds.contains(kind), "no {kind} among {kinds:?}");
    }
    assert_eq!(done.of_type("run_started")[0]["stages"], serde_json::json!(["a", "b", "c"]));
    assert_eq!(done.ended().len(), 3, "each stage ends once, skipped ones too");
}

#[test]
fn lines_are_numbered_and_know_their_stream() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"echo one\"; run \"echo two >&2\" }");
    let lines = project.json(&[]).exits(0).of_type("log");
    let numbers: Vec<_> = lines.iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let mut shown: Vec<_> =
        lines.iter().map(|line| (line["stream"].as_str().unwrap(), line["text"].as_str().unwrap())).collect();
    shown.sort_unstable();
    assert_eq!(shown, [("command", "echo one"), ("command", "echo two >&2"), ("stderr", "two"), ("stdout", "one")]);
}

#[test]
fn a_line_that_is_no_text_is_shown_with_replacements() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run #\"printf 'a\\377b\\n'\"# }");
    assert_eq!(project.json(&[]).exits(0).log("a"), ["a\u{fffd}b"]);
}

#[test]
fn failures_have_their_status_and_cause() {
    let project = Project::new(
        r#"
        pipeline "p"
        stage "exit" { run "exit 3" }
        stage "signal" { run "sh -c 'kill -9 $$'" }
        stage "timeout" { timeout "1s"; run "sleep 60" }
        stage "output" { run "true"; artifacts "missing.txt" }
        stage "start" { shell "no-such-shell"; run "true" }
        stage "after" { needs "exit"; run "true" }
        "#,
    );
    let done = project.json(&[]).exits(1);
    let causes: std::collections::BTreeMap<String, String> = done
        .of_type("attempt_finished")
        .iter()
        .map(|end| (end["stage"].as_str().unwrap().into(), format!("{} {}", end["status"], end["cause"])))
        .collect();
    let expected = [
        ("exit", r#""failed" "exit""#),
        ("output", r#""failed" "output""#),
        ("signal", r#""failed" "signal""#),
        ("start", r#""failed" "start""#),
        ("timeout", r#""timed_out" "timeout""#),
    ];
    let expected = expected.map(|(stage, words)| (stage.to_owned(), words.to_owned()));
    assert_eq!(causes, expected.into_iter().collect());
    assert_eq!(done.status("after"), "skipped");
    let exit = &done.of_type("stage_finished").into_iter().find(|end| end["stage"] == "exit").unwrap();
    assert_eq!((exit["exit_code"].as_i64(), exit["allowed"].as_bool()), (Some(3), Some(false)));
}

#[test]
fn an_allowed_failure_does_not_count() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"exit 3\"; allow-failure }");
    let done = project.json(&[]).exits(0);
    let end = &done.of_type("stage_finished")[0];
    assert_eq!((end["status"].as_str(), end["allowed"].as_bool()), (Some("failed"), Some(true)));
}

#[test]
fn the_cells_of_a_matrix_are_stages() {
    let project = Project::new("pipeline \"p\"\nstage \"m\" { matrix { v \"1\" \"2\" }; run \"echo ${matrix.v}\" }");
    let done = project.json(&[]).exits(0);
    assert_eq!(done.of_type("run_started")[0]["stages"], serde_json::json!(["m[v=1]", "m[v=2]"]));
    assert_eq!((done.log("m[v=1]"), done.log("m[v=2]")), (vec!["1".to_owned()], vec!["2".to_owned()]));
}

#[test]
fn attempts_are_numbered_and_their_logs_kept_apart() {
    let project = Project::new(
        "pipeline \"p\"\nstage \"a\" { retry 1; run \"echo attempt $BUILDIT_STAGE_ATTEMPT\"; run \"test $BUILDIT_STAGE_ATTEMPT = 2\" }",
    );
    let done = project.json(&[]).exits(0);
    assert_eq!(done.log("a"), ["attempt 1", "attempt 2"]);
    let attempts: Vec<_> =
        done.of_type("attempt_finished").iter().map(|end| end["attempt"].as_u64().unwrap()).collect();
    assert_eq!(attempts, [1, 2]);
    // All lines of an attempt stand between its beginning and its end.
    let order: Vec<_> = done
        .objects()
        .iter()
        .filter(|object| object.get("attempt").is_some() && object["type"] != "retry_scheduled")
        .map(|object| object["attempt"].as_u64().unwrap())
        .collect();
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn an_invalid_pipeline_is_told_before_anything_starts() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { needs \"ghost\"; run \"true\" }");
    let done = project.json(&[]).exits(2);
    let objects = done.objects();
    assert!(objects.iter().all(|object| object["type"] == "diagnostic"), "{}", done.stdout);
    for field in ["severity", "code", "message", "file", "line", "column", "length", "help"] {
        assert!(objects[0].get(field).is_some(), "{} has no {field}", objects[0]);
    }
    assert_eq!((objects[0]["code"].as_str(), objects[0]["line"].as_u64()), (Some("unknown-need"), Some(2)));
}

#[test]
fn a_run_that_no_executor_can_take_is_refused() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { image \"alpine:3\"; run \"true\" }");
    let done = project.json(&["--executor", "local"]).exits(2);
    assert!(done.objects().iter().all(|object| object["type"] == "diagnostic"), "{}", done.stdout);
    let project = Project::new("pipeline \"p\"\nstage \"a\" { terraform stack=\"s\" action=\"plan\" }");
    project.json(&[]).exits(2);
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"true\" }");
    project.json(&["--executor", "nowhere"]).exits(2);
}

#[test]
fn a_container_engine_that_does_not_answer_is_the_backends_fault() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { image \"alpine:3\"; run \"true\" }");
    let mut command = project.command(&["run", "--output", "json"]);
    command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    crate::common::Done::of(command.output().unwrap()).exits(3);
}

#[test]
fn bad_usage_is_2() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"true\" }");
    for args in [
        ["run", "--no-such-flag"].as_slice(),
        &["run", "missing.kdl"],
        &["run", "--param", "novalue"],
        &["run", "--param", "unknown=1"],
        &["run", "--stage", "ghost"],
        &["run", "--secret", "NOT_SET_ANYWHERE"],
        &["run", "--env-file", "missing.env"],
        &["run", "--approve", "ghost"],
        &["run", "--source", "/no/such/folder"],
        &["frobnicate"],
    ] {
        let done = project.buildit(args).exits(2);
        assert!(done.stdout.is_empty() && !done.stderr.is_empty(), "{args:?}: {}", done.stdout);
    }
}

#[test]
fn a_reader_that_leaves_changes_nothing() {
    use std::io::Read;
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"seq 100000\"; run \"echo done > $MARKER\" }");
    let marker = project.state().join("marker");
    let pair = format!("MARKER={}", marker.display());
    let mut command = project.command(&["run", "--env", &pair]);
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut first = [0];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(marker.exists(), "the run went on to its end");
}
