//! `validate`, `graph`, `fmt`, `init`, `completions`, `plan`.

use crate::common::{Project, steady};

const GOOD: &str =
    "pipeline \"p\"\n\nstage \"a\" {\n    run \"true\"\n}\n\nstage \"b\" {\n    needs \"a\"\n    run \"true\"\n}\n";

#[test]
fn validate_tells_all_files() {
    let project = Project::new(GOOD);
    project.write("bad.kdl", "pipeline \"p\"\nstage \"a\" { imge \"x\"; run \"true\" }\n");
    project.buildit(&["validate"]).exits(0);
    let done = project.buildit(&["validate", ".buildit.kdl", "bad.kdl"]).exits(2);
    insta::assert_snapshot!("validate_human", format!("{}---\n{}", done.stdout, done.stderr));
    let done = project.buildit(&["validate", "--output", "json", "bad.kdl"]).exits(2);
    insta::assert_snapshot!("validate_json", done.stdout);
    project.buildit(&["validate", "missing.kdl"]).exits(2);
    let done = project.buildit(&["validate", "."]).exits(2);
    assert!(done.stderr.contains("`.` is a folder"), "{}", done.stderr);
}

#[test]
fn a_warning_is_no_error() {
    let project = Project::new(
        "pipeline \"p\"\nstage \"a\" { run \"true\" }\nstage \"c\" { run \"true\" }\nstage \"b\" needs=\"a\" needs=\"c\" { run \"true\" }\n",
    );
    let done = project.buildit(&["validate", "--output", "json"]).exits(0);
    assert_eq!(done.objects()[0]["severity"], "warning", "{}", done.stdout);
    project.json(&[]).exits(0);
}

#[test]
fn graphs_have_five_forms() {
    let project = Project::new(GOOD);
    for format in ["text", "dot", "mermaid", "json", "svg"] {
        let done = project.buildit(&["graph", ".buildit.kdl", "--format", format]).exits(0);
        insta::assert_snapshot!(format!("graph_{format}"), done.stdout);
    }
    project.write(
        "circle.kdl",
        "pipeline \"p\"\nstage \"a\" { needs \"b\"; run \"x\" }\nstage \"b\" { needs \"a\"; run \"x\" }\n",
    );
    let done = project.buildit(&["graph", "circle.kdl"]).exits(2);
    assert!(done.stdout.is_empty() && done.stderr.contains("cycle"), "{}", done.stderr);
}

#[test]
fn fmt_keeps_comments_and_checks() {
    let project = Project::new("// first\npipeline    \"p\"\nstage \"a\" {   run \"true\" // why\n}\n");
    let before = project.read(".buildit.kdl");
    project.buildit(&["fmt", "--check"]).exits(1);
    assert_eq!(project.read(".buildit.kdl"), before, "--check changes nothing");
    project.buildit(&["fmt"]).exits(0);
    let after = project.read(".buildit.kdl");
    assert!(after.contains("// first") && after.contains("// why"), "{after}");
    project.buildit(&["fmt", "--check"]).exits(0);
    project.buildit(&["fmt", "missing.kdl"]).exits(2);
    project.write("bad.kdl", "stage {");
    project.buildit(&["fmt", "bad.kdl"]).exits(2);
    assert_eq!(project.read("bad.kdl"), "stage {");
}

#[test]
fn init_writes_a_pipeline_that_runs() {
    let project = Project::new("");
    std::fs::remove_file(project.path().join(".buildit.kdl")).unwrap();
    project.buildit(&["init"]).exits(0);
    project.buildit(&["validate"]).exits(0);
    project.buildit(&["fmt", "--check"]).exits(0);
    project.json(&[]).exits(0);
    project.buildit(&["init"]).exits(2);
    project.buildit(&["init", "--force"]).exits(0);
}

