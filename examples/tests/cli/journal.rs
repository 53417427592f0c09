//! A run survives the death of the process that drives it.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::common::{Done, Project};

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

    // The pipeline is kept with the run: that the file changes meanwhile changes nothing, and that is said.
    project.write(".buildit.kdl", "pipeline \"p\"\nstage \"x\" { run \"false\" }");
    let child = project.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Opening it waits for the job, which has been there all the time.
    fs::write(&go, "42\n").unwrap();
    let done = Done::of(child.wait_with_output().unwrap()).exits(0);
    assert!(done.stderr.contains("resuming run #1 of `p`") && done.stderr.contains("has changed"), "{}", done.stderr);
    assert_eq!(fs::read_to_string(&effects).unwrap(), "before\nduring\nafter 42\n", "each happened once (G1)");
    assert_eq!(done.log("during"), ["one", "got 42"], "the log is whole (G3)");
    let seqs: Vec<_> = done.objects().iter().map(|object| object["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    assert_eq!(done.of_type("run_started")[0]["pipeline"], "p");

    // Nothing is open any more, so that the next one is a run of its own.
    let next = project.json(&["--journal", journal.to_str().unwrap()]).exits(1);
    assert_eq!(next.of_type("run_started")[0]["stages"][0], "x");
    assert!(!next.stderr.contains("resuming"), "{}", next.stderr);
}

#[test]
fn what_was_asked_for_and_is_not_done_is_told() {
    let project = Project::new("pipeline \"hello\"\nstage \"x\" { run \"echo hello\" }");
    project.write("j.kdl", "pipeline \"j\"\nstage \"a\" { run #\"echo $$ > \"$STARTED\"; read -r x < \"$GO\"\"# }");
    let go = project.pipe("go");
    project.pipe("started");
    let (mut child, _) =
        waiting(&project, &["j.kdl", "--journal", "journal", "--env", &format!("GO={}", go.display())]);
    child.kill().unwrap();
    child.wait().unwrap();

    // Another pipeline is refused, and so is a file that is not there; the run stays as it is.
    let done = project.json(&["--journal", "journal"]).exits(2);
    let told = &done.objects()[0];
    assert_eq!(told["code"], "another-run-open", "{told}");
    assert!(told["message"].as_str().unwrap().contains("run #1 of `j`"), "{told}");
    assert!(told["help"].as_str().unwrap().contains("`buildit run j.kdl --journal journal` finishes it"), "{told}");
    let done = project.buildit(&["run", "--journal", "journal"]).exits(2);
    assert!(done.stderr.contains("run #1 of `j`") && !done.stderr.contains("resuming"), "{}", done.stderr);
    project.buildit(&["run", "nope.kdl", "--journal", "journal", "--param", "nope=1"]).exits(2);
    project.buildit(&["run", "j.kdl", "--journal", "journal", "--approve", "nope"]).exits(2);

    for output in ["plain", "json", "human"] {
        let args = ["run", "j.kdl", "--journal", "journal", "--param", "nope=1", "--output", output];
        let child = project.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        if output == "human" {
            fs::write(&go, "go\n").unwrap();
            let done = Done::of(child.wait_with_output().unwrap()).exits(0);
            assert!(done.stderr.contains("options such as --param"), "{}", done.stderr);
        } else {
            let mut child = child;
            let mut line = String::new();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stderr.take().unwrap()), &mut line).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(line.starts_with("buildit: resuming run #1 of `j`") && !line.contains("changed"), "{line}");
        }
    }
    assert_eq!(project.json(&["--journal", "journal"]).exits(0).log("x"), ["hello"]);
}

#[test]
fn a_journal_in_the_source_is_no_part_of_it() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"ls -A\" }");
    let done = project.json(&["--journal", "journal"]).exits(0);
    assert_eq!(done.log("a"), [".buildit.kdl", ".git"]);
    assert_eq!(project.json(&["--journal", "journal"]).exits(0).log("a"), [".buildit.kdl", ".git"]);
}

