//! What a person sees on a terminal.
#![cfg(target_os = "linux")]

use std::fs;

use crate::common::Project;
use crate::common::terminal::Terminal;

const LONG: &str = r##"
pipeline "storefront-with-a-rather-long-name"
stage "check-formatting-of-everything" {
    run #"echo formatted; echo go > "$STARTED"; read -r go < "$GO""#
}
stage "integration-tests-against-a-real-database" {
    needs "check-formatting-of-everything"
    matrix { database "postgres-17" "sqlite-3" }
    env "DB" "${matrix.database}"
    run "sh tests.sh"
}
stage "ship-to-production-in-europe" { needs "integration-tests-against-a-real-database"; run "true" }
"##;

/// The tree while a job waits, and the screen at the end.
fn watched(rows: u16, columns: u16) -> (String, String) {
    let project = Project::new(LONG);
    project.write("tests.sh", "test $DB = postgres-17 || { echo no such table; exit 7; }\n");
    let (begun, go) = (project.pipe("started"), project.pipe("go"));
    let pairs = [format!("STARTED={}", begun.display()), format!("GO={}", go.display())];
    let args = ["run", "--env", &pairs[0], "--env", &pairs[1]];
    let mut terminal = Terminal::run(&project, &args, rows, columns);
    assert_eq!(fs::read_to_string(&begun).unwrap(), "go\n");
    terminal.until("1 running");
    let tree = terminal.screen();
    fs::write(&go, "go\n").unwrap();
    assert_eq!(terminal.end(), 1, "{}", terminal.screen());
    assert_eq!(terminal.wrapped, Vec::<String>::new());
    (tree, terminal.screen())
}

#[test]
fn a_wide_terminal_shows_all() {
    let (tree, end) = watched(40, 120);
    for wanted in ["check-formatting-of-everything", "0 of 2 cells", "after integration-tests-against-a-real-database"]
    {
        assert!(tree.contains(wanted), "{wanted} is not in\n{tree}");
    }
    for wanted in [
        "exit code 7",
        "no such table",
        "4 stages: 2 succeeded, 1 failed, 1 skipped",
        "long-name #1  main",
        "failed in",
    ] {
        assert!(end.contains(wanted), "{wanted} is not in\n{end}");
    }
    // The tree is gone: nothing is said twice.
    assert_eq!(end.matches("check-formatting-of-everything").count(), 1, "{end}");
}

#[test]
fn a_narrow_terminal_shows_what_fits_and_wraps_nothing() {
    let (tree, end) = watched(40, 40);
    assert!(tree.contains("check-formatt…") && tree.lines().count() == 5, "{tree}");
    for wanted in ["failed in", "exit code 7", "✕1"] {
        assert!(end.contains(wanted), "{wanted} is not in\n{end}");
    }
}

#[test]
fn a_person_is_asked() {
    let project = Project::new(
        r##"
        pipeline "p"
        stage "ship-to-production-in-europe" {
            approval {
                message "Ship the storefront to all customers in Europe?"
                field "reason" required=#true description="why it cannot wait until Monday"
            }
            run #"test "${approval.reason}" = "it is time""#
        }
        stage "other" { approval; run "true" }
        "##,
    );
    for columns in [120, 40] {
        let mut terminal = Terminal::run(&project, &["run"], 30, columns);
        terminal.until("Approve? [y/n]");
        terminal.types("y\n");
        terminal.until("reason");
        terminal.types("it is time\n");
        terminal.until("other waits for approval\n  Approve? [y/n]");
        terminal.types("n\n");
        terminal.end();
        let screen = terminal.screen();
        assert_eq!(terminal.wrapped, Vec::<String>::new(), "{screen}");
        assert!(screen.contains("1 succeeded"), "{screen}");
    }
}

#[test]
fn ctrl_c_ends_a_question_and_the_run() {
    let project = Project::new("pipeline \"p\"\nstage \"a\" { approval; run \"true\" }");
    let mut terminal = Terminal::run(&project, &["run"], 30, 80);
    terminal.until("Approve? [y/n]");
    terminal.types("\u{3}");
    assert_eq!(terminal.end(), 130, "{}", terminal.screen());
    let screen = terminal.screen();
    assert!(screen.contains("cancelled"), "{screen}");
    // What the terminal echoes stands alone behind the question.
    assert!(screen.contains("  Approve? [y/n] ^C\ncancelling; again to kill what still runs\n"), "{screen}");
}