#[test]
fn init_knows_the_branch_of_a_worktree() {
    let project = Project::new(GOOD);
    project.git(&["commit", "-q", "--allow-empty", "-m", "x"]);
    project.git(&["worktree", "add", "-q", "-b", "trunk", "linked"]);
    let done = project.buildit(&["init", "linked"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(project.read("linked/.buildit.kdl").contains("\"trunk\""), "{}", project.read("linked/.buildit.kdl"));
}

#[test]
fn init_takes_nothing_that_git_ignores() {
    let project = Project::new("");
    project.write(".gitignore", "Cargo.lock\npackage-lock.json\nMakefile\n");
    project.write("Cargo.toml", "[package]\nname = \"p\"\n");
    project.write("Cargo.lock", "");
    project.write("package.json", "{ \"scripts\": { \"build\": \"true\" } }");
    project.write("package-lock.json", "{}");
    project.write("made/Makefile", "test:\n\ttrue\n");
    project.write("made/x", "");
    project.buildit(&["init", "--force"]).exits(0);
    let text = project.read(".buildit.kdl");
    assert!(text.contains("cargo test") && !text.contains("--locked"), "{text}");
    assert!(text.contains("npm install") && !text.contains("npm ci"), "{text}");
    let done = project.buildit(&["init", "made"]).exits(0);
    assert!(done.stdout.contains("nothing that it knows"), "{}", done.stdout);
    // What is tracked is part of the source, ignored or not.
    project.git(&["add", "--force", "Cargo.lock", "package-lock.json"]);
    project.buildit(&["init", "--force"]).exits(0);
    let text = project.read(".buildit.kdl");
    assert!(text.contains("--locked") && text.contains("npm ci"), "{text}");
}

#[test]
fn init_keeps_the_names_of_the_folder_and_the_branch() {
    let project = Project::new(GOOD);
    let name = "i3 \"x${git.sha}";
    let branch = "!b${git.sha}";
    std::fs::create_dir(project.path().join(name)).unwrap();
    project.git(&["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]);
    project.buildit(&["init", name]).exits(0);
    let file = format!("{name}/.buildit.kdl");
    let done = project.buildit(&["plan", &file, "--event", "push"]).exits(0);
    assert!(done.stdout.starts_with(&format!("{name}  ")), "{}", done.stdout);
    assert!(done.stdout.contains("on \"push\" starts it"), "{}", done.stdout);
    assert!(!project.buildit(&["plan", &file, "--event", "push", "--branch", "b"]).stdout.contains(" starts it"));
}

#[test]
fn init_leaves_nothing_that_is_half_written() {
    let project = Project::new("");
    std::fs::remove_file(project.path().join(".buildit.kdl")).unwrap();
    let before = crate::common::files(project.path());
    // No file may grow: as a full disk, and no device has to be filled for it.
    let full = |args: &[&str]| {
        let inner = project.command(args);
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "ulimit -f 0; trap '' XFSZ; exec \"$@\"", "sh"]).arg(inner.get_program());
        command.args(inner.get_args()).current_dir(project.path());
        crate::common::Done::of(command.output().unwrap())
    };
    full(&["init"]).exits(2);
    assert_eq!(crate::common::files(project.path()), before);
    project.buildit(&["init"]).exits(0);
    let text = project.read(".buildit.kdl");
    full(&["init", "--force"]).exits(2);
    assert_eq!(project.read(".buildit.kdl"), text);
    project.write("another", "");
    let who = |file: &str| std::fs::metadata(project.path().join(file)).unwrap().permissions();
    assert_eq!(who(".buildit.kdl"), who("another"));
}

#[test]
fn init_knows_makefiles() {
    let project = Project::new("");
    project.write("Makefile", "test:\n\t@echo tested\nbuild:\n\t@echo built\n");
    project.buildit(&["init", "--force"]).exits(0);
    let done = project.json(&[]).exits(0);
    assert_eq!((done.log("test"), done.log("build")), (vec!["tested".into()], vec!["built".into()]));
}

#[test]
fn completions_are_for_each_shell() {
    let project = Project::new(GOOD);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = project.buildit(&["completions", shell]).exits(0);
        assert!(done.stdout.contains("buildit") && done.stdout.contains("validate"), "{shell}");
    }
}

#[test]
fn plan_tells_what_would_run_and_starts_nothing() {
    let project = Project::new(
        r#"
        pipeline "p"
        on "push" { branches "main"; paths "src/**" }
        on "tag" pattern="v*"
        param "region" default="eu"
        stage "a" { run "echo x > $HOME/never" }
        stage "b" { needs "a"; when branch="release"; run "true" }
        stage "c" { needs "b"; when "params.region == 'eu'"; approval; run "true" }
        stage "d" { needs "a"; when "failure()"; run "true" }
        stage "e" { run "true" }
        "#,
    );
    let done =
        project.buildit(&["plan", "--event", "push", "--branch", "dev", "--stage", "c", "--stage", "d"]).exits(0);
    insta::assert_snapshot!("plan_human", steady(&done.stdout));
    let done = project.buildit(&["plan", "--output", "json", "--event", "tag", "--tag", "v1"]).exits(0);
    insta::assert_snapshot!("plan_json", done.stdout);
}
