//! The arguments of `run`.

use crate::common::Project;

fn prints(expression: &str) -> Project {
    Project::new(&format!(
        "pipeline \"p\"\nparam \"region\" default=\"eu\"\nstage \"a\" {{ run \"echo {expression}\" }}"
    ))
}

#[test]
fn values_come_from_the_arguments() {
    let cases = [
        ("${params.region}", vec!["--param", "region=us"], "us"),
        ("${params.region}", vec![], "eu"),
        ("$WORD", vec!["--env", "WORD=two words"], "two words"),
        ("${custom.owner}", vec!["--custom", "owner=ann"], "ann"),
        ("${run.event}", vec![], "manual"),
        ("${run.event}", vec!["--event", "push"], "push"),
        ("${git.branch}", vec!["--branch", "$(reboot)"], "$(reboot)"),
        ("${git.tag}", vec!["--tag", "v1"], "v1"),
        ("${git.short_sha}", vec!["--sha", "0123456789abcdef0123456789abcdef01234567"], "0123456"),
        ("${git.message}", vec!["--message", "it's \"quoted\""], "it's \"quoted\""),
    ];
    for (expression, args, expected) in cases {
        assert_eq!(prints(expression).json(&args).exits(0).log("a"), [expected], "{expression} {args:?}");
    }
}

#[test]
fn git_is_read_from_the_repository() {
    let project = prints("${git.branch} ${git.author} ${git.dirty} ${git.message}");
    project.git(&["add", "."]);
    project.git(&["commit", "-qm", "First"]);
    assert_eq!(project.json(&[]).exits(0).log("a"), ["main Ann false First"]);
    project.write("new.txt", "x");
    assert_eq!(project.json(&[]).exits(0).log("a"), ["main Ann true First"]);
}

#[test]
fn an_environment_file_loses_to_env() {
    let project = prints("$A-$B");
    project.write("vars.env", "# comment\nA=file\nexport B='from file'\n");
    assert_eq!(project.json(&["--env-file", "vars.env", "--env", "A=arg"]).exits(0).log("a"), ["arg-from file"]);
}

#[test]
fn secrets_reach_the_job_and_no_output() {
    let project = Project::new(
        "pipeline \"p\"\nstage \"a\" { secrets \"TOKEN\" \"OTHER\"; run \"echo got $TOKEN and $OTHER\"; run \"test $TOKEN = s3cr3t-value\" }",
    );
    project.write("other.txt", "an0ther-value\n");
    let mut command =
        project.command(&["run", "--output", "json", "--secret", "TOKEN", "--secret-file", "OTHER=other.txt"]);
    command.env("TOKEN", "s3cr3t-value");
    let done = crate::common::Done::of(command.output().unwrap()).exits(0);
    assert_eq!(done.log("a"), ["got *** and ***"]);
    for text in [&done.stdout, &done.stderr] {
        assert!(!text.contains("s3cr3t-value") && !text.contains("an0ther-value"), "{text}");
    }
}

#[test]
fn only_a_stage_and_what_it_needs_runs() {
    let project = Project::new(
        "pipeline \"p\"\nstage \"a\" { run \"true\" }\nstage \"b\" { needs \"a\"; run \"true\" }\nstage \"c\" { run \"false\" }",
    );
    let done = project.json(&["--stage", "b"]).exits(0);
    let status = ["a", "b", "c"].map(|stage| done.status(stage));
    assert_eq!(status, ["succeeded", "succeeded", "skipped"]);
}

#[test]
fn what_only_other_stages_need_is_not_asked_for() {
    let project = Project::new(
        r#"
        pipeline "p"
        stage "a" { run "true" }
        stage "b" { needs "a"; run "echo b" }
        stage "c" { secrets "TOKEN"; run "true" }
        stage "d" { image "busybox"; run "true" }
        stage "e" { approval; runs-on "gpu"; run "true" }
        "#,
    );
    let mut command = project.command(&["run", "--output", "json", "--stage", "b"]);
    // Nobody answers there.
    let nowhere = format!("unix://{}/no.sock", project.state().display());
    let done = crate::common::Done::of(command.env("DOCKER_HOST", &nowhere).output().unwrap()).exits(0);
    assert_eq!((done.log("b"), done.status("d")), (vec!["b".into()], "skipped".into()));
    let mut command = project.command(&["run", "--output", "json", "--stage", "d"]);
    crate::common::Done::of(command.env("DOCKER_HOST", &nowhere).output().unwrap()).exits(3);
    project.json(&["--stage", "e"]).exits(2);
}