#[test]
fn a_question_that_is_taken_back_ends_its_line() {
    let project = Project::new(
        "pipeline \"p\"\nstage \"a\" { approval timeout=\"1s\"; run \"true\" }\nstage \"b\" { approval; run \"true\" }",
    );
    let mut terminal = Terminal::run(&project, &["run"], 30, 80);
    terminal.until("a waits for approval\n  Approve? [y/n]");
    terminal.until("b waits for approval\n  Approve? [y/n]");
    let screen = terminal.screen();
    assert!(screen.contains("  Approve? [y/n] \n"), "{screen}");
    // A closed terminal is a no.
    terminal.types("\u{4}");
    assert_eq!(terminal.end(), 1, "{}", terminal.screen());
    let screen = terminal.screen();
    assert!(
        screen.lines().filter(|line| line.contains("Approve?")).all(|line| line.trim_end().ends_with("[y/n]")),
        "{screen}"
    );
}

#[test]
fn a_shell_opens_where_a_stage_failed() {
    let project = Project::new(
        r##"
        pipeline "p"
        env "FROM" "${run.event}-run"
        stage "asks" { approval; run "true" }
        stage "fails" {
            needs "asks"
            workdir "sub"
            secrets "TOKEN"
            run "echo made > made.txt; exit 3"
        }
        "##,
    );
    project.write("sub/x", "");
    project.write("token", "s3cr3t-value");
    let args = ["run", "--shell-on-failure", "--secret-file", "TOKEN=token"];
    let mut terminal = Terminal::run(&project, &args, 50, 120);
    terminal.until("Approve? [y/n]");
    terminal.types("y\n");
    terminal.until("a shell where fails failed");
    // The answers are in a file: a screen also shows what was typed.
    let seen = project.state().join("seen");
    let line = format!(
        "echo \"$FROM $TOKEN $(cat made.txt) ${{PWD##*/}} ${{BUILDIT_JOB_ID-none}}\" > {}; exit\n",
        seen.display()
    );
    terminal.types(&line);
    assert_eq!(terminal.end(), 1, "{}", terminal.screen());
    assert_eq!(fs::read_to_string(seen).unwrap(), "manual-run s3cr3t-value made sub none\n");
    assert_eq!(project.left(), Vec::<std::path::PathBuf>::new());
}

#[test]
#[ignore = "needs docker"]
fn a_shell_opens_in_the_container_that_failed() {
    let project = Project::new(
        r##"
        pipeline "p"
        stage "fails" {
            image "busybox:local" pull="never"
            secrets "TOKEN"
            env "FROM" "${run.event}-run"
            run "echo made > made.txt; exit 3"
        }
        "##,
    );
    project.write("token", "s3cr3t-value");
    let args = ["run", "--shell-on-failure", "--secret-file", "TOKEN=token"];
    let mut terminal = Terminal::run(&project, &args, 50, 120);
    terminal.until("a shell where fails failed");
    terminal.until("/buildit/workspace #");
    // What is typed has not the words that are waited for.
    terminal.types("echo seen:$FROM:${#TOKEN}:$(cat made.txt):$PWD\n");
    terminal.until("seen:manual-run:12:made:/buildit/workspace");
    let docker = |args: &[&str]| {
        let output = std::process::Command::new("docker").args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let name = docker(&["ps", "--filter", "name=-shell", "--format", "{{.Names}}"]);
    let configuration = docker(&["inspect", name.lines().next().unwrap()]);
    assert!(configuration.contains("manual-run") && !configuration.contains("s3cr3t-value"), "{configuration}");
    terminal.types("exit\n");
    assert_eq!(terminal.end(), 1, "{}", terminal.screen());
    let job = name.trim().trim_end_matches("-shell");
    assert_eq!(docker(&["ps", "--all", "--quiet", "--filter", &format!("name={job}")]), "");
}
