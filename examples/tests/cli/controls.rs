//! What a file or git says never moves a terminal.
#![cfg(target_os = "linux")]

use crate::common::Project;
use crate::common::terminal::Terminal;

/// Sets a title, clears the screen, paints, and breaks a line. In KDL and for a shell.
const EVIL: &str = r"evil\u{1b}]0;PWNED\u{7}\u{1b}[2J\u{1b}[31m\u{9b}2J\nnext";
/// The same without what a glob cannot hold.
const GLOB: &str = r"evil\u{1b}]0;PWNED\u{7}\u{9b}";
const GIVEN: &str = "given\u{1b}]0;PWNED\u{7}\u{1b}[2J\u{1b}[31m\u{9b}2J\nnext";

fn project() -> Project {
    let text = r#"
        pipeline "EVIL"
        on "push" { branches "GLOB" }
        stage "a" { when "git.branch != 'EVIL'"; run "true" }
        stage "b" { when branch="GLOB"; run "true" }
        stage "c" { approval { message "EVIL"; field "note" description="EVIL" default="EVIL"  { choices "EVIL" "x" } }; run "true" }
        stage "d" { approval { message "${git.branch} ${git.message}" }; run "true" }
    "#;
    Project::new(&text.replace("EVIL", EVIL).replace("GLOB", GLOB))
}

/// The text has none of the controls that the names hold. Colours are ours.
#[track_caller]
fn is_clean(text: &str) {
    for evil in ["\u{7}", "\u{9b}", "\u{1b}]", "\u{1b}[2J", "\u{1b}[31mevil"] {
        assert!(!text.contains(evil), "{evil:?} is in {text:?}");
    }
}

#[test]
fn off_a_terminal() {
    let project = project();
    let git = ["--branch", GIVEN, "--tag", GIVEN, "--message", GIVEN, "--event", "push"];
    let commands: [&[&str]; 8] = [
        &["validate"],
        &["graph", ".buildit.kdl"],
        &["graph", ".buildit.kdl", "--format", "dot"],
        &["graph", ".buildit.kdl", "--format", "mermaid"],
        &["plan"],
        &["run", "--approve-all"],
        &["run", "--approve-all", "--output", "human"],
        &["run"],
    ];
    for command in commands {
        let takes_git = matches!(command[0], "plan" | "run");
        let args: Vec<&str> = command.iter().chain(git.iter().filter(|_| takes_git)).copied().collect();
        let mut command = project.command(&args);
        let done = crate::common::Done::of(command.env("USER", GIVEN).output().unwrap());
        is_clean(&done.stdout);
        is_clean(&done.stderr);
        let said = format!("{}{}", done.stdout, done.stderr);
        assert!(!said.contains('\u{1b}'), "{args:?}: {said:?}");
    }
}

#[test]
fn what_is_for_scripts_has_the_names_as_they_are() {
    let done = project().json(&["--approve-all", "--branch", GIVEN]).exits(0);
    let expected = GIVEN.replace("given", "evil");
    assert_eq!(done.of_type("run_started")[0]["pipeline"], expected.as_str());
    assert_eq!(done.of_type("approval_requested")[0]["message"], expected.as_str());
}

#[test]
fn on_a_terminal() {
    let project = project();
    let mut terminal = Terminal::run(&project, &["run", "--branch", GIVEN, "--message", GIVEN], 50, 150);
    for answer in ["y\n", "x\n", "y\n"] {
        terminal.until(if answer == "x\n" { "note" } else { "Approve? [y/n] " });
        terminal.types(answer);
    }
    assert_eq!(terminal.end(), 0, "{}", terminal.screen());
    is_clean(&terminal.printed());
}