#[test]
fn a_secret_that_is_missing_is_told_where_it_is_used() {
    let project = Project::new(
        "pipeline \"p\"\nstage \"a\" { run \"true\" }\nstage \"b\" { env \"X\" \"a${secrets.T}\"; run \"true\" }",
    );
    let done = project.json(&[]).exits(2);
    let told = &done.objects()[0];
    assert_eq!((told["code"].as_str(), told["line"].as_u64()), (Some("missing-secret"), Some(3)), "{told}");
    let done = project.buildit(&["run"]).exits(2);
    assert!(done.stderr.contains("${secrets.T}"), "{}", done.stderr);
}

#[test]
fn g4_a_secret_in_an_argument_is_refused_and_nothing_is_kept_of_it() {
    let project = Project::new(
        "pipeline \"p\"\nparam \"word\" default=\"x\"\nstage \"a\" { secrets \"TOKEN\"; run \"echo ${params.word}\" }",
    );
    for pair in [["--param", "word=s3cr3t-value"], ["--env", "A=s3cr3t-value"], ["--custom", "a=s3cr3t-value"]] {
        let mut args = vec!["run", "--output", "json", "--secret", "TOKEN", "--journal", "journal"];
        args.extend(pair);
        let done =
            crate::common::Done::of(project.command(&args).env("TOKEN", "s3cr3t-value").output().unwrap()).exits(2);
        assert_eq!(done.objects()[0]["code"], "secret-in-clear", "{}", done.stdout);
        assert!(!done.stdout.contains("s3cr3t-value") && !done.stderr.contains("s3cr3t-value"));
    }
    let kept = crate::common::files(&project.path().join("journal"));
    assert!(!kept.is_empty());
    let holds = |path: &std::path::PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains("s3cr3t");
    assert!(!kept.iter().any(holds), "{kept:?}");
}

#[test]
fn a_run_starts_whatever_the_triggers_say() {
    let project = Project::new("pipeline \"p\"\non \"tag\" pattern=\"v*\"\nstage \"a\" { run \"true\" }");
    project.json(&[]).exits(0);
}

#[test]
fn in_place_runs_in_the_source_itself() {
    let project = Project::new(
        "pipeline \"p\"\nstage \"a\" { run \"echo x > made.txt\" }\nstage \"b\" { needs \"a\"; run \"cat made.txt\" }",
    );
    let done = project.json(&["--in-place"]).exits(0);
    assert_eq!(done.log("b"), ["x"]);
    assert_eq!(project.read("made.txt"), "x\n");
}

#[test]
fn stages_never_see_each_others_leftovers() {
    let project = Project::new(
        "pipeline \"p\"\nstage \"a\" { run \"cat tracked.txt; echo x > tracked.txt; echo x > made.txt\" }\nstage \"b\" { needs \"a\"; run \"cat tracked.txt; ls\" }",
    );
    project.write("tracked.txt", "original\n");
    let done = project.json(&[]).exits(0);
    assert_eq!(done.log("b"), ["original", "tracked.txt"]);
    assert_eq!(project.read("tracked.txt"), "original\n");
}

#[test]
fn kept_workspaces_are_there_and_named() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"echo x > made.txt\" }");
    let done = project.buildit(&["run", "--keep"]).exits(0);
    let path = done.stderr.lines().find_map(|line| line.split_once("kept ")?.1.split_once(": ")).map(|(_, path)| path);
    let path = path.unwrap_or_else(|| panic!("no path in {}", done.stderr));
    assert_eq!(std::fs::read_to_string(std::path::Path::new(path).join("made.txt")).unwrap(), "x\n");
}

#[test]
fn nothing_is_left_of_a_run() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"echo x > made.txt; sleep 1000 & echo started\" }");
    project.json(&[]).exits(0);
    assert_eq!(project.left(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn the_source_is_another_folder_when_asked() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"ls\" }");
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("here.txt"), "").unwrap();
    let done = project.json(&["--source", other.path().to_str().unwrap()]).exits(0);
    assert_eq!(done.log("a"), ["here.txt"]);
}