#[test]
fn an_older_journal_in_the_source_is_no_part_of_it_either() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"ls -A . sub\" }");
    project.write("sub/x", "");
    project.json(&["--journal", "sub/older"]).exits(0);
    project.json(&["--journal", ".git/journal"]).exits(0);
    let expected = [".:", ".buildit.kdl", ".git", "sub", "", "sub:", "x"];
    assert_eq!(project.json(&["--journal", "newer"]).exits(0).log("a"), expected);
    assert_eq!(project.json(&[]).exits(0).log("a"), expected);
    // Neither is the state folder, also where there is no repository.
    fs::remove_dir_all(project.path().join(".git")).unwrap();
    let mut command = project.command(&["run", "--output", "json"]);
    let done = Done::of(command.env("XDG_STATE_HOME", project.path().join("state")).output().unwrap()).exits(0);
    assert_eq!(done.log("a"), [".:", ".buildit.kdl", "sub", "", "sub:", "x"]);
}

/// A run that waits in its only job, and the process of that job.
fn waiting(project: &Project, args: &[&str]) -> (Child, nix::unistd::Pid) {
    let pipe = project.state().join("started");
    let pair = format!("STARTED={}", pipe.display());
    let all: Vec<&str> = ["run", "--output", "json", "--env", &pair].iter().chain(args).copied().collect();
    let child = project.command(&all).stdout(Stdio::null()).spawn().unwrap();
    let process = fs::read_to_string(&pipe).unwrap().trim().parse().unwrap();
    (child, nix::unistd::Pid::from_raw(process))
}

#[test]
fn g8_what_a_killed_run_left_is_its_own_and_goes_with_it() {
    let project = Project::new(
        r##"
        pipeline "p"
        stage "wait" { run #"trap '' TERM; sh -c 'echo $$' > "$STARTED"; while :; do sleep 1000; done"# }
        stage "quick" { run "true" }
        "##,
    );
    project.pipe("started");
    let journal = project.state().join("journal");
    let again = ["run", "--journal", journal.to_str().unwrap()];
    for kept in [&again[1..], &[]] {
        let (mut child, _) = waiting(&project, &[&["--stage", "wait"], kept].concat());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // Other runs leave alone what may still be taken up.
    project.json(&["--stage", "quick"]).exits(0);
    assert_eq!(processes(&project), 2);
    // Their own go on with them, and end them.
    for (left, way) in [(1, again.as_slice()), (0, &["resume"])] {
        let mut child = project.command(way).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = std::io::BufReader::new(child.stderr.take().unwrap());
        for word in ["started", "cancelling", "killing"] {
            let mut line = String::new();
            while !line.contains(word) {
                line.clear();
                assert_ne!(std::io::BufRead::read_line(&mut told, &mut line).unwrap(), 0, "no `{word}`");
            }
            if word != "killing" {
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().cast_signed()), nix::sys::signal::SIGINT)
                    .unwrap();
            }
        }
        assert_eq!(Done::of(child.wait_with_output().unwrap()).code, 130);
        assert_eq!(processes(&project), left);
    }
    assert_eq!(project.left(), Vec::<PathBuf>::new());
}

/// How many processes run the script of a job of this project.
fn processes(project: &Project) -> usize {
    let state = project.state().to_str().unwrap().to_owned();
    let all = fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let scripts = lines.filter(|line| String::from_utf8_lossy(line).contains(&format!("{state}/buildit/jobs")));
    // The wrapper and the subshell of its commands have the same command line.
    scripts.count().div_ceil(2)
}

#[test]
fn a_state_folder_that_cannot_be_made_is_named() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"true\" }");
    let home = project.path().join(".buildit.kdl");
    for args in [["run"].as_slice(), &["run", "--journal", "journal"]] {
        let mut command = project.command(args);
        let done = Done::of(command.env_remove("XDG_STATE_HOME").env("HOME", &home).output().unwrap()).exits(3);
        let folder = home.join(".local/state/buildit");
        assert!(done.stderr.contains(folder.to_str().unwrap()), "{}", done.stderr);
        assert!(done.stderr.contains("set XDG_STATE_HOME") && !done.stderr.contains("journal"), "{}", done.stderr);
        assert!(!done.stderr.contains("started"), "{}", done.stderr);
    }
}

#[test]
fn runs_of_one_journal_are_numbered() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { run \"true\" }");
    let number = || project.json(&["--journal", "journal"]).exits(0).of_type("run_started")[0]["number"].clone();
    assert_eq!((number(), number()), (1.into(), 2.into()));
}
